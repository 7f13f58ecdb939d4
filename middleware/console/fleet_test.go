package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// What a program with replicas writes.
func ExampleFleet() {
	openAI := &strategies.Breaker{Name: "openai"}
	fleet := &strategies.Fleet{Store: &memory.Store{}, Name: "shop"} // or nats.Open, redis.Open, postgres.Open
	defer fleet.Close()
	if err := fleet.Share(openAI); err != nil {
		fmt.Println(err)
		return
	}
	var agents []*middleware.Owner
	board, err := console.New(console.Settings{
		Agents: func() []*middleware.Owner { return agents },
		Fleet:  fleet, // the strategies.Fleet of this process
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	board.ServeHTTP(w, httptest.NewRequest("GET", "/console/api/v1/fleet", nil))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), `"replicas":1`))
	// Output: 200 true
}

// troupe is a fleet whose health is what a test says.
type troupe struct {
	mu        sync.Mutex
	health    strategies.FleetHealth
	listeners map[*func(strategies.FleetChange)]bool
}

func (f *troupe) Health() strategies.FleetHealth { f.mu.Lock(); defer f.mu.Unlock(); return f.health }

func (f *troupe) Watch(listener func(strategies.FleetChange)) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[*func(strategies.FleetChange)]bool{}
	}
	f.listeners[&listener] = true
	return func() { f.mu.Lock(); defer f.mu.Unlock(); delete(f.listeners, &listener) }
}

func (f *troupe) watching() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.listeners) }

func (f *troupe) set(h strategies.FleetHealth, kind strategies.FleetKind) {
	f.mu.Lock()
	f.health = h
	var tell []func(strategies.FleetChange)
	for l := range f.listeners {
		tell = append(tell, *l)
	}
	f.mu.Unlock()
	for _, l := range tell {
		l(strategies.FleetChange{Kind: kind})
	}
}

// drunk is a fleet that panics, at all it is asked.
type drunk struct{}

func (drunk) Health() strategies.FleetHealth                { panic("no <b>fleet</b>") }
func (drunk) Watch(func(strategies.FleetChange)) (_ func()) { panic("no watch") }

// leaver is one whose stop panics.
type leaver struct{ *troupe }

func (l leaver) Watch(func(strategies.FleetChange)) (stop func()) { return func() { panic("no end") } }

func TestHowTheFleetIs(t *testing.T) {
	since := time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.FixedZone("there", 3600))
	hostile := "<script>\u202e\x1b[2J\xff" + strings.Repeat("long ", 10_000)
	for name, tc := range map[string]struct {
		fleet console.Fleet
		want  string
	}{
		"well": {
			&troupe{health: strategies.FleetHealth{Replica: "r1.ab", Replicas: 3}},
			`{"replica":"r1.ab","replicas":3,"away":false,"unpublished":0,"skipped":0}`,
		},
		"away": {
			&troupe{health: strategies.FleetHealth{Replica: "r1.ab", Replicas: 3, Away: true, Since: since, Unpublished: 2, Skipped: 1,
				Err: errors.New("dial nats://shop:sk-proj-4fGh0123456789abcdef0123456789: refused")}},
			`{"replica":"r1.ab","replicas":3,"away":true,"since":"2026-03-04T04:06:07.891Z","error":"dial nats:`,
		},
		"nothing shared": {&strategies.Fleet{}, `{"replica":"","replicas":1,"away":true,"unpublished":0,"skipped":0}`},
		"of no time that JSON knows": {
			&troupe{health: strategies.FleetHealth{Replica: "r1", Replicas: 1, Away: true, Since: time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC)}},
			`{"replica":"r1","replicas":1,"away":true,"unpublished":0,"skipped":0}`,
		},
		"an error without a text": {&troupe{health: strategies.FleetHealth{Away: true, Err: panics{}}}, `{"replica":"","replicas":0,"away":true`},
		"hostile":                 {&troupe{health: strategies.FleetHealth{Replica: hostile, Away: true, Err: errors.New(hostile)}}, `{"replica":"\u003cscript\u003e�`},
		"panics":                  {drunk{}, `{"replica":"","replicas":0,"away":false,"unpublished":0,"skipped":0,"trouble":"understudy: a function of the console's settings panicked: no \u003cb\u003efleet`},
		"a nil one":               {(*strategies.Fleet)(nil), `{"replica":"","replicas":1,"away":true,"unpublished":0,"skipped":0}`},
	} {
		h := open(t, func(s *console.Settings) { s.Fleet = tc.fleet })
		w := h.ask("GET", "/api/v1/fleet", "ada", "")
		text := w.Body.String()
		if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) || !strings.HasPrefix(text, tc.want) {
			t.Errorf("%s: %d\n got  %s\n want %s", name, w.Code, text, tc.want)
		}
		if len(text) > 5000 || strings.ContainsAny(text, "\u202e\x1b") || strings.Contains(text, "4fGh") {
			t.Errorf("%s: %d bytes: %.300s", name, len(text), text)
		}
		expect(t, name+": the agents", len(h.get(t, "/api/v1/agents")["agents"].([]any)), 3)
		expect(t, name+": me", h.get(t, "/api/v1/me")["fleet"], true)
	}

	h := open(t, nil)
	expect(t, "no fleet", h.ask("GET", "/api/v1/fleet", "ada", "").Code, http.StatusNotFound)
	expect(t, "no fleet to see", h.get(t, "/api/v1/me")["fleet"], false)
	h = open(t, func(s *console.Settings) {
		s.Fleet = &troupe{health: strategies.FleetHealth{Away: true, Err: errors.New("secret")}}
		s.ShowError = func(error) string { return "(an error)" }
	})
	expect(t, "an error held back", h.get(t, "/api/v1/fleet")["error"], "(an error)")
	for path, want := range map[string]int{"fleet/x": 404, "fleet/x/y": 404} {
		expect(t, path, h.ask("GET", "/api/v1/"+path, "ada", "").Code, want)
	}
	expect(t, "nobody", h.ask("GET", "/api/v1/fleet", "eve", "").Code, http.StatusForbidden)
	expect(t, "not by POST", h.ask("POST", "/api/v1/fleet", "ada", "{}").Code, http.StatusMethodNotAllowed)
}

