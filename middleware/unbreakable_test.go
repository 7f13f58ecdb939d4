package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// takes is an agent that needs a time for its answer, and looks at its context.
func takes(d time.Duration, answer string) stepFunc {
	return func(ctx context.Context, _ string) (string, error) {
		select {
		case <-time.After(d):
			return answer, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// opened trips a breaker and waits until a trial is due.
func outage(t *testing.T, g *middleware.Guarded[string, string], b *strategies.Breaker) {
	t.Helper()
	for b.State() == strategies.StateClosed {
		_, _ = g.Run(t.Context(), "hello")
	}
	time.Sleep(b.RetryAfter() + time.Nanosecond)
}

func TestPromiseNoWedgeASlowAgentComesBack(t *testing.T) {
	t.Run("a trial lasts as long as the agent's own Timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			agent := plays(errSick, errSick, errSick, errSick, errSick, takes(90*time.Second, "hi"))
			g := built(t, middleware.Wrap(agent).Timeout(5*time.Minute).CircuitBreaker(b))
			outage(t, g, b)
			asked(t, g, "hi")
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("without a Timeout, a trial that succeeds late closes the breaker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			agent := plays(errSick, errSick, errSick, errSick, errSick, takes(90*time.Second, "hi"))
			g := built(t, middleware.Wrap(agent).CircuitBreaker(b))
			outage(t, g, b)
			time.AfterFunc(61*time.Second, func() { _, _ = g.Run(t.Context(), "somebody finds it overdue") })
			asked(t, g, "hi")
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("Build refuses a trial that cannot last", func(t *testing.T) {
		_, err := middleware.Wrap(plays("hi")).Timeout(5 * time.Minute).CircuitBreaker(&strategies.Breaker{TrialTimeout: time.Minute}).Build()
		expectIs(t, err, strategies.ErrConfig)
	})
}

func TestPromiseNoWedgeByASharedBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 2}
		sick := true
		helper := built(t, middleware.WrapFunc(func(context.Context, string) (string, error) {
			if sick {
				return "", errSick
			}
			return "helped", nil
		}).Named("helper").CircuitBreaker(b))
		outer := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) { return helper.Run(ctx, req) }).Named("outer").CircuitBreaker(b))
		outage(t, outer, b)
		sick = false
		asked(t, outer, "helped") // the outer call has the only trial, and the inner one is part of it
		expect(t, "state", b.State(), strategies.StateClosed)
	})
}

func TestPromiseNoStormWhenABreakerCloses(t *testing.T) {
	crowd := func(t *testing.T, outageFor time.Duration) (most int64) {
		b := &strategies.Breaker{}
		var inFlight, highest atomic.Int64
		var well atomic.Bool
		g := built(t, middleware.WrapFunc(func(context.Context, string) (string, error) {
			if !well.Load() {
				return "", errSick
			}
			n := inFlight.Add(1)
			defer inFlight.Add(-1)
			for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
			}
			time.Sleep(time.Second)
			return "hi", nil
		}).CircuitBreaker(b))
		for begin := time.Now(); time.Since(begin) < outageFor; time.Sleep(10 * time.Second) {
			_, _ = g.Run(t.Context(), "hello")
		}
		well.Store(true)
		for b.State() != strategies.StateClosed {
			time.Sleep(time.Second)
			_, _ = g.Run(t.Context(), "hello")
		}
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { _, _ = g.Run(t.Context(), "hello") })
		}
		all.Wait()
		return highest.Load()
	}
	t.Run("a growing number is let through after a long outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if most := crowd(t, 20*time.Minute); most > 10 {
				t.Errorf("%d at once", most)
			}
		})
	})
	t.Run("and everybody after a short one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { expect(t, "at once", crowd(t, time.Minute), int64(1000)) })
	})
	t.Run("it ends: in bounded time everybody is let through again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1, SlowStart: 10 * time.Second}
			g := built(t, middleware.Wrap(plays(errSick, takes(time.Second, "hi"))).CircuitBreaker(b))
			outage(t, g, b)
			asked(t, g, "hi")
			time.Sleep(10 * time.Second)
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if _, err := g.Run(t.Context(), "hello"); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	})
}

