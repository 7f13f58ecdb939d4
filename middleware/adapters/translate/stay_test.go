package translate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
	"github.com/understudy-go/understudy/strategies"
)

// actor answers unless it is ill, and counts its calls.
type actor struct {
	ill   atomic.Bool
	calls atomic.Int64
}

func (a *actor) Run(context.Context, string) (string, error) {
	a.calls.Add(1)
	if a.ill.Load() {
		return "", errors.New("ill")
	}
	return "fine", nil
}

func built[Req, Resp any](t *testing.T, b *middleware.Builder[Req, Resp]) *middleware.Guarded[Req, Resp] {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// pair is two agents, each with a breaker of its own, and a chain that begins with
// each of them.
func pair(t *testing.T, most, failures int) (s *translate.Staying[string, string], a, b *actor) {
	t.Helper()
	a, b = &actor{}, &actor{}
	guard := func(name string, who *actor) *middleware.Guarded[string, string] {
		return built(t, middleware.Wrap(who).Named(name).CircuitBreaker(&strategies.Breaker{Failures: failures, OpenFor: time.Hour}))
	}
	ga, gb := guard("a", a), guard("b", b)
	s, err := translate.Stay(func(_ context.Context, req string) string {
		conversation, _, _ := strings.Cut(req, " ")
		return conversation
	}, most,
		built(t, middleware.Wrap(ga).Named("a").Fallback("b", gb)),
		built(t, middleware.Wrap(gb).Named("b").Fallback("a", ga)))
	if err != nil {
		t.Fatal(err)
	}
	return s, a, b
}

func TestAConversationStaysWithWhoAnswers(t *testing.T) {
	t.Parallel()
	s, a, b := pair(t, 0, 2)
	served := func(req string) string {
		t.Helper()
		o := s.Outcome(t.Context(), req)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		return fmt.Sprint(o.ServedBy, " ", a.calls.Load(), " ", b.calls.Load())
	}
	expect := func(req, want string) {
		t.Helper()
		if got := served(req); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	expect("one hello", "a 1 0")
	a.ill.Store(true)
	expect("one again", "b 2 1")
	a.ill.Store(false)
	expect("one and on", "b 2 2")  // a is well, but the conversation stays
	expect("two hello", "a 3 2")   // another one begins with a
	expect(" no name", "a 4 2")    // so does one without a name
	b.ill.Store(true)              //
	expect("one fails", "a 5 3")   // b fails: a stands in, and has the conversation
	expect("one is back", "a 6 3") //
	a.ill.Store(true)              //
	b.ill.Store(false)             //
	expect("two moves", "b 7 4")   //
	expect("one moves", "b 8 5")   // the second failure of a: its breaker opens
	expect("three hello", "b 8 6") // and nobody asks it
}

func TestTheOldestConversationIsForgotten(t *testing.T) {
	t.Parallel()
	s, a, _ := pair(t, 2, 100)
	ask := func(ill bool, conversation, want string) {
		t.Helper()
		a.ill.Store(ill)
		if o := s.Outcome(t.Context(), conversation); o.Err != nil || o.ServedBy != want {
			t.Errorf("%s: got %s, %v, want %s", conversation, o.ServedBy, o.Err, want)
		}
	}
	ask(true, "one", "b")
	ask(true, "two", "b")
	ask(false, "one", "b") // used again
	ask(true, "three", "b")
	ask(false, "one", "b")
	ask(false, "three", "b")
	ask(false, "two", "a") // the oldest of three, where two are remembered
}

func TestStayIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s, a, _ := pair(t, 8, 2)
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			a.ill.Store(n%3 == 0)
			if _, err := s.Run(t.Context(), fmt.Sprint(n%16)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestWrongSettingsOfStay(t *testing.T) {
	t.Parallel()
	key := func(context.Context, string) string { return "" }
	chain := built(t, middleware.Wrap(&actor{}).Named("a"))
	for name, tc := range map[string]struct {
		key    func(context.Context, string) string
		most   int
		chains []*middleware.Guarded[string, string]
		want   string
	}{
		"no key":         {nil, 0, []*middleware.Guarded[string, string]{chain}, "Stay key"},
		"fewer than one": {key, -1, []*middleware.Guarded[string, string]{chain}, "Stay most"},
		"no chain":       {key, 0, nil, "Stay chains"},
		"a nil chain":    {key, 0, []*middleware.Guarded[string, string]{nil}, "Stay chain 0"},
		"one twice":      {key, 0, []*middleware.Guarded[string, string]{chain, chain}, "named twice"},
	} {
		_, err := translate.Stay(tc.key, tc.most, tc.chains...)
		if _, ok := errors.AsType[*strategies.ConfigError](err); !ok || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
}