// stream watches the page as ada, until leave.
func stream(t *testing.T, h *house) (all *heard, leave func()) {
	t.Helper()
	server := httptest.NewServer(h)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/v1/stream", nil)
	r.SetBasicAuth("ada", "")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return &heard{from: events(t, resp.Body)}, func() { _ = resp.Body.Close(); server.Close() } // which waits for the stream
}

func TestAWatcherIsToldOfTheFleet(t *testing.T) {
	f := &troupe{health: strategies.FleetHealth{Replica: "r1.ab", Replicas: 2}}
	all, leave := stream(t, open(t, func(s *console.Settings) { s.Fleet = f }))
	all.await(t, "hello", `"fleet":true`)
	all.await(t, "fleet", `"replicas":2,"away":false`)
	expect(t, "listeners", f.watching(), 1)
	all.since()
	f.set(strategies.FleetHealth{Replica: "r1.ab", Replicas: 2, Away: true, Since: time.Now(), Err: errors.New("the wire is cut"), Unpublished: 1}, strategies.FleetAway)
	all.await(t, "fleet", "the wire is cut")
	all.since()
	f.set(strategies.FleetHealth{Replica: "r1.ab", Replicas: 3, Skipped: 4}, strategies.FleetBack)
	all.await(t, "fleet", `"replicas":3,"away":false,"unpublished":0,"skipped":4`)
	all.since()
	f.mu.Lock()
	f.health.Unpublished = 7 // which nobody is told of
	f.mu.Unlock()
	all.await(t, "fleet", `"unpublished":7`)
	for _, e := range all.all[:len(all.all)-1] {
		expect(t, "told again although nothing changed", e[0] == "fleet", false)
	}
	leave()
	expect(t, "listeners that are left behind", f.watching(), 0)
}

// clock notes when each event is written.
type clock struct {
	*httptest.ResponseRecorder
	mu    sync.Mutex
	wrote []string
	began time.Time
}

func (c *clock) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text := string(p); strings.HasPrefix(text, "event: fleet") {
		c.wrote = append(c.wrote, time.Since(c.began).String())
	}
	return len(p), nil
}

// What the fleet tells is shown at once, and not with the next beat.
func TestTheFleetsWordIsPassedOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &troupe{health: strategies.FleetHealth{Replica: "r1.ab", Replicas: 2}}
		h := open(t, func(s *console.Settings) { s.Fleet = f })
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/stream", nil)
		r.SetBasicAuth("ada", "")
		w := &clock{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
		time.AfterFunc(3350*time.Millisecond, func() {
			f.set(strategies.FleetHealth{Replica: "r1.ab", Replicas: 2, Away: true, Err: errSick}, strategies.FleetAway)
		})
		time.AfterFunc(6500*time.Millisecond, leave)
		h.ServeHTTP(w, r)
		expect(t, "written", w.wrote, []string{"0s", "3.45s"})
	})
}

// A fleet that panics takes nothing else along.
func TestAFleetThatPanicsIsSaidToBeUnknown(t *testing.T) {
	for _, f := range []console.Fleet{drunk{}, leaver{&troupe{}}} {
		all, leave := stream(t, open(t, func(s *console.Settings) { s.Fleet = f }))
		all.await(t, "agents", `"order":["a1","a2","a3"]`)
		want := `"trouble":`
		if _, ok := f.(leaver); ok {
			want = `"away":false`
		}
		all.await(t, "fleet", want)
		leave()
	}
	ctx, gone := context.WithCancel(t.Context())
	gone()
	h := open(t, func(s *console.Settings) { s.Fleet = leaver{&troupe{}} })
	h.ask("GET", "/api/v1/stream", "ada", "", func(r *http.Request) { *r = *r.WithContext(ctx) }) // nothing recovers for us here
	all, leave := stream(t, open(t, nil))
	defer leave()
	all.await(t, "questions", `"total":0`)
	for _, e := range all.all {
		expect(t, "a fleet that nobody gave", e[0] == "fleet", false)
	}
}