func TestPromiseAHungAgentIsFoundOut(t *testing.T) {
	hurried := func(t *testing.T, g *middleware.Guarded[string, string], d time.Duration) middleware.Outcome[string] {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return g.Outcome(ctx, "hello")
	}
	t.Run("its callers' deadlines are evidence, and soon the stand-in is asked at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Timeout(time.Minute).CircuitBreaker(b).Fallback("sage", plays("hi")))
			answered := 0
			for range 100 {
				if o := hurried(t, g, 5*time.Second); o.Err == nil {
					answered++
				}
			}
			if answered < 85 {
				t.Errorf("%d of 100 answered", answered)
			}
		})
	})
	t.Run("a cancel is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Timeout(time.Minute).CircuitBreaker(b))
			for range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, cancel)
				_, _ = g.Run(ctx, "hello")
			}
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("nor is a hurry that is not fair", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Timeout(time.Minute).CircuitBreaker(b))
			for range 100 {
				hurried(t, g, 50*time.Millisecond)
			}
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("a busy agent that mostly answers in time loses nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			rng := rand.New(rand.NewPCG(1, 2))
			g := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				return takes(4*time.Second+time.Duration(rng.IntN(1250))*time.Millisecond, "hi")(ctx, req) // one in five is too late
			}).Timeout(time.Minute).CircuitBreaker(b))
			for range 2000 {
				if o := hurried(t, g, 5*time.Second); errors.Is(o.Err, strategies.ErrRejected) {
					t.Fatalf("refused: %v", o.Err)
				}
			}
		})
	})
	t.Run("a rung answers within the caller's time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Degrade(strategies.LevelReduced, plays("so so")))
			o := hurried(t, g, 5*time.Second)
			expect(t, "answer", o.Value, "so so")
			expect(t, "in time", o.Elapsed < 5*time.Second, true)
		})
	})
}

func TestPromiseNoStrangerHoldsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{}
		g := built(t, middleware.Wrap(plays(strategies.WithRetryAfter(1<<62, ofClass(strategies.ClassRateLimited)))).CircuitBreaker(b))
		failing(t, g)
		expect(t, "held for", b.RetryAfter(), time.Hour)
	})
	t.Run("a rate limit without a time holds for one that grows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			agent := plays(ofClass(strategies.ClassRateLimited))
			g := built(t, middleware.Wrap(agent).CircuitBreaker(b).Fallback("sage", plays("hi")))
			for range 600 { // ten minutes, one a second
				asked(t, g, "hi")
				time.Sleep(time.Second)
			}
			if n := agent.called(); n > 20 {
				t.Errorf("%d requests were sent to who had just refused", n)
			}
		})
	})
}

// A request that fails in the same way wherever it goes tells of itself: each is
// booked at most once, whatever the casts are, so few of them shut nobody out.
func TestPropertyAPoisonedRequestShutsNobodyOut(t *testing.T) {
	casts := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		n := 2 + rng.IntN(4)
		breakers := make([]*strategies.Breaker, n)
		key := func(i int) func(context.Context, string) (string, error) {
			return func(_ context.Context, req string) (string, error) {
				if strings.HasPrefix(req, "poison") {
					return "", fmt.Errorf("500 internal error, request %x%d", rng.Uint64(), i)
				}
				return "hi", nil
			}
		}
		var head *middleware.Builder[string, string]
		for i := range n {
			breakers[i] = &strategies.Breaker{Failures: 1 + rng.IntN(5)}
			b := middleware.WrapFunc(key(i)).Named(fmt.Sprint("key-", i)).CircuitBreaker(breakers[i])
			if i == 0 {
				head = b
				continue
			}
			head.Fallback(fmt.Sprint("key-", i), built(t, b))
		}
		g := built(t, head)
		poisoned := 1 + rng.IntN(30)
		for range poisoned {
			_, _ = g.Run(t.Context(), "poison")
		}
		booked, open := 0, 0
		for _, b := range breakers {
			if b.State() != strategies.StateClosed {
				booked, open = booked+b.Failures, open+1
			}
		}
		if booked > poisoned {
			t.Fatalf("seed %d: %d poisoned requests opened %d breakers, which takes %d failures", seed, poisoned, open, booked)
		}
		if answer, err := g.Run(t.Context(), "an ordinary question"); open < n && answer != "hi" {
			t.Fatalf("seed %d: an ordinary question is refused: %v", seed, err)
		}
		casts++
	}
	t.Logf("%d casts", casts)
}

