package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/cache"
	"github.com/understudy-go/understudy/strategies"
)

// source is an agent that counts its calls, and is out when it is told to be.
type source struct {
	calls atomic.Int64
	out   atomic.Bool
}

var errOut = errors.New("out")

func (s *source) Run(_ context.Context, q string) (string, error) {
	n := s.calls.Add(1)
	if s.out.Load() {
		return "", errOut
	}
	return fmt.Sprint(q, n), nil
}

func same(q string) string { return q }

func chain(t *testing.T, s *source, settings cache.Settings[string, string], more ...func(*middleware.Builder[string, string])) *middleware.Guarded[string, string] {
	t.Helper()
	answers, err := cache.New(settings)
	if err != nil {
		t.Fatal(err)
	}
	b := middleware.Wrap(s).Use(middleware.StageFallback, answers.Layer()).
		Degrade(strategies.LevelReduced, answers.Rung(func(resp string, age time.Duration) string { return "stale " + resp }))
	for _, m := range more {
		m(b)
	}
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func expect(t *testing.T, g *middleware.Guarded[string, string], q, answer string, level strategies.Level) {
	t.Helper()
	out := g.Outcome(t.Context(), q)
	if out.Err != nil || out.Value != answer || out.Level != level {
		t.Errorf("%s: got %q, %v, %v, want %q, %v", q, out.Value, out.Level, out.Err, answer, level)
	}
}

func TestFreshAndStale(t *testing.T) {
	s := &source{}
	g := chain(t, s, cache.Settings[string, string]{Key: same, Fresh: time.Hour, Stale: 24 * time.Hour})
	expect(t, g, "a", "a1", strategies.LevelFull)
	expect(t, g, "a", "a1", strategies.LevelFull) // nobody is asked
	expect(t, g, "b", "b2", strategies.LevelFull)
	s.out.Store(true)
	expect(t, g, "a", "a1", strategies.LevelFull) // it is fresh still
	if out := g.Outcome(t.Context(), "c"); !errors.Is(out.Err, errOut) || !errors.Is(out.Err, cache.ErrNothingKept) {
		t.Errorf("got %+v", out)
	}
	if n := s.calls.Load(); n != 3 {
		t.Errorf("%d calls", n)
	}
}

func TestStaleWhileOut(t *testing.T) {
	s := &source{}
	g := chain(t, s, cache.Settings[string, string]{Key: same, Stale: time.Hour})
	expect(t, g, "a", "a1", strategies.LevelFull)
	expect(t, g, "a", "a2", strategies.LevelFull) // it is asked, for nothing is fresh
	s.out.Store(true)
	expect(t, g, "a", "stale a2", strategies.LevelReduced)
	expect(t, g, "a", "stale a2", strategies.LevelReduced) // the apology was not kept
	s.out.Store(false)
	expect(t, g, "a", "a5", strategies.LevelFull)
}

func TestWhatIsNotKept(t *testing.T) {
	t.Run("what was answered while the ladder stood lower", func(t *testing.T) {
		s, ladder := &source{}, &strategies.Ladder{}
		g := chain(t, s, cache.Settings[string, string]{Key: same, Fresh: time.Hour}, func(b *middleware.Builder[string, string]) { b.Ladder(ladder) })
		ladder.Degrade(strategies.LevelReduced, "a bad day")
		for range 2 {
			if _, err := g.Run(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		}
		if n := s.calls.Load(); n != 2 {
			t.Errorf("%d calls: a reduced answer was kept", n)
		}
	})
	t.Run("a request without a key", func(t *testing.T) {
		s := &source{}
		g := chain(t, s, cache.Settings[string, string]{Key: func(string) string { return "" }, Fresh: time.Hour})
		expect(t, g, "a", "a1", strategies.LevelFull)
		expect(t, g, "a", "a2", strategies.LevelFull)
	})
	t.Run("a key that panics is a failure, and no crash", func(t *testing.T) {
		g := chain(t, &source{}, cache.Settings[string, string]{Key: func(string) string { panic("no") }, Fresh: time.Hour})
		if _, err := g.Run(t.Context(), "a"); !errors.As(err, new(*strategies.PanicError)) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("more than fits", func(t *testing.T) {
		s := &source{}
		g := chain(t, s, cache.Settings[string, string]{Key: same, Stale: time.Hour, Weight: 1000, Weigh: func(_ string, r string) uint32 { return uint32(len(r)) }})
		for i := range 5000 {
			_, _ = g.Run(t.Context(), fmt.Sprint("q", i))
		}
		s.out.Store(true)
		left := 0
		for i := range 5000 {
			if _, err := g.Run(t.Context(), fmt.Sprint("q", i)); err == nil {
				left++
			}
		}
		if left == 0 || left > 400 {
			t.Errorf("%d answers are kept of 1000 bytes", left)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	s := &source{}
	g := chain(t, s, cache.Settings[string, string]{Key: same, Fresh: time.Hour, Entries: 50})
	var all sync.WaitGroup
	for i := range 2000 {
		all.Go(func() {
			if _, err := g.Run(t.Context(), fmt.Sprint(i%100)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestSettings(t *testing.T) {
	weigh := func(string, string) uint32 { return 1 }
	for name, s := range map[string]cache.Settings[string, string]{
		"no key":                   {Fresh: time.Hour},
		"no time":                  {Key: same},
		"a negative time":          {Key: same, Fresh: -1},
		"negative entries":         {Key: same, Fresh: 1, Entries: -1},
		"a bound nobody can weigh": {Key: same, Fresh: 1, Weight: 1},
		"a weight without a bound": {Key: same, Fresh: 1, Weigh: weigh},
		"two bounds":               {Key: same, Fresh: 1, Weigh: weigh, Weight: 1, Entries: 1},
	} {
		if _, err := cache.New(s); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func Example() {
	agent := &source{}
	answers, err := cache.New(cache.Settings[string, string]{Key: same, Stale: 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	guarded := middleware.Must(middleware.Wrap(agent).
		Use(middleware.StageFallback, answers.Layer()).
		Degrade(strategies.LevelReduced, answers.Rung(func(resp string, age time.Duration) string { return "as of a while ago: " + resp })).
		Build())
	fmt.Println(guarded.Run(context.Background(), "the weather, please: "))
	agent.out.Store(true)
	fmt.Println(guarded.Run(context.Background(), "the weather, please: "))
	// Output:
	// the weather, please: 1 <nil>
	// as of a while ago: the weather, please: 1 <nil>
}

func BenchmarkHit(b *testing.B) {
	answers, err := cache.New(cache.Settings[string, string]{Key: same, Fresh: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	g := middleware.Must(middleware.Wrap(&source{}).Use(middleware.StageFallback, answers.Layer()).Build())
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.Run(b.Context(), "a")
	}
}
