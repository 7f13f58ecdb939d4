package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/examples/internal/golden"
)

// terminal is a screen on which typed text is echoed, as the reader of a golden expects it.
type terminal struct {
	bytes.Buffer
	keys io.Writer
}

func (s *terminal) types(t *testing.T, line string) {
	t.Helper()
	time.Sleep(100 * time.Millisecond) // until the question is there: what is typed before is ignored
	synctest.Wait()
	fmt.Fprintln(s, line)
	if _, err := fmt.Fprintln(s.keys, line); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keys := io.Pipe()
		defer keys.Close() // ends the goroutine that reads lines
		screen := &terminal{keys: keys}
		begin := time.Now()
		done := make(chan error)
		go func() { done <- run(t.Context(), in, screen) }()

		screen.types(t, "let me think") // nonsense is asked again
		screen.types(t, "retry")        // the agent is asked again
		screen.types(t, "a")            // an answer without a text
		screen.types(t, "a The last one has sailed.")
		if err := <-done; err != nil { // the third question expires
			t.Fatal(err)
		}
		golden.Check(t, "output.txt", anyID.ReplaceAllString(screen.String(), "01932c07-209c-7f3a-9d4e-3a5f0e8b7c21"))
		if took := time.Since(begin); took.Truncate(time.Second) != 30*time.Second {
			t.Errorf("took %v, want the 30s of the question that nobody answered", took)
		}
	})
}

func TestInputThatEndsLeavesTheHouseRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keys := io.Pipe()
		screen := &terminal{keys: keys}
		done := make(chan error)
		go func() { done <- run(t.Context(), in, screen) }()
		screen.types(t, "x")
		keys.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		out := screen.String()
		if got := strings.Count(out, silence); got != 2 {
			t.Errorf("%d questions answered by the house rules, want the two after the input ended:\n%s", got, out)
		}
		if !strings.Contains(out, "aborted by the captain") {
			t.Errorf("nothing says that the first was aborted:\n%s", out)
		}
	})
}

// anyID is the id of a question: a real one is another each time.
var anyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func TestItEndsWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keys := io.Pipe()
		defer keys.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- run(ctx, in, io.Discard) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the interruption", err)
		}
	})
}