// Whose limit it was is told by identity, so the wrong one is never blamed.
func TestPropertyTheWrongOneIsNotBlamed(t *testing.T) {
	t.Run("a stand-in that gets what is left of the primary's Deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			sage := built(t, middleware.Wrap(plays(takes(20*time.Second, "hi"))).Named("sage").CircuitBreaker(b).Timeout(30*time.Second))
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Timeout(25*time.Second).Deadline(30*time.Second).Fallback("sage", sage))
			for range 20 {
				_, _ = g.Run(t.Context(), "hello")
			}
			expect(t, "sage's breaker", b.State(), strategies.StateClosed)
		})
	})
	t.Run("an agent inside of another one's Timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			inner := built(t, middleware.Wrap(plays(takes(5*time.Second, "hi"))).Named("inner").CircuitBreaker(b).Timeout(30*time.Second))
			outer := built(t, middleware.Wrap(inner).Named("outer").Timeout(100*time.Millisecond))
			for range 20 {
				_, _ = outer.Run(t.Context(), "hello")
			}
			expect(t, "inner's breaker", b.State(), strategies.StateClosed)
		})
	})
	t.Run("whoever is given a TimeoutError as the cause of their end", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		g := built(t, middleware.Wrap(plays(stepFunc(hangs))).CircuitBreaker(b).Timeout(time.Minute))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(&strategies.TimeoutError{Limit: "attempt", After: time.Minute})
		re := recoveryOf(t, func() error { _, err := g.Run(ctx, "hello"); return err }())
		expect(t, "class", re.Class, strategies.ClassCanceled)
		expect(t, "state", b.State(), strategies.StateClosed)
	})
}

func TestALateAnswerIsKeptAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{}
		g := built(t, middleware.Wrap(plays(deaf(3*time.Minute, "paid for"))).Timeout(time.Second).CircuitBreaker(b))
		for range 5 {
			asked(t, g, "paid for")
		}
		expect(t, "state", b.State(), strategies.StateOpen)
	})
	t.Run("so does one that took longer than SlowCall", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{SlowCall: time.Second}
			g := built(t, middleware.Wrap(plays(takes(2*time.Second, "hi"))).CircuitBreaker(b))
			for range 5 {
				asked(t, g, "hi")
			}
			expect(t, "state", b.State(), strategies.StateOpen)
		})
	})
}

func TestAWaitForASlotIsNoFailureOfTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		slots := &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Hour}
		if err := slots.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := built(t, middleware.Wrap(plays("hi")).Deadline(time.Second).CircuitBreaker(b).Bulkhead(slots))
		err := failing(t, g)
		expectIs(t, err, strategies.ErrRejected, context.DeadlineExceeded)
		expect(t, "state", b.State(), strategies.StateClosed)
	})
}

// Values of others that bite: none gets through, none keeps a layer busy, and a
// trial that meets one gives its slot back.
type (
	nilError  struct{ err error }
	ringError struct{ next error }
	rudeError struct{}
	listError []error
)

func (e *nilError) Error() string                 { return e.err.Error() }
func (e *nilError) Unwrap() error                 { return e.err }
func (e *ringError) Error() string                { return "ring" }
func (e *ringError) Unwrap() error                { return e.next }
func (rudeError) Error() string                   { panic("no text") }
func (rudeError) Is(error) bool                   { panic("no answer") }
func (rudeError) As(any) bool                     { panic("no answer") }
func (rudeError) Unwrap() error                   { panic("no error") }
func (rudeError) Timeout() bool                   { panic("no answer") }
func (rudeError) StatusCode() int                 { panic("no status") }
func (rudeError) RecoveryClass() strategies.Class { panic("no class") }
func (listError) Error() string                   { return "list" }

func evilErrors() map[string]error {
	ring := &ringError{}
	ring.next = fmt.Errorf("again: %w", errors.Join(errSick, ring))
	return map[string]error{
		"a typed nil": (*nilError)(nil), "a typed nil within": fmt.Errorf("x: %w", error((*nilError)(nil))),
		"one that wraps itself": ring, "one whose methods panic": rudeError{}, "joined": errors.Join(rudeError{}, errSick, (*nilError)(nil)),
		"one that cannot be compared": listError{errSick},
	}
}

