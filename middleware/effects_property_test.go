package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// world is where the tools of random agents act. It counts what really happened.
type world struct {
	mu    sync.Mutex
	did   map[string]int
	rng   *rand.Rand
	fault float64 // of each call of a tool
	tally map[string]int
}

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.Float64() < p
}

func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally[what]++
}

func (w *world) happened(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.did[key]
}

// act is the tool: it may fail at each of its moments.
func (w *world) act(ctx context.Context, key string) (string, error) {
	time.Sleep(time.Duration(w.pick(50)) * time.Millisecond)
	broken := w.chance(w.fault)
	if broken && w.chance(0.4) { // before it is dispatched, provably or not
		switch w.pick(4) {
		case 0:
			w.count("refused before")
			return "", &refusal{429, "slow down"}
		case 1:
			w.count("error before")
			return "", errReset
		case 2:
			w.count("panic before")
			panic("before")
		default:
			w.count("goexit before")
			runtime.Goexit()
		}
	}
	w.mu.Lock()
	w.did[key]++
	w.mu.Unlock()
	if broken { // it has acted, and the answer is lost
		switch w.pick(4) {
		case 0:
			w.count("answer lost")
			return "", errReset
		case 1:
			w.count("panic behind")
			panic("behind")
		case 2:
			w.count("goexit behind")
			runtime.Goexit()
		default:
			w.count("deaf until cancelled")
			<-ctx.Done()
			return "", ctx.Err()
		}
	}
	return "did " + key, nil
}

// flaky is a journal that fails now and then, after and before its word is kept.
type flaky struct {
	*strategies.MemoryJournal
	w *world
}

func (j flaky) Begin(ctx context.Context, r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
	if j.w.chance(j.w.fault / 4) {
		j.w.count("journal fails to begin")
		return strategies.EffectRecord{}, false, errors.New("the journal is away")
	}
	return j.MemoryJournal.Begin(ctx, r)
}

func (j flaky) End(ctx context.Context, r strategies.EffectRecord) error {
	if j.w.chance(j.w.fault / 4) {
		j.w.count("journal fails to end")
		return errors.New("the journal is away")
	}
	return j.MemoryJournal.End(ctx, r)
}

// planner is an agent with a plan of up to 8 effects. Attempts after the first may
// drift, and any attempt may fail, panic or die between two of them.
type planner struct {
	w     *world
	tools []middleware.Runner[string, string]
	plan  []string // the keys of its effects, in order
	other []string // what a later attempt may ask for instead
}

