package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// tenant is what stands before the colon of a request.
func tenant(req string) string {
	name, _, found := strings.Cut(req, ":")
	if !found {
		return ""
	}
	return name
}

// moody fails the requests that say so.
var moody = middleware.Func(func(_ context.Context, req string) (string, error) {
	if strings.HasSuffix(req, ":fail") {
		return "", errSick
	}
	return "yes", nil
})

func tells(t *testing.T, r middleware.Runner[string, string], req string) error {
	t.Helper()
	_, err := r.Run(t.Context(), req)
	return err
}

func TestBy(t *testing.T) {
	bubble := func(it string, f func(t *testing.T)) {
		t.Run("it "+it, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("opens the breaker of one tenant alone, and says so in Health", func(t *testing.T) {
		log := &diary{}
		g := built(t, middleware.Wrap(moody).Named("bard").CircuitBreaker(&strategies.Breaker{Failures: 2}).By(tenant, middleware.Keys{}).Observe(log))
		for range 3 {
			tells(t, g, "ann:fail")
		}
		expectIs(t, tells(t, g, "ann:sing"), strategies.ErrRejected)
		expect(t, "bob", tells(t, g, "bob:sing"), nil)
		expect(t, "nobody's", tells(t, g, "sing"), nil)
		all := g.Owner().HealthByKey()
		expect(t, "ann", all["ann"].Breaker, strategies.StateOpen)
		expect(t, "ann's failures", all["ann"].Failures, 4)
		expect(t, "bob", all["bob"].Breaker, strategies.StateClosed)
		expect(t, "of all", fmt.Sprint(g.Health().Keys, " ", g.Health().Breaker, " ", g.Health().Agent), "2 closed bard")
		change := log.only(t, middleware.EventBreakerChanged)
		expect(t, "event", change.Agent+" "+change.Key, "bard ann")
	})
	bubble("gives each its own budget, spent retries, pace and slots", func(t *testing.T) {
		agent, open := gate()
		g := built(t, middleware.Wrap(agent).By(tenant, middleware.Keys{}).
			Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).Pace(&strategies.Pace{RequestsPerMinute: 60, Burst: 2 * time.Second, NoWait: true}))
		for _, who := range []string{"ann", "bob"} {
			go g.Run(t.Context(), who+":x")
		}
		synctest.Wait()
		expectIs(t, tells(t, g, "ann:x"), strategies.ErrRejected)
		expect(t, "in flight", g.Owner().HealthByKey()["bob"].InFlight, 1)
		close(open)
		synctest.Wait()
		expect(t, "ann", tells(t, g, "ann:x"), nil)
		expectIs(t, tells(t, g, "ann:x"), strategies.ErrRejected) // it has used what she may use at once
		expect(t, "cat", tells(t, g, "cat:x"), nil)

		budget := &strategies.Budget{Capacity: 5}
		calls := plays(errSick)
		r := built(t, middleware.Wrap(calls).By(tenant, middleware.Keys{}).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}, Budget: budget}))
		for _, who := range []string{"ann:", "ann:", "bob:"} {
			tells(t, r, who)
		}
		expect(t, "calls", calls.called(), 5)
		expect(t, "left of the one that was given", budget.Left(), 5)
	})
	bubble("lets them share what they are told to share", func(t *testing.T) {
		breaker := &strategies.Breaker{Failures: 2}
		log := &diary{}
		g := built(t, middleware.Wrap(moody).CircuitBreaker(breaker).Retry(promptly).Observe(log).
			By(tenant, middleware.Keys{Shared: []middleware.Stage{middleware.StageBreaker}}))
		tells(t, g, "ann:fail")
		tells(t, g, "bob:fail")
		expect(t, "state", breaker.State(), strategies.StateOpen)
		expectIs(t, tells(t, g, "cat:sing"), strategies.ErrRejected)
		log.only(t, middleware.EventBreakerChanged)
		breaker.Reset()
		expect(t, "cat", tells(t, g, "cat:sing"), nil)
		if err := g.Update(middleware.Wrap(moody).CircuitBreaker(&strategies.Breaker{Failures: 1}).By(tenant, middleware.Keys{Shared: []middleware.Stage{middleware.StageBreaker}})); err != nil {
			t.Fatal(err)
		}
		tells(t, g, "ann:fail")
		expectIs(t, tells(t, g, "cat:sing"), strategies.ErrRejected)
		expect(t, "state", breaker.State(), strategies.StateOpen)
	})
	bubble("bounds what all calls of one tenant cost together, for a time", func(t *testing.T) {
		var spends middleware.Runner[string, string] = middleware.Func(func(ctx context.Context, req string) (string, error) {
			middleware.CallOf(ctx).Spent(strategies.Usage{TokensOut: 40})
			return moody.Run(ctx, req)
		})
		settings := func(k middleware.Keys) *middleware.Builder[string, string] {
			return middleware.Wrap(spends).Named("bard").By(tenant, k).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).Fallback("free", middleware.Free(middleware.Func(func(context.Context, string) (string, error) { return "", errGone })))
		}
		g := built(t, settings(middleware.Keys{Allowance: strategies.UsageLimits{Calls: 5, Tokens: 1000}, Every: time.Hour}))
		tells(t, g, "ann:fail") // two calls
		for range 3 {
			expect(t, "ann", tells(t, g, "ann:sing"), nil)
		}
		err := tells(t, g, "ann:sing")
		limit, ok := errors.AsType[*strategies.LimitError](err)
		if !ok {
			t.Fatalf("no LimitError: %v", err)
		}
		expect(t, "limit", limit.Error(), `understudy: the allowance of "ann" of agent "bard" is reached: 5 of 5 calls; it begins anew in 1h0m0s`)
		expect(t, "bob", tells(t, g, "bob:sing"), nil)
		updated(t, g, settings(middleware.Keys{Allowance: strategies.UsageLimits{Tokens: 210}, Every: time.Hour}))
		expect(t, "ann has 10 tokens left", tells(t, g, "ann:sing"), nil)
		expectIs(t, tells(t, g, "ann:sing"), strategies.ErrLimit)
		time.Sleep(time.Hour)
		expect(t, "ann, an hour later", tells(t, g, "ann:sing"), nil)
		updated(t, g, settings(middleware.Keys{}))
		for range 9 {
			expect(t, "ann without bound", tells(t, g, "ann:sing"), nil)
		}
	})
	bubble("keeps those in trouble, and drops the quiet ones", func(t *testing.T) {
		g := built(t, middleware.Wrap(moody).CircuitBreaker(&strategies.Breaker{Failures: 1, OpenFor: time.Minute}).By(tenant, middleware.Keys{Most: 3}))
		tells(t, g, "ann:fail")
		tells(t, g, "bob:fail")
		for n := range 50 {
			expect(t, "a passer-by", tells(t, g, fmt.Sprintf("%d:sing", n)), nil)
		}
		expectIs(t, tells(t, g, "ann:sing"), strategies.ErrRejected)
		expectIs(t, tells(t, g, "bob:sing"), strategies.ErrRejected)
		tells(t, g, "cat:fail")
		expect(t, "all three are in trouble: a fourth goes by the state of nobody", tells(t, g, "dan:sing"), nil)
		h := g.Health()
		expect(t, "keys", fmt.Sprint(h.Keys, " ", h.Crowded), "3 1")
		time.Sleep(3 * time.Minute) // whoever is left alone for so long is forgotten
		expect(t, "dan", tells(t, g, "dan:sing"), nil)
		if _, ok := g.Owner().HealthByKey()["dan"]; !ok {
			t.Error("there is room for dan now")
		}
	})
	bubble("keeps whoever has used of its pace, or of its allowance, until that is back", func(t *testing.T) {
		for it, g := range map[string]*middleware.Guarded[string, string]{
			"pace":      built(t, middleware.Wrap(moody).Pace(&strategies.Pace{RequestsPerMinute: 1, NoWait: true}).By(tenant, middleware.Keys{Most: 2})),
			"allowance": built(t, middleware.Wrap(moody).By(tenant, middleware.Keys{Most: 2, Allowance: strategies.UsageLimits{Calls: 1}, Every: time.Minute})),
			"bulkhead":  built(t, middleware.Wrap(moody).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).Pace(&strategies.Pace{RequestsPerMinute: 1, NoWait: true}).By(tenant, middleware.Keys{Most: 2})),
		} {
			expect(t, it+": ann", tells(t, g, "ann:sing"), nil)
			expect(t, it+": bob", tells(t, g, "bob:sing"), nil)
			_ = tells(t, g, "cat:sing") // there is no room for her
			expectIs(t, tells(t, g, "ann:sing"), strategies.ErrRejected)
			expect(t, it+": crowded", g.Health().Crowded, 1)
			time.Sleep(2 * time.Minute)
			expect(t, it+": cat", tells(t, g, "cat:sing"), nil)
			expect(t, it+": keys", fmt.Sprint(g.Health().Keys, " ", g.Health().Crowded), "2 1")
		}
	})
	bubble("gives back what was taken of an allowance for a call that another limit refuses", func(t *testing.T) {
		g := built(t, middleware.Wrap(moody).Retry(promptly).UsageLimits(strategies.UsageLimits{Calls: 1}).
			By(tenant, middleware.Keys{Allowance: strategies.UsageLimits{Calls: 3}}))
		for range 3 {
			tells(t, g, "ann:fail") // one call each, and retries that are not made
		}
		limit, _ := errors.AsType[*strategies.LimitError](tells(t, g, "ann:sing"))
		expect(t, "whose limit, and what was spent", fmt.Sprint(limit.Key, " ", limit.Spent), "ann 3")
		nested := built(t, middleware.Wrap(g).By(tenant, middleware.Keys{Allowance: strategies.UsageLimits{Calls: 2}}))
		for range 3 {
			limit, _ = errors.AsType[*strategies.LimitError](tells(t, nested, "ann:sing")) // the inner one refuses first
			expect(t, "what was spent", limit.Max, 3)
		}
		expect(t, "bob", tells(t, nested, "bob:sing"), nil)
	})
	bubble("knows its own limits under every key, and after an update", func(t *testing.T) {
		hang := func() *middleware.Builder[string, string] {
			return middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() })
		}
		g := built(t, hang().Timeout(time.Second).By(tenant, middleware.Keys{}))
		for range 2 {
			for _, req := range []string{"ann:x", "x"} {
				expect(t, "class of "+req, recoveryOf(t, tells(t, g, req)).Class, strategies.ClassTimeout)
			}
			updated(t, g, hang().Timeout(2*time.Second).By(tenant, middleware.Keys{}))
		}
	})
	bubble("goes on with each tenant's state after an update", func(t *testing.T) {
		settings := func(failures int) *middleware.Builder[string, string] {
			return middleware.Wrap(moody).CircuitBreaker(&strategies.Breaker{Failures: failures}).By(tenant, middleware.Keys{})
		}
		g := built(t, settings(5))
		for range 3 {
			tells(t, g, "ann:fail")
		}
		tells(t, g, "bob:fail")
		updated(t, g, settings(4))
		updated(t, g, settings(4))
		tells(t, g, "ann:fail")
		tells(t, g, "bob:fail")
		all := g.Owner().HealthByKey()
		expect(t, "ann and bob", fmt.Sprint(all["ann"].Breaker, " ", all["bob"].Breaker, " ", all["bob"].Failures), "open closed 2")
	})
	bubble("stands in by the key of the request, and is one agent to others", func(t *testing.T) {
		sage := built(t, middleware.Wrap(moody).Named("sage").CircuitBreaker(&strategies.Breaker{Failures: 1}).By(tenant, middleware.Keys{}))
		bard := built(t, middleware.Wrap(plays(errGone)).Named("bard").Fallback("sage", sage))
		tells(t, bard, "ann:fail")
		expectIs(t, tells(t, bard, "ann:sing"), strategies.ErrRejected)
		expect(t, "bob", tells(t, bard, "bob:sing"), nil)
		o := bard.Outcome(t.Context(), "bob:sing")
		expect(t, "served by", o.ServedBy, "sage")
		expect(t, "attempts of the sage's own", sage.Outcome(t.Context(), "bob:sing").Attempts, 1)
	})
	bubble("fails the call whose key function panics", func(t *testing.T) {
		g := built(t, middleware.Wrap(moody).By(func(string) string { panic("no tenant") }, middleware.Keys{}))
		expect(t, "class", recoveryOf(t, tells(t, g, "x")).Class, strategies.ClassPanic)
		expect(t, "class of an outcome", recoveryOf(t, g.Outcome(t.Context(), "x").Err).Class, strategies.ClassPanic)
		bard := built(t, middleware.Wrap(plays(errGone)).Fallback("sage", g))
		recoveryOf(t, tells(t, bard, "x"))
	})
	t.Run("it refuses nonsense", func(t *testing.T) {
		for it, k := range map[string]middleware.Keys{
			"most": {Most: -1}, "idle": {Idle: -1}, "unit": {Idle: 30}, "every": {Every: -time.Second}, "shared": {Shared: []middleware.Stage{middleware.StageRecover}},
			"allowance": {Allowance: strategies.UsageLimits{Calls: -1}}, "time": {Allowance: strategies.UsageLimits{Time: time.Hour}},
		} {
			if _, err := middleware.Wrap(moody).By(tenant, k).Build(); err == nil {
				t.Errorf("%s: no error", it)
			}
		}
		if _, err := middleware.Wrap(moody).By(nil, middleware.Keys{}).Build(); err == nil {
			t.Error("no function: no error")
		}
		if _, err := middleware.Wrap(moody).By(tenant, middleware.Keys{}).By(tenant, middleware.Keys{}).Build(); err == nil {
			t.Error("twice: no error")
		}
		expect(t, "an agent without keys", built(t, middleware.Wrap(moody)).Owner().HealthByKey(), nil)
		notes := built(t, middleware.Wrap(moody).By(tenant, middleware.Keys{Most: 7, Allowance: strategies.UsageLimits{Calls: 3}, Shared: []middleware.Stage{middleware.StagePace}})).Explain().Notes
		expect(t, "note", notes[0], "one state for each key, of at most 7; they share: [pace]; 3 calls for each every 24h0m0s")
	})
}

