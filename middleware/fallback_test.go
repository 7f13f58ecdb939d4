package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

type standIn = middleware.StandIn[middleware.Runner[string, string]]

func TestFallback(t *testing.T) {
	t.Run("it asks nobody else while the agent answers", func(t *testing.T) {
		other := plays("stand-in")
		asked(t, built(t, middleware.Wrap(plays("hi")).Fallback("other", other)), "hi")
		expect(t, "calls", other.called(), 0)
	})
	t.Run("it asks the stand-ins in the order in which they were named", func(t *testing.T) {
		agent, one, two, three := plays(errSick), plays(errGone), plays("second"), plays("third")
		g := built(t, middleware.Wrap(agent).Fallback("one", one).Retry(promptly).Fallback("two", two).Fallback("three", three))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "answer", o.Value, "second")
		expect(t, "strategy", o.Strategy, strategies.StrategyFallback)
		expect(t, "served by", o.ServedBy, "two")
		expect(t, "level", o.Level, strategies.LevelFull)
		expect(t, "attempts", o.Attempts, 6)
		expect(t, "calls", []int{agent.called(), one.called(), two.called(), three.called()}, []int{4, 1, 1, 0})
	})
	t.Run("it deletes the agent's count of failures, but spent stays spent", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Retry(promptly).Fallback("other", plays("hi")))
		asked(t, g, "hi")
		expect(t, "failures", g.Health().Failures, 0)
		expect(t, "spent", g.Health().Spent, true)
	})
	t.Run("it keeps every failure when nobody could answer", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Named("bard").Fallback("one", plays(errGone)).Fallback("two", panicsWith(errShort)))
		err := failing(t, g)
		re := recoveryOf(t, err)
		expectIs(t, err, errSick, errGone, errShort, strategies.ErrRecovery)
		expect(t, "attempts", attemptsOf(re), "bard:transient one:transient two:panic")
		expect(t, "class that decides", re.Class, strategies.ClassTransient)
		expect(t, "required", re.Strategy, strategies.StrategyDegradation)
	})
	t.Run("it asks nobody after the caller has left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		leaves := stepFunc(func(context.Context, string) (string, error) { cancel(); return "", errGone })
		last := plays("hi")
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("leaves", plays(leaves)).Fallback("last", last))
		_, err := g.Run(ctx, "hello")
		expectIs(t, err, errSick, errGone, context.Canceled)
		expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
		expect(t, "required", recoveryOf(t, err).Strategy, strategies.StrategyNone)
		expect(t, "calls", last.called(), 0)
	})
	t.Run("it lets a stand-in's interrupt pass, and asks nobody further", func(t *testing.T) {
		last := plays("hi")
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("pauses", plays(passThrough)).Fallback("last", last).Degrade(strategies.LevelReduced, last))
		expect(t, "untouched", failing(t, g) == passThrough, true) //nolint:errorlint // it must be the very same
		expect(t, "calls", last.called(), 0)
	})
	t.Run("it works by hand without names of its own", func(t *testing.T) {
		r := middleware.Chain(plays(errSick), middleware.Fallback(&middleware.Owner{}, standIn{Name: "other", Agent: panicsWith("ouch")}, standIn{Name: "last", Agent: plays("hi")}))
		asked(t, r, "hi")
	})
}

func TestFallbackAsksByClass(t *testing.T) {
	for _, class := range strategies.Classes() {
		t.Run(class.String(), func(t *testing.T) {
			if class == strategies.ClassCanceled {
				class = strategies.ClassTransient // of another call: our caller still waits
			}
			other := plays("hi")
			_, err := built(t, middleware.Wrap(plays(ofClass(class))).Fallback("other", other)).Run(t.Context(), "hello")
			wanted := strategies.VerdictOf(class).Fallback
			expect(t, "recovered", err == nil, wanted)
			expect(t, "asked", other.called() == 1, wanted)
		})
	}
	t.Run("a refusal is no bad request: a classifier may let it be asked again elsewhere", func(t *testing.T) {
		row := strategies.VerdictOf(strategies.ClassBlocked)
		row.Fallback = true
		c := &strategies.Classifier{Verdicts: map[strategies.Class]strategies.Verdict{strategies.ClassBlocked: row}}
		agent, other := plays(ofClass(strategies.ClassBlocked)), plays("hi")
		failing(t, built(t, middleware.Wrap(agent).Fallback("other", other)))
		expect(t, "calls by default", other.called(), 0)
		asked(t, built(t, middleware.Wrap(agent).Fallback("other", other).Classifier(c)), "hi")
	})
	t.Run("what one refuses, another may accept: a bad request asks each stand-in once", func(t *testing.T) {
		bad := func() *play { return plays(ofClass(strategies.ClassBadRequest)) }
		sorry, breaker := plays("sorry"), &strategies.Breaker{Failures: 1}
		primary, first, second := bad(), bad(), plays("hi")
		chain := func(last *play) *middleware.Guarded[string, string] {
			return built(t, middleware.Wrap(primary).Retry(promptly).CircuitBreaker(breaker).Fallback("first", first).Fallback("last", last).
				Degrade(strategies.LevelReduced, sorry).Intervene(middleware.Intervention{Ask: inbox.NewDesk()}))
		}
		asked(t, chain(second), "hi")
		expect(t, "calls", [3]int{primary.called(), first.called(), second.called()}, [3]int{1, 1, 1})

		re := recoveryOf(t, failing(t, chain(bad())))
		expect(t, "required", re.Strategy, strategies.StrategyNone)
		expect(t, "class", re.Class, strategies.ClassBadRequest)
		expect(t, "answers that hide a bug of the caller's", sorry.called(), 0)
		expect(t, "breaker", breaker.State(), strategies.StateClosed)
		if text := re.Error(); !strings.Contains(text, "all 3 agents refuse this request") {
			t.Errorf("the error does not say that nobody takes it: %s", text)
		}
	})
}