func TestEvilErrorsBreakNothing(t *testing.T) {
	for name, evil := range evilErrors() {
		for _, where := range []string{"agent", "validate", "stand-in", "rung", "change", "cause", "trial"} {
			t.Run(name+", from "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &strategies.Breaker{Failures: 3}
					agent := func(context.Context, string) (string, error) { return "", evil }
					well := func(context.Context, string) (string, error) { return "hi", nil }
					first := agent
					if where == "validate" || where == "cause" {
						first = well
					}
					chain := middleware.WrapFunc(first).Retry(promptly).CircuitBreaker(b).Observe(&diary{}).Observe(middleware.Slog(quiet())).
						Timeout(time.Minute).Deadline(time.Hour).Intervene(always(strategies.Decision{}))
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					switch where {
					case "validate":
						chain.Validate(func(context.Context, string, string) error { return evil })
					case "stand-in":
						chain.Fallback("sage", middleware.Func(agent))
					case "rung":
						chain.Degrade(strategies.LevelReduced, middleware.Func(agent))
					case "change":
						chain.FallbackVia("sage", middleware.Func(well), func(context.Context, string) (string, error) { return "", evil })
					case "cause":
						cancel(evil)
					}
					g := built(t, chain)
					_, err := g.Run(ctx, "hello")
					if err != nil && len(fmt.Sprint(err)) == 0 {
						t.Error("no text")
					}
					if where == "trial" {
						outage(t, g, b)
						_, _ = g.Run(ctx, "hello")
						time.Sleep(b.RetryAfter() + 1)
						if _, err := b.Allow(); err != nil {
							t.Errorf("a slot is taken: %v", err)
						}
					}
				})
			})
		}
	}
}

func TestUsersOwnFunctionsMayPanic(t *testing.T) {
	for name, build := range map[string]func(b *builder){
		"a backoff":    func(b *builder) { b.Retry(strategies.Retry{Backoff: wildBackoff{}}) },
		"FallbackFrom": func(b *builder) { b.FallbackFrom(func(context.Context) []standIn { panic("no cast") }) },
		"a roster": func(b *builder) {
			b.Roster(wildRoster{}).Intervene(always(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "x"}))
		},
		"a rule": func(b *builder) {
			b.Classifier(&strategies.Classifier{Rules: []strategies.Rule{func(error) strategies.Class { panic("no opinion") }}})
		},
		"a change": func(b *builder) {
			b.FallbackVia("sage", plays("hi"), func(context.Context, string) (string, error) { panic("no change") })
		},
		"around": func(b *builder) {
			b.Around(middleware.StageRetry, func(context.Context, func(context.Context) error) error { panic("no") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := middleware.Wrap(plays(errSick))
			build(b)
			_, err := built(t, b).Run(t.Context(), "hello")
			expect(t, "failed, and came back", err != nil, true)
		})
	}
}

type (
	wildBackoff struct{}
	wildRoster  struct{}
)

func (wildBackoff) Delay(int) time.Duration { panic("no delay") }
func (wildBackoff) Validate() error         { return nil }
func (wildRoster) Names() []string          { panic("no names") }
func (wildRoster) Lookup(string) (middleware.Runner[string, string], bool) {
	panic("no agent")
}