func TestByOfAStream(t *testing.T) {
	g, err := middleware.WrapStreamFunc(func(_ context.Context, req string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			answer, err := moody.Run(context.Background(), req)
			yield(answer, err)
		}
	}).CircuitBreaker(&strategies.Breaker{Failures: 1}).By(tenant, middleware.Keys{Allowance: strategies.UsageLimits{Calls: 2}}).Build()
	if err != nil {
		t.Fatal(err)
	}
	read := func(req string) error {
		_, err := middleware.Collect(g.Stream(t.Context(), req))
		return err
	}
	read("ann:fail")
	expectIs(t, read("ann:sing"), strategies.ErrRejected)
	expect(t, "bob", read("bob:sing"), nil)
	expect(t, "bob", read("bob:sing"), nil)
	expectIs(t, read("bob:sing"), strategies.ErrLimit)
	stream, outcome := g.Outcome(t.Context(), "cat:sing")
	if _, err := middleware.Collect(stream); err != nil || outcome().Chunks != 1 {
		t.Error(err, outcome())
	}
	lost, err := middleware.WrapStream(g).By(func(string) string { panic("no tenant") }, middleware.Keys{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	stream, outcome = lost.Outcome(t.Context(), "x")
	if _, err := middleware.Collect(stream); err == nil || outcome().Err == nil {
		t.Error("no error")
	}
	if _, err := middleware.WrapStream(g).By(nil, middleware.Keys{}).Build(); err == nil {
		t.Error("no function: no error")
	}
}

// Whatever comes and goes: whoever is open is refused until its time is over, and
// nobody else is.
func TestByNobodyEscapes(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			g := built(t, middleware.Wrap(moody).CircuitBreaker(&strategies.Breaker{Failures: 1, OpenFor: time.Minute, NoJitter: true, MaxOpenFor: time.Minute}).
				By(tenant, middleware.Keys{Most: 40, Idle: time.Duration(1+r.IntN(100)) * time.Second}))
			openUntil := map[string]time.Time{}
			for range 2000 {
				who := fmt.Sprint(r.IntN(200))
				inTrouble := 0
				for _, until := range openUntil {
					if time.Since(until) < 2*time.Minute {
						inTrouble++
					}
				}
				act := ":sing"
				if r.IntN(4) == 0 && inTrouble < 10 { // else there is no room, and they go by nobody's state
					act = ":fail"
				}
				err := tells(t, g, who+act)
				if open := time.Now().Before(openUntil[who]); open != errors.Is(err, strategies.ErrRejected) {
					t.Fatalf("seed %d: %s: open is %v, and the call ends with %v", seed, who, open, err)
				}
				if errors.Is(err, errSick) && !errors.Is(err, strategies.ErrRejected) {
					openUntil[who] = time.Now().Add(time.Minute)
				}
				time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
			}
		})
	}
}