func TestFallbackToTheGuarded(t *testing.T) {
	t.Run("it calls a guarded stand-in once, without its retries and stand-ins", func(t *testing.T) {
		second, third, told := plays(errGone), plays("third"), &diary{}
		guarded := built(t, middleware.Wrap(second).Named("second").Retry(promptly).Fallback("third", third).
			Degrade(strategies.LevelReduced, third).Observe(told))
		g := built(t, middleware.Wrap(plays(errSick)).Retry(promptly).Fallback("second", guarded))
		expectIs(t, failing(t, g), errSick, errGone)
		expect(t, "calls of the stand-in", second.called(), 1)
		expect(t, "calls of its own stand-in", third.called(), 0)
		asked(t, guarded, "third") // by itself it has all of it
	})
	t.Run("it calls it through its own breaker, bulkhead and timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			guarded := built(t, middleware.Wrap(plays(stepFunc(hangs))).Named("second").CircuitBreaker(b).Timeout(time.Second))
			g := built(t, middleware.Wrap(plays(errSick)).Timeout(time.Hour).Fallback("second", guarded))
			start := time.Now()
			expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))), "agent:transient second:timeout")
			expect(t, "elapsed", time.Since(start), time.Second)
			expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))), "agent:transient second:rejected")
			expect(t, "elapsed", time.Since(start), time.Second)
		})
	})
	t.Run("a stand-in without layers is bounded by the agent's timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			g := built(t, middleware.Wrap(plays(errSick)).Timeout(time.Second).Fallback("second", plays(stepFunc(hangs))))
			expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))), "agent:transient second:timeout")
			expect(t, "elapsed", time.Since(start), time.Second)
		})
	})
	t.Run("it keeps the layers of one behind Adapt", func(t *testing.T) {
		inner := plays(errGone)
		guarded := built(t, middleware.Wrap(inner).Named("second").Retry(promptly))
		asIs := func(_ context.Context, s string) (string, error) { return s, nil }
		failing(t, built(t, middleware.Wrap(plays(errSick)).Fallback("second", middleware.Adapt(guarded, asIs, asIs))))
		expect(t, "calls", inner.called(), 1)
	})
	t.Run("a cast of two who name each other comes to an end", func(t *testing.T) {
		a, b := plays(errSick), plays(errGone)
		var first, second *middleware.Guarded[string, string]
		first = built(t, middleware.Wrap(a).Named("first").Retry(promptly).FallbackFrom(func(context.Context) []standIn { return []standIn{{Name: "second", Agent: second}} }))
		second = built(t, middleware.Wrap(b).Named("second").Retry(promptly).FallbackFrom(func(context.Context) []standIn { return []standIn{{Name: "first", Agent: first}} }))
		expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, first))), "first:transient first:transient first:transient first:transient second:transient")
	})
	t.Run("nor is it asked again by an agent that calls it from inside", func(t *testing.T) {
		a := plays(errSick)
		var first *middleware.Guarded[string, string]
		// The stand-in is no guarded agent: it calls the first one by itself.
		helper := plays(stepFunc(func(ctx context.Context, req string) (string, error) { return first.Run(ctx, req) }))
		first = built(t, middleware.Wrap(a).Named("first").Retry(promptly).FallbackFrom(func(context.Context) []standIn { return []standIn{{Name: "helper", Agent: helper}} }))
		failing(t, first)
		expect(t, "calls of the agent", a.called(), 5) // four, and one by the helper, without retries
		expect(t, "calls of the helper", helper.called(), 1)
	})
}

