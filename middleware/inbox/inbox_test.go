package inbox_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/middleware"
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
