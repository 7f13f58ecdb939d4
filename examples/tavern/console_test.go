package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The tavern behind a console: it says where, shows all four agents and what happens to them,
// and ends when it is told to.
func TestTheTavernBehindAConsole(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-console", "127.0.0.1:0", fast}, stage{in: strings.NewReader(""), out: out, errs: io.Discard, getenv: func(string) string { return "" }})
		out.Close()
	}()
	text := make([]byte, 1000)
	n, err := said.Read(text)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(string(text[:n]))
	if err != nil || address == "" {
		t.Fatalf("it says %q, %v", text[:n], err)
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	get := func(path string, into any) {
		t.Helper()
		resp, err := http.Get(address + "api/v1/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
		}
	}
	var seen struct {
		Agents []struct{ Name string }
		Calls  []struct{ ID string }
	}
	get("agents", &seen)
	if len(seen.Agents) != len(company) || seen.Agents[0].Name != narrator {
		t.Errorf("%+v", seen)
	}
	tick, limit := time.NewTicker(20*time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for len(seen.Calls) < 5 {
		select {
		case <-tick.C:
			get("calls", &seen)
		case <-limit.C:
			t.Fatal("nothing happens")
		}
	}
	stop()
	if err := <-ended; err == nil || ctx.Err() == nil {
		t.Errorf("it ended with %v", err)
	}
}

// Everybody who reaches that console may decide, so nobody else must.
func TestTheConsoleIsOfThisMachineAlone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.com:80", "nonsense"} {
		if _, err := perform(t, t.Context(), false, "", nil, "-console", address); err == nil || !strings.Contains(err.Error(), "127.0.0.1:7070") {
			t.Errorf("%q: %v", address, err)
		}
	}
	env := []string{"OPENAI_BASE_URL=https://example.com/v1", "OPENAI_API_KEY=k", "TAVERN_MODEL=m"}
	if _, err := perform(t, t.Context(), false, "", env, "-console", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "it never ends") {
		t.Errorf("with a real provider: %v", err)
	}
}
