package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// purse is what the backend has counted for one call and all that it caused, or
// for a tree of calls.
type purse struct {
	up      *purse
	limits  strategies.UsageLimits
	began   time.Time
	spent   strategies.Usage
	hidden  int       // requests that a client sent besides
	crossed time.Time // when a limit was reached; zero: none was
}

type purseKey struct{}

// spending is agents up to 5 deep that call each other, and the backend that counts.
type spending struct {
	t      *testing.T
	rng    *rand.Rand
	agents []func(ctx context.Context) error
	runs   []middleware.Runner[string, string] // guarded, to stand in
	loose  bool                                // calls may be left behind, made twice, or shared

	mu                                                               sync.Mutex
	calls, refused, checked, ran, streams, over, helped, rungs, free int
	deepest, hedged, told, paced                                     int
}

func (s *spending) n(n int) int { s.mu.Lock(); defer s.mu.Unlock(); return s.rng.IntN(n) }
func (s *spending) coin() bool  { return s.n(2) == 0 }

// book is how the backend counts.
func (s *spending) book(ctx context.Context, u strategies.Usage, begins bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if begins {
		s.calls++
	}
	depth := 0
	for l, _ := ctx.Value(purseKey{}).(*purse); l != nil; l = l.up {
		depth++
		took := now.Sub(l.began)
		if begins && !l.crossed.IsZero() && now.After(l.crossed) {
			s.t.Errorf("%v after %s were reached, a call began: %s", now.Sub(l.crossed), l.limits, l.spent)
		}
		if begins && l.limits.Time > 0 && took > l.limits.Time {
			s.t.Errorf("a call began after %v, the limit is %v", took, l.limits.Time)
		}
		l.spent = l.spent.Add(u)
		if !begins {
			l.hidden += u.Calls
		}
		if most := l.limits.Calls; most > 0 && l.spent.Calls-l.hidden > most {
			s.t.Errorf("%d calls, the limit is %d", l.spent.Calls-l.hidden, most)
		}
		if l.crossed.IsZero() && l.limits.Over(l.spent, 0) != nil {
			l.crossed = now
			s.over++
		}
	}
	s.deepest = max(s.deepest, depth-1)
}

// ask is one request to the backend: it takes its time, costs something, and may fail.
func (s *spending) ask(ctx context.Context) error {
	s.begin(ctx)
	return s.answer(ctx)
}

func (s *spending) begin(ctx context.Context) { s.book(ctx, strategies.Usage{Calls: 1}, true) }