func TestDurationsWithoutAUnitAreRefused(t *testing.T) {
	for name, build := range map[string]func() error{
		"Timeout":     func() error { _, err := middleware.Wrap(plays("hi")).Timeout(600).Build(); return err },
		"Deadline":    func() error { _, err := middleware.Wrap(plays("hi")).Deadline(120).Build(); return err },
		"HardTimeout": func() error { _, err := middleware.Wrap(plays("hi")).HardTimeout(30, 4).Build(); return err },
		"Delays[0]": func() error {
			_, err := middleware.Wrap(plays("hi")).Retry(strategies.Retry{Backoff: strategies.Delays{1, 2, 4}}).Build()
			return err
		},
		"Exponential.Base": func() error {
			_, err := middleware.Wrap(plays("hi")).Retry(strategies.Retry{Backoff: strategies.Exponential{Base: 1}}).Build()
			return err
		},
		"Retry.MaxRetryAfter": func() error {
			_, err := middleware.Wrap(plays("hi")).Retry(strategies.Retry{MaxRetryAfter: 60}).Build()
			return err
		},
		"Breaker.OpenFor": func() error {
			_, err := middleware.Wrap(plays("hi")).CircuitBreaker(&strategies.Breaker{OpenFor: 30}).Build()
			return err
		},
		"Bulkhead.MaxWait": func() error {
			_, err := middleware.Wrap(plays("hi")).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: 5}).Build()
			return err
		},
		"Intervene.Deadline": func() error {
			how := always(strategies.Decision{})
			how.Deadline = 300
			_, err := middleware.Wrap(plays("hi")).Intervene(how).Build()
			return err
		},
		"Ladder.MinimumStay": func() error {
			_, err := middleware.Wrap(plays("hi")).Ladder(&strategies.Ladder{MinimumStay: 30}).Degrade(strategies.LevelReduced, plays("x")).Build()
			return err
		},
		"Idle": func() error { _, err := middleware.WrapStream(voices(script{"a"})).Idle(10).Build(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := build()
			expectIs(t, err, strategies.ErrConfig)
			expect(t, "it says which and asks what was meant", strings.Contains(err.Error(), "understudy: "+name+" ") && strings.Contains(err.Error(), "time.Second?"), true)
		})
	}
}

func TestAPersonsWordIsATrial(t *testing.T) {
	t.Run("through an open breaker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			agent := plays(errSick, "hi")
			var shut time.Duration
			ask := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
				shut = i.ShutFor
				return strategies.Decision{Action: strategies.ActionRetryNow}, nil
			})
			g := built(t, middleware.Wrap(agent).CircuitBreaker(b).Intervene(middleware.Intervention{Ask: ask}))
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "hi")
			expect(t, "the incident says how long the door is shut", shut > 0, true)
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("a hold is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			agent := plays(strategies.WithRetryAfter(90*time.Second, ofClass(strategies.ClassRateLimited)), "hi")
			g := built(t, middleware.Wrap(agent).CircuitBreaker(b).Intervene(always(strategies.Decision{Action: strategies.ActionRetryNow})))
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "hi")
			expect(t, "waited", o.Elapsed >= 90*time.Second && o.Elapsed < 2*time.Minute, true)
		})
	})
	t.Run("who answered after it is told as it was", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("sage", plays(errGone, "hi")).Intervene(always(strategies.Decision{Action: strategies.ActionRetryNow})))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "served by", o.ServedBy, "sage")
	})
	t.Run("what a stand-in will be asked is shown", func(t *testing.T) {
		var shown map[string]any
		ask := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
			shown = i.Requests
			return strategies.Decision{}, nil
		})
		failing(t, built(t, middleware.Wrap(plays(errSick)).Fallback("plain", plays(errGone)).
			FallbackVia("half", plays(errGone), func(context.Context, string) (string, error) { return "pay 50", nil }).Intervene(middleware.Intervention{Ask: ask})))
		expect(t, "requests", fmt.Sprint(shown), "map[half:pay 50]")
	})
	t.Run("the agent itself is nobody to name", func(t *testing.T) {
		err := failing(t, built(t, middleware.Wrap(plays(errSick)).Named("bard").Roster(troupe{"bard": plays("hi")}).
			Intervene(always(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "bard"}))))
		var wrong *strategies.InterventionError
		expect(t, "refused", errors.As(err, &wrong), true)
	})
}

func TestHealthTellsTheLastRealFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{}
		g := built(t, middleware.Wrap(plays(strategies.WithClass(strategies.ClassUnauthorized, errors.New("the key has expired")))).CircuitBreaker(b).Fallback("sage", plays("hi")))
		begin := time.Now()
		for range 200 {
			asked(t, g, "hi")
			h := g.Health()
			expect(t, "class", h.LastClass, strategies.ClassUnauthorized)
			expect(t, "text", h.LastError, "the key has expired")
			expect(t, "others since", h.OthersSince.Equal(begin), true)
		}
	})
}

