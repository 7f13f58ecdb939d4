package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// play is an agent that follows a script: each call takes the next step, and
// the last one repeats. A step is an answer, an error or a function.
type play struct {
	mu    sync.Mutex
	steps []any
	calls int
}

type stepFunc = func(ctx context.Context, req string) (string, error)

func plays(steps ...any) *play { return &play{steps: steps} }

func (p *play) Run(ctx context.Context, req string) (string, error) {
	p.mu.Lock()
	step := p.steps[min(p.calls, len(p.steps)-1)]
	p.calls++
	p.mu.Unlock()
	switch s := step.(type) {
	case string:
		return s, nil
	case error:
		return "not to be seen", s // breaks the contract, as agents do
	case stepFunc:
		return s(ctx, req)
	default:
		panic(step)
	}
}

func (p *play) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// diary is an observer that keeps what it is told.
type diary struct {
	mu     sync.Mutex
	events []middleware.Event
}

func (d *diary) Observe(_ context.Context, e middleware.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// read returns the kinds of all events, in order.
func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var kinds []string
	for _, e := range d.events {
		kinds = append(kinds, e.Kind.String())
	}
	return strings.Join(kinds, " ")
}

func (d *diary) only(t *testing.T, kind middleware.EventKind) middleware.Event {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []middleware.Event
	for _, e := range d.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d events of kind %s, want 1: %v", len(found), kind, d.events)
	}
	return found[0]
}

var (
	errSick     = errors.New("the agent is sick")
	errGone     = errors.New("the stand-in is gone")
	promptly    = strategies.Retry{Backoff: strategies.Delays{0}}
	passThrough = strategies.WithClass(strategies.ClassInterrupt, errors.New("waiting for approval"))
)

func ofClass(c strategies.Class) error { return strategies.WithClass(c, fmt.Errorf("a %s failure", c)) }

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

// recoveryOf wants err to be the typed end of a call, itself and not wrapped.
func recoveryOf(t *testing.T, err error) *strategies.RecoveryError {
	t.Helper()
	re, ok := err.(*strategies.RecoveryError) //nolint:errorlint // the chain returns it bare
	if !ok {
		t.Fatalf("error is a %T (%v), want a *strategies.RecoveryError", err, err)
	}
	return re
}

// attemptsOf lists who was called and how it failed.
func attemptsOf(re *strategies.RecoveryError) string {
	var s []string
	for _, a := range re.Attempts {
		s = append(s, fmt.Sprintf("%s:%s", a.Agent, a.Class))
	}
	return strings.Join(s, " ")
}

func built[Req, Resp any](t testing.TB, b *middleware.Builder[Req, Resp]) *middleware.Guarded[Req, Resp] {
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

func note(log *[]string, name string) middleware.Middleware[string, string] {
	return func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
		return middleware.Func(func(ctx context.Context, req string) (string, error) {
			*log = append(*log, name)
			defer func() { *log = append(*log, "/"+name) }()
			return next.Run(ctx, req)
		})
	}
}

func TestChain(t *testing.T) {
	t.Run("nests the first layer outermost", func(t *testing.T) {
		var log []string
		asked(t, middleware.Chain(plays("hi"), note(&log, "a"), note(&log, "b"), note(&log, "c")), "hi")
		expect(t, "order", log, []string{"a", "b", "c", "/c", "/b", "/a"})
	})
	t.Run("leaves out a nil layer", func(t *testing.T) {
		var log []string
		asked(t, middleware.Chain(plays("hi"), nil, note(&log, "a"), nil), "hi")
		expect(t, "order", log, []string{"a", "/a"})
	})
	t.Run("without layers is the runner itself", func(t *testing.T) {
		agent := plays("hi")
		expect(t, "same", middleware.Chain[string, string](agent) == agent, true)
	})
	t.Run("calls a layer when it is put together, not per call", func(t *testing.T) {
		made := 0
		r := middleware.Chain(plays("hi"), func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
			made++
			return next
		})
		asked(t, r, "hi")
		asked(t, r, "hi")
		expect(t, "times made", made, 1)
	})
	t.Run("does not keep the caller's list", func(t *testing.T) {
		var log []string
		layers := []middleware.Middleware[string, string]{note(&log, "a"), note(&log, "b")}
		r := middleware.Chain(plays("hi"), layers...)
		slices.Reverse(layers)
		asked(t, r, "hi")
		expect(t, "order", log, []string{"a", "b", "/b", "/a"})
	})
}

func TestAdapt(t *testing.T) {
	ctx := t.Context()
	length := middleware.Func(func(_ context.Context, n int) (int, error) {
		if n == 0 {
			return 7, errSick
		}
		return n * 10, nil
	})
	in := func(_ context.Context, s string) (int, error) {
		if s == "bad" {
			return 0, errGone
		}
		return len(s), nil
	}
	out := func(_ context.Context, n int) (string, error) {
		if n > 30 {
			return "leftover", errGone
		}
		return fmt.Sprint(n), nil
	}
	r := middleware.Adapt(length, in, out)
	for _, tc := range []struct {
		name, req, want string
		err             error
	}{
		{"it turns the request and the answer", "abc", "30", nil},
		{"it fails with the agent", "", "", errSick},
		{"it fails with the request's turn", "bad", "", errGone},
		{"it fails with the answer's turn, and gives no half of it", "abcd", "", errGone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := r.Run(ctx, tc.req)
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Run = %q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
	t.Run("it is nil of anything nil, which the builder refuses", func(t *testing.T) {
		var noAgent *play
		same := func(_ context.Context, s string) (string, error) { return s, nil }
		for i, r := range []middleware.Runner[string, string]{
			middleware.Adapt(middleware.Runner[string, string](nil), same, same),
			middleware.Adapt[string, string](noAgent, same, same),
			middleware.Adapt[string](plays("x"), nil, same),
			middleware.Adapt[string, string](plays("x"), same, nil),
			middleware.Func[string, string](nil),
		} {
			if r != nil {
				t.Errorf("runner %d is a %T, want nil", i, r)
			}
			_, err := middleware.Wrap(plays("x")).Fallback("other", r).Build()
			expectIs(t, err, strategies.ErrConfig)
		}
	})
}
