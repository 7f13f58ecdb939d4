package middleware_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

var (
	wedgeSeeds = flag.Int("wedge.seeds", 2500, "how many random histories to drive through the layers")
	wedgeSeed  = flag.Int("wedge.seed", 0, "the first of them, to see one again")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// No sequence of answers, errors, panics, Goexits, cancellations, hangs and late
// answers, through any set of layers, may leave a breaker stuck, a bulkhead slot
// taken, work or a goroutine behind; and every call ends in one answer or one
// typed error. The bubble itself fails on a goroutine that stays behind.
func TestNoHistoryWedgesTheLayers(t *testing.T) {
	var seen wedgeStats
	for seed := *wedgeSeed; seed < *wedgeSeed+*wedgeSeeds && !t.Failed(); seed++ {
		driveWedge(t, seed, &seen)
	}
	t.Logf("%+v", seen.counts)
	if *wedgeSeeds < 1000 {
		return
	}
	// A history in which nothing happens proves nothing.
	for _, what := range []string{
		"answered", "recovered", "failed", "interrupted", "exited", "panicked", "opened", "rejected",
		"left behind", "late", "asked", "level", "rung failed",
	} {
		if n := seen.counts[what]; n < 50 {
			t.Errorf("only %d times %q in %d histories", n, what, *wedgeSeeds)
		}
	}
}

// wedgeStats counts what happened in all histories together.
type wedgeStats struct {
	mu     sync.Mutex
	counts map[string]int
}

func (s *wedgeStats) one(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	s.counts[what]++
}

func (s *wedgeStats) Observe(_ context.Context, e middleware.Event) {
	switch {
	case e.Kind == middleware.EventBreakerChanged && e.Delay > 0:
		s.one("opened")
	case e.Kind == middleware.EventAttemptFailed && e.Class == strategies.ClassRejected:
		s.one("rejected")
	case e.Kind == middleware.EventWorkAbandoned:
		s.one("left behind")
	case e.Kind == middleware.EventAnsweredLate:
		s.one("late")
	case e.Kind == middleware.EventPersonAsked:
		s.one("asked")
	case e.Kind == middleware.EventLevelChanged:
		s.one("level")
	case e.Kind == middleware.EventRungFailed:
		s.one("rung failed")
	}
}

type wedgeRunner = middleware.Runner[*wedgeCall, string]

func wedgeActor(who string) wedgeRunner {
	return middleware.Func(func(ctx context.Context, c *wedgeCall) (string, error) { return c.act(ctx, who) })
}

// history is two agents in a random set of layers, which share what can be
// shared, and what befalls them.
type history struct {
	t      *testing.T
	seed   int
	rng    *rand.Rand
	seen   *wedgeStats
	slots  *strategies.Bulkhead
	ladder *strategies.Ladder
}

func (w *history) maybe() bool { return w.rng.IntN(2) == 0 }

func (w *history) seconds(most int) time.Duration {
	return time.Duration(1+w.rng.IntN(most)) * time.Second
}

func (w *history) breaker() *strategies.Breaker {
	b := &strategies.Breaker{Failures: 1 + w.rng.IntN(4), OpenFor: w.seconds(30), Trials: w.rng.IntN(3), TrialTimeout: 20*time.Second + w.seconds(20)}
	if w.maybe() {
		b.Window, b.MinCalls, b.Failures = 10*time.Minute, b.Failures, 0
	}
	if w.maybe() {
		b.TrialTimeout = 100 * time.Hour // so long that nobody settles a trial for it
	}
	if w.maybe() {
		b.MaxOpenFor = 5 * time.Minute
	}
	return b
}

func (w *history) guard(name string, breaker *strategies.Breaker, standIn wedgeRunner) *middleware.Guarded[*wedgeCall, string] {
	b := middleware.Wrap(wedgeActor(name)).Named(name).Observe(w.seen)
	if w.maybe() {
		b.Retry(strategies.Retry{
			MaxRetries: w.rng.IntN(4), Jitter: float64(w.rng.IntN(2)), MinAttempt: time.Duration(w.rng.IntN(2)) * time.Second,
			Backoff: strategies.Delays{time.Duration(w.rng.IntN(2)) * time.Second, 2 * time.Second}, Allowance: strategies.Allowance(w.rng.IntN(2)),
		})
	}
	if w.rng.IntN(4) > 0 {
		b.CircuitBreaker(breaker)
	}
	if w.maybe() {
		b.Bulkhead(w.slots)
	}
	switch w.rng.IntN(3) {
	case 0:
		b.Timeout(w.seconds(20))
	case 1:
		b.HardTimeout(w.seconds(20), 1+w.rng.IntN(4))
	}
	if w.maybe() {
		if total := 20*time.Second + w.seconds(40); w.maybe() {
			b.DeadlineReserving(total, w.seconds(10))
		} else {
			b.Deadline(total)
		}
	}
	if w.maybe() {
		b.Validate(func(_ context.Context, c *wedgeCall, answer string) error { return c.check(answer) })
	}
	if standIn != nil && w.rng.IntN(4) > 0 {
		b.Fallback("archivist", standIn)
	}
	if w.maybe() {
		b.FallbackVia("keeper", wedgeActor("keeper"), func(_ context.Context, c *wedgeCall) (*wedgeCall, error) { return c, nil })
	}
	if w.maybe() {
		b.Degrade(strategies.LevelReduced, wedgeActor("reduced")).Degrade(strategies.LevelEmergency, wedgeActor("emergency"))
		if w.maybe() {
			b.Ladder(w.ladder)
		}
	}
	if w.maybe() {
		b.Intervene(middleware.Intervention{Deadline: w.seconds(100), Rounds: w.rng.IntN(3), Ask: strategies.IntervenorFunc(
			func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
				return i.Request.(*wedgeCall).decide(ctx)
			})})
	}
	if w.maybe() {
		b.Use(middleware.Stage(w.rng.IntN(int(middleware.StageAgent)+1)), wild)
	}
	return built(w.t, b)
}