func TestAMiddlewareLearnsTheLevel(t *testing.T) {
	var kept []string
	cache := func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
		return middleware.Func(func(ctx context.Context, req string) (string, error) {
			ctx, how := middleware.Trace(ctx)
			answer, err := next.Run(ctx, req)
			if err == nil && how.Level() == strategies.LevelFull {
				kept = append(kept, answer)
			}
			return answer, err
		})
	}
	g := built(t, middleware.Wrap(plays(errSick, "hi")).Degrade(strategies.LevelReduced, plays("sorry")).Use(middleware.StageObserve, cache))
	asked(t, g, "sorry")
	asked(t, g, "hi")
	expect(t, "kept", kept, []string{"hi"})
	o := built(t, middleware.Wrap(plays(errSick)).Degrade(strategies.LevelReduced, plays("sorry")).Use(middleware.StageIntervene, cache)).Outcome(t.Context(), "")
	expect(t, "and the outcome still knows", o.Level, strategies.LevelReduced)
}

func TestSlowReadersDoNotShutAnAgent(t *testing.T) {
	t.Run("under a Deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			g := streaming(t, middleware.WrapStream(voices(script{"a", "b", "c"})).CircuitBreaker(b).Deadline(2*time.Second))
			for range 10 {
				for range g.Stream(t.Context(), "tell") {
					time.Sleep(3 * time.Second)
				}
			}
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("one that stalls does not keep the only trial", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			agent := voices(script{errSick}, script{"a", "b"})
			g := streaming(t, middleware.WrapStream(agent).CircuitBreaker(b).Idle(10*time.Second))
			_, _ = hear(g.Stream(t.Context(), "tell"))
			time.Sleep(time.Minute)
			stalled := make(chan struct{})
			var all sync.WaitGroup
			all.Go(func() {
				for range g.Stream(t.Context(), "tell") {
					<-stalled
				}
			})
			synctest.Wait()
			time.Sleep(time.Minute)
			seen, _ := hear(g.Stream(t.Context(), "tell"))
			expect(t, "another reader sees", seen, "a b end")
			close(stalled)
			all.Wait()
		})
	})
}

func TestHeartbeatsAreNoSpeech(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beats := middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, w := range []string{"once", "upon", "a"} {
					if !yield(w, nil) {
						return
					}
				}
				for ctx.Err() == nil {
					time.Sleep(2 * time.Second)
					if !yield("", nil) {
						return
					}
				}
			}
		})
		g := streaming(t, middleware.WrapStream(beats).Commit(func(c string) bool { return c != "" }).Idle(10*time.Second))
		begin := time.Now()
		_, err := middleware.Collect(g.Stream(t.Context(), "tell"))
		expect(t, "cut off", err != nil && time.Since(begin) < 15*time.Second, true)
	})
}

func TestContinueWithoutRetryRefillsItsBudget(t *testing.T) {
	n := 0
	agent := middleware.StreamFunc(func(_ context.Context, req string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if req != "go on" {
				if yield("a", nil) {
					yield("", errSick)
				}
				return
			}
			yield("b", nil)
		}
	})
	g := streaming(t, middleware.WrapStream(agent).Continue(1, func(context.Context, string, []string) (string, bool) { return "go on", true }))
	for range 1000 {
		if seen, _ := hear(g.Stream(t.Context(), "tell")); seen == "a b end" {
			n++
		}
		for range 5 { // ordinary streams in between
			_, _ = hear(g.Stream(t.Context(), "go on"))
		}
	}
	expect(t, "continued", n, 1000)
}

func TestHardTimeoutKeepsItsBoundWithAThousandCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		agent := middleware.Func(func(context.Context, string) (string, error) { <-gate; return "late", nil })
		slots := &strategies.Bulkhead{MaxConcurrent: 2000}
		g := built(t, middleware.Wrap(agent).HardTimeout(time.Second, 4).Bulkhead(slots))
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { _, _ = g.Run(t.Context(), "hello") })
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expect(t, "left behind", g.Health().LeftBehind, 4)
		expect(t, "their slots are taken", slots.InFlight(), 1000)
		close(gate)
		all.Wait()
		synctest.Wait()
		expect(t, "left behind at the end", g.Health().LeftBehind, 0)
		expect(t, "slots at the end", slots.InFlight(), 0)
	})
}