func TestByUnderLoad(t *testing.T) {
	settings := func(n int) *middleware.Builder[string, string] {
		return middleware.Wrap(moody).CircuitBreaker(&strategies.Breaker{Failures: 1 << 20, OpenFor: time.Duration(1+n%2) * time.Minute}).
			Bulkhead(&strategies.Bulkhead{MaxConcurrent: 100}).Observe(&diary{}).By(tenant, middleware.Keys{Most: 20})
	}
	g := built(t, settings(0))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 400 {
				if err := tells(t, g, fmt.Sprintf("%d:sing", rand.IntN(60))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 50 {
		updated(t, g, settings(n))
		runtime.Gosched()
	}
	group.Wait()
	if keys := g.Health().Keys; keys > 20 {
		t.Errorf("%d keys", keys)
	}
	for key, h := range g.Owner().HealthByKey() {
		if h.InFlight != 0 || h.Agent != "agent" {
			t.Errorf("%s: %+v", key, h)
		}
	}
}

func TestByInBoundedMemory(t *testing.T) {
	told := &diary{}
	shared := &strategies.Breaker{Name: "shared"}
	g := built(t, middleware.Wrap(moody).Retry(promptly).CircuitBreaker(shared).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 9}).
		Pace(&strategies.Pace{RequestsPerMinute: 1 << 20}).Timeout(time.Minute).Observe(told).
		By(tenant, middleware.Keys{Most: 1000, Shared: []middleware.Stage{middleware.StageBreaker, middleware.StagePace}}))
	size := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	come := func(from, to int) {
		for n := from; n < to; n++ {
			if err := tells(t, g, fmt.Sprintf("tenant %d:sing", n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	empty := size()
	come(0, 1000)
	full := size()
	come(1000, 11_000)
	after := size()
	expect(t, "keys", g.Health().Keys, 1000)
	t.Logf("%d bytes a key", (full-empty)/1000)
	if after > full+full/4 {
		t.Errorf("10,000 keys that came and went leave %d kB behind, and 1,000 are %d kB", (after-full)>>10, (full-empty)>>10)
	}
	shared.Isolate()
	told.only(t, middleware.EventBreakerChanged) // and not once for each key
	runtime.KeepAlive(g)
}

// A key's own chain costs a call no allocation.
func TestByAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates on its own account")
	}
	b := wholeChain(t, func(b *middleware.Builder[string, string]) { b.By(tenant, middleware.Keys{}) })
	if n := testing.AllocsPerRun(200, func() { _, _ = b.Run(t.Context(), "ann:sing") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