func driveWedge(t *testing.T, seed int, seen *wedgeStats) {
	defer func() {
		if v := recover(); v != nil { // a bubble that a goroutine stays behind in
			panic(fmt.Sprintf("history %d: %v", seed, v))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w := &history{t: t, seed: seed, seen: seen, rng: rand.New(rand.NewPCG(uint64(seed), 1))}
		w.slots = &strategies.Bulkhead{MaxConcurrent: 1 + w.rng.IntN(3), MaxWait: time.Duration(w.rng.IntN(2)) * 5 * time.Second}
		w.ladder = &strategies.Ladder{ClimbAfter: 2, MinimumStay: 10 * time.Second}
		shared := w.breaker()
		own := shared
		if w.rng.IntN(3) == 0 {
			own = w.breaker()
		}
		archivist := w.guard("archivist", own, nil)
		narrator := w.guard("narrator", shared, archivist)

		var calls sync.WaitGroup
		for id := range 4 + w.rng.IntN(10) {
			agent := narrator
			if w.rng.IntN(8) == 0 {
				agent = archivist
			}
			c := &wedgeCall{id: id, rng: rand.New(rand.NewPCG(uint64(seed), uint64(id)+2))}
			calls.Go(func() { w.call(agent, c) })
			switch w.rng.IntN(4) {
			case 0:
				calls.Wait()
			case 1:
				time.Sleep(w.seconds(20))
			}
		}
		calls.Wait()
		time.Sleep(2 * time.Hour) // the deaf come to an end
		synctest.Wait()
		if n := w.slots.InFlight(); n != 0 {
			w.t.Errorf("history %d: %d bulkhead slots are taken for ever", w.seed, n)
		}
		w.worksAgain(archivist)
		w.worksAgain(narrator)
	})
}

// call makes one call and looks at how it ends.
func (w *history) call(agent *middleware.Guarded[*wedgeCall, string], c *wedgeCall) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	c.cancel = cancel
	switch c.draw(6) {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.draw(40))*time.Second)
		defer cancel()
	case 1:
		defer time.AfterFunc(time.Duration(c.draw(40))*time.Second, cancel).Stop()
	}
	returned := false
	defer func() {
		switch v := recover(); {
		case returned:
		case v != nil && c.panicked.Load():
			w.seen.one("panicked")
		case v == nil && c.exited.Load():
			w.seen.one("exited")
		default:
			w.t.Errorf("history %d, call %d: neither returns nor was made to (%v)", w.seed, c.id, v)
		}
	}()
	var out middleware.Outcome[string]
	if c.draw(2) == 0 {
		out = agent.Outcome(ctx, c)
	} else {
		out.Value, out.Err = agent.Run(ctx, c)
	}
	returned = true
	w.ended(c, out)
}

func (w *history) ended(c *wedgeCall, out middleware.Outcome[string]) {
	_, typed := out.Err.(*strategies.RecoveryError)
	answers := []string{"narrator answers", "archivist answers", "keeper answers", "reduced answers", "emergency answers", "person answers"}
	switch {
	case out.Err == nil && slices.Contains(answers, out.Value):
		w.seen.one("answered")
		if out.Strategy != strategies.StrategyNone {
			w.seen.one("recovered")
		}
	case out.Value == "" && typed:
		w.seen.one("failed")
	case out.Value == "" && errors.Is(out.Err, passThrough):
		w.seen.one("interrupted")
	default:
		w.t.Errorf("history %d, call %d: ends with %q and %T %v", w.seed, c.id, out.Value, out.Err, out.Err)
	}
}

// worksAgain wants nothing left of what was, and the agent's own full answer.
func (w *history) worksAgain(agent *middleware.Guarded[*wedgeCall, string]) {
	if h := agent.Health(); h.LeftBehind != 0 {
		w.t.Errorf("history %d: %d attempts are left behind for ever", w.seed, h.LeftBehind)
	}
	var last middleware.Outcome[string]
	for range 12 { // a breaker wants its trials, a ladder climbs one by one
		time.Sleep(agent.Health().RetryAfter + 11*time.Second)
		last = agent.Outcome(w.t.Context(), &wedgeCall{calm: true})
	}
	h := agent.Health()
	if last.Value != agent.Name()+" answers" || last.Strategy != strategies.StrategyNone || last.Level != strategies.LevelFull {
		w.t.Errorf("history %d: the agent is well, yet %+v; %+v", w.seed, last, h)
	}
	if h.Breaker != strategies.StateClosed || h.RetryAfter != 0 || h.Failures != 0 || h.Spent || h.InFlight != 0 || h.Level != strategies.LevelFull {
		w.t.Errorf("history %d: the agent is well, yet %+v", w.seed, h)
	}
}
