package inbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

var (
	errSick  = errors.New("the agent is sick")
	errGone  = errors.New("the stand-in is gone")
	retryNow = strategies.Decision{Action: strategies.ActionRetryNow}
)

func answer(v any) strategies.Decision {
	return strategies.Decision{Action: strategies.ActionAnswer, Value: v, By: "Ada"}
}

// sick is an agent that fails, and counts how often it was asked.
type sick struct {
	mu    sync.Mutex
	calls int
}

func (s *sick) Run(context.Context, string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return "", errSick
}

func (s *sick) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// asking is a sick agent whose failures are put before a person.
func asking(t *testing.T, how middleware.Intervention) *middleware.Guarded[string, string] {
	t.Helper()
	return built(t, middleware.Wrap(&sick{}).Intervene(how))
}

func built[Req, Resp any](t *testing.T, b *middleware.Builder[Req, Resp]) *middleware.Guarded[Req, Resp] {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return g
}

func asked(t *testing.T, r middleware.Runner[string, string], want string) {
	t.Helper()
	got, err := r.Run(t.Context(), "hello")
	if err != nil || got != want {
		t.Errorf("Run = %q, %v; want %q", got, err, want)
	}
}

func failing(t *testing.T, r middleware.Runner[string, string]) error {
	t.Helper()
	got, err := r.Run(t.Context(), "hello")
	if err == nil || got != "" {
		t.Errorf("Run = %q, %v; want no answer and an error", got, err)
	}
	return err
}

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func expectIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error %v\nis not %v", err, target)
		}
	}
}

// keyboard is a person at a terminal: each line is typed once the prompt before it is
// there, and after the last one the input ends. Nothing is typed ahead.
type keyboard struct {
	screen io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	prompts int
	lines   []string
}

func newKeyboard(text string, screen io.Writer) *keyboard {
	k := &keyboard{screen: screen, lines: strings.SplitAfter(text, "\n")}
	if k.lines[len(k.lines)-1] == "" {
		k.lines = k.lines[:len(k.lines)-1]
	}
	k.changed = sync.NewCond(&k.mu)
	return k
}

// keyed puts a person who types that before a terminal.
func keyed(text string, screen io.Writer, t *inbox.Terminal) *inbox.Terminal {
	k := newKeyboard(text, screen)
	t.In, t.Out = k, k
	return t
}

func (k *keyboard) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if bytes.HasSuffix(p, []byte("> ")) {
		k.prompts++
		k.changed.Broadcast()
	}
	return k.screen.Write(p)
}

func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.lines) == 0 {
		return 0, io.EOF
	}
	for k.prompts == 0 {
		k.changed.Wait()
	}
	n := copy(p, k.lines[0])
	if k.lines[0] = k.lines[0][n:]; k.lines[0] == "" {
		k.lines = k.lines[1:]
		k.prompts--
	}
	return n, nil
}