func TestFallbackVia(t *testing.T) {
	t.Run("it gives the stand-in a changed request, and the others the same as before", func(t *testing.T) {
		echo := stepFunc(func(_ context.Context, req string) (string, error) { return "", errors.New(req) })
		g := built(t, middleware.Wrap(plays(echo)).FallbackVia("short", plays(echo), func(_ context.Context, s string) (string, error) { return s[:2], nil }).Fallback("whole", plays(echo)))
		var heard []string
		for _, a := range recoveryOf(t, failing(t, g)).Attempts {
			heard = append(heard, a.Err.Error())
		}
		expect(t, "requests", heard, []string{"hello", "he", "hello"})
	})
	t.Run("it goes on when the request cannot be changed", func(t *testing.T) {
		other := plays("hi")
		g := built(t, middleware.Wrap(plays(errSick)).FallbackVia("short", other, func(context.Context, string) (string, error) { return "", errGone }).Fallback("whole", plays("whole")))
		asked(t, g, "whole")
		expect(t, "calls", other.called(), 0)
	})
	t.Run("it survives a change that panics", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).FallbackVia("short", plays("hi"), func(context.Context, string) (string, error) { panic("ouch") }))
		expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))), "agent:transient short:panic")
	})
	t.Run("a stand-in of other types plays the role behind Adapt", func(t *testing.T) {
		square := middleware.Func(func(_ context.Context, n int) (int, error) { return n * n, nil })
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("square", middleware.Adapt(square,
			func(_ context.Context, s string) (int, error) { return len(s), nil },
			func(_ context.Context, n int) (string, error) { return strconv.Itoa(n), nil })))
		asked(t, g, "25")
	})
}

func TestFallbackFrom(t *testing.T) {
	t.Run("it looks up stand-ins when they are needed, after those that are named", func(t *testing.T) {
		var mu sync.Mutex
		var cast []standIn
		looked := 0
		g := built(t, middleware.Wrap(plays("hi", errSick)).Fallback("fixed", plays(errGone)).FallbackFrom(func(context.Context) []standIn {
			mu.Lock()
			defer mu.Unlock()
			looked++
			return slices.Clone(cast)
		}))
		asked(t, g, "hi")
		expect(t, "looked up for a healthy call", looked, 0)
		failing(t, g)
		cast = append(cast, standIn{Name: "late", Agent: plays("from the cast")})
		asked(t, g, "from the cast")
		expect(t, "looked up", looked, 2)
	})
	t.Run("it never asks the agent itself, nor anyone twice", func(t *testing.T) {
		agent, other := plays(errSick), plays(errGone)
		g := built(t, middleware.Wrap(agent).Named("bard").Fallback("other", other).FallbackFrom(func(context.Context) []standIn {
			return []standIn{{Name: "bard", Agent: agent}, {Name: "other", Agent: other}, {Name: "new", Agent: other}}
		}))
		expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))), "bard:transient other:transient new:transient")
	})
	t.Run("it bounds and protects what it looks up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.Wrap(plays(errSick)).Timeout(time.Second).Validate(longEnough).FallbackFrom(func(context.Context) []standIn {
				return []standIn{{Name: "hangs", Agent: plays(stepFunc(hangs))}, {Name: "panics", Agent: panicsWith("ouch")}, {Name: "nobody", Agent: nil}, {Name: "curt", Agent: plays("no")}}
			}))
			start := time.Now()
			expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))),
				"agent:transient hangs:timeout panics:panic nobody:unrecoverable curt:invalid_answer")
			expect(t, "elapsed", time.Since(start), time.Second)
		})
	})
	t.Run("it survives a look-up that panics, and keeps what it said", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).FallbackFrom(func(context.Context) []standIn { panic(errShort) }).Degrade(strategies.LevelMinimal, plays("sorry", errGone)))
		asked(t, g, "sorry")
		expectIs(t, failing(t, g), errSick, errShort, errGone)
	})
	t.Run("it may find nobody", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).FallbackFrom(func(context.Context) []standIn { return nil }))
		expect(t, "attempts", attemptsOf(recoveryOf(t, failing(t, g))), "agent:transient")
	})
}

func TestFallbackReadsInEvents(t *testing.T) {
	told := &diary{}
	g := built(t, middleware.Wrap(plays(errSick)).Named("bard").Fallback("one", plays(errGone)).Fallback("two", plays("hi")).Observe(told))
	asked(t, g, "hi")
	var lines []string
	for _, e := range told.events {
		lines = append(lines, fmt.Sprint(e.Kind, " ", e.Agent, "/", e.ServedBy, " ", e.Class, " ", e.Strategy, " ", e.Attempt, " ", e.Err))
	}
	expect(t, "events", lines, []string{
		"attempt_failed bard/bard transient none 1 the agent is sick",
		"stand_in_called bard/one transient none 0 <nil>",
		"stand_in_failed bard/one transient none 0 the stand-in is gone",
		"stand_in_called bard/two transient none 0 <nil>",
		"recovered bard/two transient fallback 3 <nil>",
	})
}