func (s *spending) answer(ctx context.Context) error {
	for range s.n(2) {
		select {
		case <-time.After(time.Duration(1+s.n(300)) * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if s.n(4) > 0 { // else the answer never came
		u := strategies.Usage{TokensIn: s.n(900), TokensOut: s.n(300), Money: int64(s.n(5000))}
		u.TokensCached = s.n(u.TokensIn + 1)
		if s.n(8) == 0 {
			u.Calls = 1 + s.n(2)
		}
		s.book(ctx, u, false)
		middleware.CallOf(ctx).Spent(u)
	}
	switch s.n(12) {
	case 0, 1, 2:
		return errSick
	case 3:
		return ofClass(strategies.Classes()[s.n(len(strategies.Classes()))])
	case 4:
		panic("the agent panics")
	}
	return nil
}

// work is the backend's answer, and what those say that this agent calls.
func (s *spending) work(self int) func(ctx context.Context) error {
	var calls []int
	for j := self + 1; j < len(s.agents); j++ {
		if j == self+1 || s.n(3) == 0 {
			calls = append(calls, j)
		}
	}
	atOnce, stops := s.coin(), s.coin()
	return func(ctx context.Context) error {
		if err := s.answer(ctx); err != nil {
			return err
		}
		errs := make([]error, len(calls))
		var all sync.WaitGroup
		for i, j := range calls {
			if atOnce {
				all.Go(func() { errs[i] = s.agents[j](ctx) })
			} else if errs[i] = s.agents[j](ctx); errs[i] != nil && stops {
				break
			}
		}
		all.Wait()
		if err := errors.Join(errs...); stops {
			return err
		}
		return nil
	}
}

func (s *spending) limits() strategies.UsageLimits {
	l := strategies.UsageLimits{Calls: 1 + s.n(40)}
	switch s.n(5) {
	case 0:
		l = strategies.UsageLimits{Tokens: 1 + s.n(20_000)}
	case 1:
		l.TokensIn = 1 + s.n(10_000)
	case 2:
		l.Money = int64(1 + s.n(50_000))
	case 3:
		l.Time = time.Duration(1+s.n(5000)) * time.Millisecond
	}
	return l
}

// leaf is an agent without layers.
func (s *spending) leaf(count *int) middleware.Runner[string, string] {
	return middleware.Func(func(ctx context.Context, _ string) (string, error) {
		s.mu.Lock()
		*count++
		s.mu.Unlock()
		return "leaf", s.ask(ctx)
	})
}

func (s *spending) person() middleware.Intervention {
	return middleware.Intervention{Rounds: 1 + s.n(2), Ask: strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
		switch {
		case s.coin():
			return strategies.Decision{Action: strategies.ActionRetryNow}, nil
		case s.coin() && len(i.Agents) > 0:
			return strategies.Decision{Action: strategies.ActionUseAgent, Agent: i.Agents[0]}, nil
		}
		return strategies.Decision{Action: strategies.ActionAbort}, nil
	})}
}

// common are the settings that a whole and a streamed agent share.
func (s *spending) common(i int, whole bool) (*middleware.Settings, strategies.UsageLimits) {
	set, limits := new(middleware.Settings).Named(fmt.Sprint("a", i)), strategies.UsageLimits{}
	if s.coin() {
		limits = s.limits()
		set.UsageLimits(limits)
	}
	if s.coin() {
		set.Retry(strategies.Retry{MaxRetries: 1 + s.n(2), Backoff: strategies.Delays{time.Duration(s.n(100)) * time.Millisecond}})
	}
	if s.n(3) == 0 {
		set.CircuitBreaker(&strategies.Breaker{Failures: 3, OpenFor: time.Second})
	}
	switch limit := time.Duration(50+s.n(2000)) * time.Millisecond; {
	case s.n(3) > 0:
	case s.loose && whole:
		set.HardTimeout(limit, 100)
	default:
		set.Timeout(limit)
	}
	if s.n(4) == 0 {
		set.Intervene(s.person())
	}
	if s.n(4) == 0 {
		set.Pace(&strategies.Pace{RequestsPerMinute: 60 + s.n(2000), MaxWait: time.Duration(1+s.n(3000)) * time.Millisecond})
		s.paced++
	}
	if s.n(4) == 0 {
		set.Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2 + s.n(4), Adaptive: s.coin(), MaxWait: time.Duration(s.n(1000)) * time.Millisecond})
	}
	if s.loose && whole && s.coin() {
		set.Hedge(&strategies.Hedge{After: time.Duration(1+s.n(300)) * time.Millisecond, MaxRatio: 1, ReadOnly: true}).
			Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventHedged {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.hedged++
				}
			}))
	}
	switch s.n(6) {
	case 0:
		set.Effects(middleware.Effects{})
	case 1:
		set.Identify()
	case 2:
		set.Around(middleware.Stage(s.n(int(middleware.StageAgent)+1)), func(ctx context.Context, next func(context.Context) error) error {
			ctx, _ = middleware.Trace(ctx)
			return next(ctx)
		})
	case 3:
		set.Renew(func(context.Context, middleware.Failure) error { return nil })
	}
	return set, limits
}

func (s *spending) build() {
	s.agents = make([]func(context.Context) error, 1+s.n(5))
	s.runs = make([]middleware.Runner[string, string], len(s.agents))
	for i := len(s.agents) - 1; i >= 0; i-- {
		if s.n(3) == 0 {
			s.stream(i)
		} else {
			s.whole(i)
		}
	}
}

func (s *spending) whole(i int) {
	work := s.work(i)
	run := func(ctx context.Context, _ string) (string, error) { s.begin(ctx); return "well", work(ctx) }
	set, limits := s.common(i, true)
	b := middleware.WrapFunc(run).With(set)
	if s.coin() {
		b.Fallback("leaf", s.leaf(&s.helped))
	}
	if j := len(s.agents) - 1; j > i && s.runs[j] != nil && s.coin() {
		if r := s.runs[j]; s.coin() {
			b.Fallback("other", middleware.WithRetries(r))
		} else {
			b.Fallback("other", r)
		}
	}
	if s.n(3) == 0 {
		b.Degrade(strategies.LevelReduced, s.leaf(&s.rungs))
	}
	if s.n(3) == 0 {
		b.Degrade(strategies.LevelEmergency, middleware.Free(middleware.Func(func(context.Context, string) (string, error) {
			s.mu.Lock()
			s.free++
			s.mu.Unlock()
			return "sorry", nil
		})))
	}
	if s.coin() {
		b.RetryVia(func(_ context.Context, req string, _ middleware.Failure) (string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told++
			return req, nil
		})
	}
	if s.loose && s.coin() {
		b.Coalesce(func(string) string { return "same" })
	}
	g := built(s.t, b)
	s.runs[i] = g
	outcome := s.coin()
	s.agents[i] = s.counted(limits, outcome, func(ctx context.Context) (strategies.Usage, error) {
		if !outcome {
			_, err := g.Run(ctx, "")
			return strategies.Usage{}, err
		}
		o := g.Outcome(ctx, "")
		return o.Usage, o.Err
	})
}