func (p *planner) Run(ctx context.Context, _ string) (string, error) {
	later := middleware.CallOf(ctx).Attempt() > 1 || p.w.chance(0.1)
	step := func(i int) error {
		key := p.plan[i]
		if later && p.w.chance(0.1) {
			key = p.other[i]
			p.w.count("drift")
		}
		_, err := p.tools[i%len(p.tools)].Run(ctx, key)
		return err
	}
	if p.w.chance(0.3) { // all at once
		errs := make([]error, len(p.plan))
		var all sync.WaitGroup
		for i := range p.plan {
			all.Go(func() {
				defer func() {
					if v := recover(); v != nil { // of a tool that nobody wraps
						errs[i] = fmt.Errorf("panic: %v", v)
					}
				}()
				errs[i] = step(i)
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return "", err
		}
	} else {
		for i := range p.plan {
			if err := step(i); err != nil && !p.w.chance(0.2) { // or the model goes on
				return "", err
			}
			switch {
			case p.w.chance(p.w.fault / 3):
				p.w.count("agent fails between")
				return "", errSick
			case p.w.chance(p.w.fault / 10):
				p.w.count("agent panics between")
				panic("between")
			case p.w.chance(p.w.fault / 10):
				p.w.count("process dies between")
				runtime.Goexit()
			}
		}
	}
	return "ok", nil
}

// lives is one job: it is run again under its id until it is answered, or a few
// times, each time by a process of its own over the same journal.
func lives(t *testing.T, seed uint64, journaled bool) (w *world, records []strategies.EffectRecord) {
	w = &world{did: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 9)), tally: map[string]int{}}
	w.fault = []float64{0.05, 0.2, 0.5}[w.pick(3)]
	kept := &strategies.MemoryJournal{}
	journal := flaky{kept, w}
	plan, other := make([]string, 1+w.pick(8)), []string{}
	for i := range plan {
		plan[i] = fmt.Sprint("k", i)
		other = append(other, fmt.Sprint("x", i))
	}
	verifies, drift := w.chance(0.5), middleware.Drift(2*w.pick(2))
	for process := range 4 {
		make1 := func() *planner {
			p := &planner{w: w, plan: plan, other: other}
			for n := range 1 + len(plan)%3 {
				if !journaled {
					p.tools = append(p.tools, middleware.Func(w.act))
					continue
				}
				tool := middleware.WrapTool(fmt.Sprint("tool", n), strategies.EffectOnce, w.act).Key(func(key string) string { return key })
				if verifies {
					tool.Verify(func(_ context.Context, key string) (string, bool, error) {
						if w.chance(0.2) {
							return "", false, errors.New("the destination does not answer")
						}
						return "did " + key, w.happened(key) > 0, nil
					})
				}
				p.tools = append(p.tools, tool)
			}
			return p
		}
		b := middleware.Wrap(make1()).Named("planner").Retry(strategies.Retry{Backoff: strategies.Delays{time.Second}}).
			CircuitBreaker(&strategies.Breaker{}).Timeout(10*time.Second).Fallback("second", make1()).
			Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, string) (string, error) { return "sorry", nil })).Deadline(time.Minute)
		if journaled {
			b = b.Effects(middleware.Effects{Journal: journal, Drift: drift})
		}
		g := built(t, b)
		callers := 1 + w.pick(2)
		var all sync.WaitGroup
		answered := make([]bool, callers)
		for i := range callers {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(middleware.WithCallID(context.Background(), "job"), time.Duration(1+w.pick(120))*time.Second)
				defer cancel()
				answer, err := g.Run(ctx, "")
				answered[i] = err == nil && answer == "ok"
			})
		}
		all.Wait()
		if answered[0] && process > 0 {
			break
		}
	}
	records, _ = kept.Effects(context.Background(), "job")
	return w, records
}

// TestPromise9HoldsForAllAgents plays random agents with random faults at every
// moment, all layers on, and the death of processes.
func TestPromise9HoldsForAllAgents(t *testing.T) {
	seeds := uint64(20000)
	if testing.Short() || raceDetector {
		seeds = 1500
	}
	var effects, uncertain, twice int
	tally := map[string]int{}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w, records := lives(t, seed, true)
			state := map[string]strategies.EffectState{}
			for _, r := range records {
				state[r.Key] = r.State
			}
			for key, times := range w.did {
				effects++
				s, known := state[key]
				switch {
				case times > 1:
					t.Errorf("seed %d: %s happened %d times", seed, key, times)
				case !known:
					t.Errorf("seed %d: %s happened and is not written down", seed, key)
				case s == strategies.EffectNotDone:
					t.Errorf("seed %d: %s happened, and the journal says it did not", seed, key)
				case s != strategies.EffectDone:
					uncertain++
				}
			}
			for key, s := range state {
				if s == strategies.EffectDone && w.did[key] == 0 {
					t.Errorf("seed %d: the journal says that %s was done, and it was not", seed, key)
				}
			}
			for what, n := range w.tally {
				tally[what] += n
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d jobs, %d effects, none twice, %d left uncertain; %v", seeds, effects, uncertain, tally)
	for seed := range seeds / 20 {
		synctest.Test(t, func(t *testing.T) {
			w, _ := lives(t, seed, false)
			for _, times := range w.did {
				if times > 1 {
					twice++
				}
			}
		})
	}
	t.Logf("%d jobs without a journal: %d effects happened more than once", seeds/20, twice)
	if twice == 0 {
		t.Error("without a journal nothing happened twice: the test cannot fail")
	}
}
