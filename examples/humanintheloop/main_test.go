package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	synctest.Wait() // until the program waits for a line
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
		golden.Check(t, "output.txt", screen.String())
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("took %v, want the 30s of the question that nobody answered", took)
		}
	})
}

func TestInputThatEndsLeavesTheHouseRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		if err := run(t.Context(), strings.NewReader("x\n"), &out); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), silence); got != 2 {
			t.Errorf("%d questions answered by the house rules, want the two after the input ended:\n%s", got, &out)
		}
		if !strings.Contains(out.String(), "aborted by the captain") {
			t.Errorf("nothing says that the first was aborted:\n%s", &out)
		}
	})
}

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