func (s *spending) stream(i int) {
	s.streams++
	work := s.work(i)
	speak := func(before bool, work func(context.Context) error) func(ctx context.Context, _ string) iter.Seq2[string, error] {
		return func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				if s.begin(ctx); before && !yield("first", nil) {
					return
				}
				if err := work(ctx); err != nil {
					yield("", err)
					return
				}
				yield("well", nil)
			}
		}
	}
	before := s.coin()
	set, limits := s.common(i, false)
	b := middleware.WrapStreamFunc(speak(before, work)).With(set)
	switch s.n(4) {
	case 0:
		b.Continue(2, func(_ context.Context, req string, _ []string) (string, bool) { return req, true })
	case 1:
		b.Restart(func([]string) string { return "erase" })
	case 2:
		b.Buffer(10)
	}
	if s.coin() {
		b.Fallback("leaf", middleware.StreamFunc(speak(false, s.answer)))
	}
	if s.n(3) == 0 {
		b.Degrade(strategies.LevelMinimal, middleware.Chunks[string]("sorry"))
	}
	g := streaming(s.t, b)
	outcome := s.coin()
	s.agents[i] = s.counted(limits, outcome, func(ctx context.Context) (strategies.Usage, error) {
		if !outcome {
			_, err := middleware.Collect(g.Stream(ctx, ""))
			return strategies.Usage{}, err
		}
		chunks, end := g.Outcome(ctx, "")
		_, err := middleware.Collect(chunks)
		return end().Usage, err
	})
}

// counted is a call with a purse of its own, which its outcome is compared with.
func (s *spending) counted(limits strategies.UsageLimits, outcome bool, call func(ctx context.Context) (strategies.Usage, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		up, _ := ctx.Value(purseKey{}).(*purse)
		l := &purse{up: up, limits: limits, began: time.Now()}
		u, err := call(context.WithValue(ctx, purseKey{}, l))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ran++
		if errors.Is(err, strategies.ErrLimit) {
			s.refused++
		}
		if outcome && !s.loose {
			s.checked++
			if u != l.spent {
				s.t.Errorf("the outcome says %+v, the backend %+v", u, l.spent)
			}
		}
		return err
	}
}

// Whatever agents call each other, and however they are recovered: no attempt begins
// once a limit has been reached, of the call, of one that caused it or of the tree,
// and an outcome says what the backend has counted.
func TestPropertyUsageIsWhatTheBackendCounted(t *testing.T) {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 300
	}
	var calls, refused, checked, ran, streams, over, helped, rungs, free, deepest, trees, hedged, told, paced int
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			s := &spending{t: t, rng: rand.New(rand.NewPCG(seed, 23)), loose: seed%5 == 0}
			s.build()
			tree := &purse{limits: s.limits(), began: time.Now()}
			tree.limits.Calls = 1 + s.n(150)
			ctx := middleware.WithUsageLimits(context.WithValue(t.Context(), purseKey{}, tree), tree.limits)
			var all sync.WaitGroup
			for range 1 + s.n(4) {
				all.Go(func() { _ = s.agents[0](ctx) })
			}
			all.Wait()
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := middleware.CallOf(ctx).Usage(); got != tree.spent {
				t.Errorf("the tree says %+v, the backend %+v", got, tree.spent)
			}
			trees++
			calls, refused, checked, ran, streams = calls+s.calls, refused+s.refused, checked+s.checked, ran+s.ran, streams+s.streams
			over, helped, rungs, free, deepest = over+s.over, helped+s.helped, rungs+s.rungs, free+s.free, max(deepest, s.deepest)
			hedged, told, paced = hedged+s.hedged, told+s.told, paced+s.paced
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
		if t.Failed() {
			return
		}
	}
	if deepest < 5 || hedged == 0 || told == 0 || paced == 0 || streams == 0 || over == 0 || checked == 0 {
		t.Error("it did not try everything")
	}
	t.Logf("%d trees up to %d deep, %d calls of agents (%d streams), %d attempts; %d limits reached, %d calls ended by one; %d stand-ins, %d rungs, %d free answers, %d hedges, %d told, %d paces; %d outcomes are what the backend counted",
		trees, deepest, ran, streams, calls, over, refused, helped, rungs, free, hedged, told, paced, checked)
}
