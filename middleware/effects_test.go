package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// payment is what the tool of these tests is asked for.
type payment struct {
	Order  string
	Amount int
}

// bank is a destination: it counts what it really did.
type bank struct {
	mu    sync.Mutex
	paid  map[string]int
	calls int
	// fails are the errors of its calls, in order; behind says that it acts first.
	fails  []error
	behind bool
}

func (b *bank) pay(_ context.Context, p payment) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paid == nil {
		b.paid = map[string]int{}
	}
	var err error
	if b.calls < len(b.fails) {
		err = b.fails[b.calls]
	}
	b.calls++
	if err == nil || b.behind {
		b.paid[p.Order]++
	}
	if err != nil {
		return "", err
	}
	return "receipt " + p.Order, nil
}

func (b *bank) of(order string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paid[order]
}

var errReset = &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// orders is an agent that pays what it is asked to and then goes on by script.
func orders(tool middleware.Runner[payment, string], then ...any) *play {
	next := plays(then...)
	return plays(stepFunc(func(ctx context.Context, req string) (string, error) {
		receipt, err := tool.Run(ctx, payment{Order: req, Amount: 7})
		if err != nil {
			return "", err
		}
		if answer, err := next.Run(ctx, req); err != nil || answer != "" {
			return answer, err
		}
		return receipt, nil
	}))
}

func statesOf(records []strategies.EffectRecord) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Tool+":"+r.State.String())
	}
	return strings.Join(all, " ")
}

func TestPromise9NothingIsDoneTwice(t *testing.T) {
	wrapped := func(b *bank) *middleware.Tool[payment, string] {
		return middleware.WrapTool("pay", strategies.EffectOnce, b.pay)
	}
	t.Run("a retry gets the recorded result", func(t *testing.T) {
		b := &bank{}
		g := built(t, middleware.Wrap(orders(wrapped(b), errSick, "")).Retry(promptly).Effects(middleware.Effects{}))
		out := g.Outcome(t.Context(), "A1")
		expect(t, "answer", out.Value, "receipt A1")
		expect(t, "paid", b.of("A1"), 1)
		expect(t, "effects", statesOf(out.Effects), "pay:done pay:replayed")
	})
	t.Run("a stand-in gets it too, whether it has layers or not", func(t *testing.T) {
		b := &bank{}
		tool := wrapped(b)
		guarded := built(t, middleware.Wrap(orders(tool, errSick)).Named("second").Retry(promptly))
		g := built(t, middleware.Wrap(orders(tool, errSick)).Fallback("second", guarded).Fallback("third", orders(tool, "")).Effects(middleware.Effects{}))
		out := g.Outcome(t.Context(), "A1")
		expect(t, "answer", out.Value, "receipt A1")
		expect(t, "paid", b.of("A1"), 1)
		expect(t, "effects", statesOf(out.Effects), "pay:done pay:replayed pay:replayed")
	})
	t.Run("a nested agent's effect is part of the call", func(t *testing.T) {
		b := &bank{}
		inner := built(t, middleware.Wrap(orders(wrapped(b), errSick, "")).Named("cashier").Retry(promptly).Effects(middleware.Effects{}))
		tries := 0
		g := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
			receipt, err := inner.Run(ctx, req)
			if tries++; tries == 1 {
				return "", errSick
			}
			return receipt, err
		}).Retry(promptly).Effects(middleware.Effects{}))
		asked(t, g2(g), "receipt hello")
		expect(t, "paid", b.of("hello"), 1)
	})
	t.Run("without a journal it is paid twice: that is what the layer is for", func(t *testing.T) {
		b := &bank{}
		raw := middleware.Func(b.pay)
		asked(t, built(t, middleware.Wrap(orders(raw, errSick, "")).Retry(promptly)), "receipt hello")
		expect(t, "paid", b.of("hello"), 2)
	})
	t.Run("a call that writes nothing down is not made twice: the tool refuses the second time", func(t *testing.T) {
		b := &bank{}
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(orders(wrapped(b), errSick, "")).Retry(promptly).Fallback("sage", plays("hi")))))
		expectIs(t, re, strategies.ErrConfig)
		expect(t, "paid", b.of("hello"), 1)
	})
	t.Run("in a chain by hand, within one that is built", func(t *testing.T) {
		b := &bank{}
		owner := &middleware.Owner{Name: "by hand"}
		inner := middleware.Chain(orders(wrapped(b), errSick, ""), middleware.Retry[string, string](owner, promptly))
		g := built(t, middleware.Wrap(inner).Effects(middleware.Effects{}))
		asked(t, g, "receipt hello")
		expect(t, "paid", b.of("hello"), 1)
	})
	t.Run("outside of every call it is simply called, of whatever kind it is", func(t *testing.T) {
		for _, kind := range []strategies.Effect{strategies.EffectOnce, strategies.EffectIdempotent, strategies.EffectReadOnly} {
			b := &bank{}
			receipt, err := middleware.WrapTool("pay", kind, b.pay).Run(t.Context(), payment{Order: "A1"})
			expect(t, "receipt", receipt, "receipt A1")
			expect(t, "error", err, nil)
		}
	})
	t.Run("a tool that is wrapped twice does not wait for itself, directly or by way of an agent", func(t *testing.T) {
		b := &bank{}
		guarded := built(t, middleware.Wrap(orders(wrapped(b), "")).Named("cashier").Retry(promptly))
		for _, inner := range []func(context.Context, payment) (string, error){
			wrapped(b).Run,
			func(ctx context.Context, p payment) (string, error) { return guarded.Run(ctx, p.Order) },
		} {
			b.paid = nil
			twice := middleware.WrapTool("pay", strategies.EffectOnce, inner)
			asked(t, g2(built(t, middleware.Wrap(orders(twice, errSick, "")).Retry(promptly).Effects(middleware.Effects{}))), "receipt hello")
			expect(t, "paid", b.of("hello"), 1)
		}
	})
	t.Run("a call knows whether its tools are written down", func(t *testing.T) {
		journaled := func(want bool) middleware.Runner[string, string] {
			return plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
				expect(t, "journaled", middleware.CallOf(ctx).Journaled(), want)
				return "hi", nil
			}))
		}
		asked(t, g2(built(t, middleware.Wrap(journaled(true)).Effects(middleware.Effects{}))), "hi")
		asked(t, g2(built(t, middleware.Wrap(journaled(false)).Identify())), "hi")
		asked(t, g2(built(t, middleware.Wrap(journaled(false)))), "hi")
	})
	for _, tc := range []struct {
		it    string
		err   error
		calls int
		class strategies.Class // of the call; ClassUnclassified: it is answered
	}{
		{"a refused connection proves that nothing was done", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, 2, strategies.ClassUnclassified},
		{"so does a refusal by the destination", &refusal{429, "slow down"}, 2, strategies.ClassUnclassified},
		{"so does what says so", strategies.NotDone(errSick), 2, strategies.ClassUnclassified},
		{"so does an open breaker", &strategies.OpenError{State: strategies.StateOpen}, 1, strategies.ClassRejected},
		{"a cut connection proves nothing", errReset, 1, strategies.ClassUncertain},
		{"nor does a server's own failure", &refusal{503, "out"}, 1, strategies.ClassUncertain},
		{"nor does an error that nobody knows", errSick, 1, strategies.ClassUncertain},
	} {
		t.Run(tc.it, func(t *testing.T) {
			b, stand, rung := &bank{fails: []error{tc.err}}, plays("hi"), plays("sorry")
			chain := middleware.Wrap(orders(wrapped(b), "")).Retry(promptly).Effects(middleware.Effects{})
			if tc.class == strategies.ClassUncertain {
				chain = chain.Fallback("sage", stand).Degrade(strategies.LevelReduced, rung)
			}
			out := built(t, chain).Outcome(t.Context(), "A1")
			expect(t, "calls of the bank", b.calls, tc.calls)
			if tc.class == strategies.ClassUnclassified {
				expect(t, "error", out.Err, nil)
				expect(t, "effects", statesOf(out.Effects), "pay:done")
				return
			}
			expect(t, "class", recoveryOf(t, out.Err).Class, tc.class)
			expect(t, "answers that cover it up", [2]int{stand.called(), rung.called()}, [2]int{})
			if tc.class == strategies.ClassUncertain {
				expect(t, "effects", statesOf(out.Effects), "pay:uncertain")
				expect(t, "required", recoveryOf(t, out.Err).Strategy, strategies.StrategyUserIntervention)
			}
		})
	}
	t.Run("an uncertain effect stays so, whatever fails next", func(t *testing.T) {
		b, swallows := &bank{fails: []error{errReset}}, 0
		tool := wrapped(b)
		g := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
			_, _ = tool.Run(ctx, payment{Order: req}) // the model is told, and then its provider fails
			swallows++
			return "", errSick
		}).Retry(promptly).Fallback("sage", plays("hi")).Effects(middleware.Effects{}))
		expect(t, "class", recoveryOf(t, failing(t, g)).Class, strategies.ClassUncertain)
		expect(t, "attempts", swallows, 1)
	})
	t.Run("Verify asks the destination", func(t *testing.T) {
		for _, tc := range []struct {
			it     string
			behind bool
			verify func(b *bank) func(context.Context, string) (string, bool, error)
			paid   int
			answer string
		}{
			{"it was done", true, func(b *bank) func(context.Context, string) (string, bool, error) {
				return func(_ context.Context, key string) (string, bool, error) { return "found " + key, b.of(key) == 1, nil }
			}, 1, "found A1"},
			{"it was not done, and is then", false, func(b *bank) func(context.Context, string) (string, bool, error) {
				return func(_ context.Context, key string) (string, bool, error) { return "", b.of(key) == 1, nil }
			}, 1, "receipt A1"},
			{"it does not know", true, func(*bank) func(context.Context, string) (string, bool, error) {
				return func(context.Context, string) (string, bool, error) { return "", false, errGone }
			}, 1, ""},
			{"it panics", true, func(*bank) func(context.Context, string) (string, bool, error) {
				return func(context.Context, string) (string, bool, error) { panic("no") }
			}, 1, ""},
		} {
			t.Run(tc.it, func(t *testing.T) {
				b := &bank{fails: []error{errReset}, behind: tc.behind}
				tool := wrapped(b).Key(func(p payment) string { return p.Order }).Verify(tc.verify(b))
				out := built(t, middleware.Wrap(orders(tool, "")).Retry(promptly).Effects(middleware.Effects{})).Outcome(t.Context(), "A1")
				expect(t, "answer", out.Value, tc.answer)
				expect(t, "paid", b.of("A1"), tc.paid)
				if tc.answer == "" {
					expect(t, "class", recoveryOf(t, out.Err).Class, strategies.ClassUncertain)
				}
			})
		}
	})
	t.Run("a person decides what nobody knows", func(t *testing.T) {
		for action, want := range map[strategies.Action]string{strategies.ActionAnswer: "by hand", strategies.ActionRetryNow: "receipt A1", strategies.ActionAbort: ""} {
			b := &bank{fails: []error{errReset}}
			var seen strategies.Incident
			person := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
				seen = i
				return strategies.Decision{Action: action, Value: "by hand"}, nil
			})
			out := built(t, middleware.Wrap(orders(wrapped(b), "")).Retry(promptly).Effects(middleware.Effects{Ask: person})).Outcome(t.Context(), "A1")
			expect(t, action.String(), out.Value, want)
			q, ok := seen.Request.(middleware.EffectQuestion)
			if !ok || q.Tool != "pay" || string(q.Args) != `{"Order":"A1","Amount":7}` || seen.Call == "" {
				t.Errorf("the person sees %+v", seen)
			}
		}
	})
}

// g2 is a guarded agent as asked wants it.
func g2(g *middleware.Guarded[string, string]) middleware.Runner[string, string] { return g }

func TestDrift(t *testing.T) {
	drifts := func(b *bank) middleware.Runner[string, string] {
		tool := middleware.WrapTool("pay", strategies.EffectOnce, b.pay).Key(func(p payment) string { return p.Order })
		attempt := 0
		return middleware.Func(func(ctx context.Context, _ string) (string, error) {
			attempt++
			receipt, err := tool.Run(ctx, payment{Order: fmt.Sprint("A", attempt)})
			if err == nil && attempt == 1 {
				return "", errSick
			}
			return receipt, err
		})
	}
	yes := always(strategies.Decision{Action: strategies.ActionRetryNow}).Ask
	no := always(strategies.Decision{}).Ask
	for _, tc := range []struct {
		it   string
		with middleware.Effects
		ok   bool
	}{
		{"is refused by default", middleware.Effects{}, false},
		{"is done where that is allowed", middleware.Effects{Drift: middleware.DriftAllowed}, true},
		{"is done if a person says so", middleware.Effects{Drift: middleware.DriftAsked, Ask: yes}, true},
		{"is refused if a person does not", middleware.Effects{Drift: middleware.DriftAsked, Ask: no}, false},
	} {
		t.Run("a later attempt that plans anew "+tc.it, func(t *testing.T) {
			b := &bank{}
			g := built(t, middleware.Wrap(drifts(b)).Retry(promptly).Effects(tc.with))
			out := g.Outcome(t.Context(), "")
			expect(t, "paid", b.of("A1")+b.of("A2"), map[bool]int{true: 2, false: 1}[tc.ok])
			if !tc.ok {
				drift, ok := errors.AsType[*strategies.DriftError](out.Err)
				if !ok || len(drift.Done) != 1 || drift.Done[0] != "A1" || !strings.Contains(drift.Error(), "A1") {
					t.Errorf("got %v", out.Err)
				}
			}
		})
	}
	t.Run("two effects in one attempt are none", func(t *testing.T) {
		b := &bank{}
		tool := middleware.WrapTool("pay", strategies.EffectOnce, b.pay)
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			for _, order := range []string{"A1", "A2"} {
				if _, err := tool.Run(ctx, payment{Order: order}); err != nil {
					return "", err
				}
			}
			return "ok", nil
		}).Retry(promptly).Effects(middleware.Effects{}))
		asked(t, g2(g), "ok")
	})
	t.Run("a question without anybody to ask is refused", func(t *testing.T) {
		_, err := middleware.Wrap(plays("hi")).Effects(middleware.Effects{Drift: middleware.DriftAsked}).Build()
		expectIs(t, err, strategies.ErrConfig)
	})
}

func TestACallHasAnIdentity(t *testing.T) {
	idOf := stepFunc(func(ctx context.Context, _ string) (string, error) { return middleware.CallOf(ctx).ID(), nil })
	t.Run("the same in every attempt, stand-in and rung", func(t *testing.T) {
		var ids []string
		note := stepFunc(func(ctx context.Context, _ string) (string, error) {
			key, err := middleware.CallOf(ctx).IdempotencyKey()
			ids = append(ids, middleware.CallOf(ctx).ID()+" "+key)
			return "", errors.Join(err, errSick)
		})
		told := &diary{}
		g := built(t, middleware.Wrap(plays(note)).Retry(promptly).Fallback("sage", plays(note)).Degrade(strategies.LevelReduced, plays(note)).Identify().Observe(told))
		_, err := g.Run(middleware.WithCallID(t.Context(), "job-7"), "")
		if err == nil || len(ids) < 3 {
			t.Fatalf("%v, %v", ids, err)
		}
		for _, id := range ids {
			if id != ids[0] || !strings.HasPrefix(id, "job-7 ") {
				t.Errorf("ids differ: %v", ids)
			}
		}
		for _, e := range told.events {
			expect(t, e.Kind.String(), e.Call, "job-7")
		}
	})
	t.Run("one is made where none is given, and no two are the same", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(idOf)).Identify())
		a, _ := g.Run(t.Context(), "")
		b, _ := g.Run(t.Context(), "")
		if a == "" || a == b {
			t.Errorf("%q and %q", a, b)
		}
	})
	t.Run("a key in a call without one is an error", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
			_, err := middleware.CallOf(ctx).IdempotencyKey()
			expectIs(t, err, strategies.ErrConfig)
			expect(t, "kept", middleware.CallOf(ctx).Kept().Put("a", 1), false)
			expect(t, "acted", middleware.CallOf(ctx).Acted(), false)
			return "hi", nil
		}))).Retry(promptly))
		asked(t, g, "hi")
	})
	t.Run("two at once with one id are one call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			calls := atomic.Int64{}
			g := built(t, middleware.WrapFunc(func(context.Context, string) (string, error) {
				calls.Add(1)
				time.Sleep(time.Second)
				return "hi", nil
			}).Identify())
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					answer, err := g.Run(middleware.WithCallID(t.Context(), "hook"), "")
					expect(t, "answer", answer, "hi")
					expect(t, "error", err, nil)
				})
			}
			all.Wait()
			expect(t, "calls", calls.Load(), 1)
		})
	})
	t.Run("who leaves takes nobody with him", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
				select {
				case <-ctx.Done():
					return "", ctx.Err()
				case <-time.After(time.Minute):
					return "hi", nil
				}
			}).Identify())
			hasty, leave := context.WithCancel(middleware.WithCallID(t.Context(), "hook"))
			go func() { _, _ = g.Run(hasty, "") }()
			synctest.Wait()
			answer := make(chan string)
			go func() { a, _ := g.Run(middleware.WithCallID(t.Context(), "hook"), ""); answer <- a }()
			synctest.Wait()
			leave()
			expect(t, "answer", <-answer, "hi")
		})
	})
	t.Run("what the first attempt ordered the second finds", func(t *testing.T) {
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			kept := middleware.CallOf(ctx).Kept()
			if id, ok := kept.Get("picture"); ok {
				return id.(string), nil
			}
			kept.Put("picture", "p-1")
			return "", errSick
		}).Retry(promptly).Identify())
		asked(t, g2(g), "p-1")
	})
	t.Run("an agent that has acted is not asked again", func(t *testing.T) {
		stand := plays("hi")
		agent := plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
			middleware.CallOf(ctx).Acted()
			return "", errSick
		}))
		g := built(t, middleware.Wrap(agent).Retry(promptly).Fallback("sage", stand).Identify())
		expect(t, "class", recoveryOf(t, failing(t, g)).Class, strategies.ClassUncertain)
		expect(t, "calls", [2]int{agent.called(), stand.called()}, [2]int{1, 0})
	})
}

func TestACrashIsFoundAgain(t *testing.T) {
	for _, tc := range []struct {
		it     string
		verify bool
		behind bool // the bank had acted before the process died
		paid   int
		answer string
	}{
		{"what was done before it is given back", true, true, 1, "found"},
		{"what was not done before it is done now", true, false, 1, "receipt A1"},
		{"what nobody can say is uncertain", false, true, 1, ""},
	} {
		t.Run(tc.it, func(t *testing.T) {
			journal, b := &strategies.MemoryJournal{}, &bank{}
			if tc.behind {
				_, _ = b.pay(t.Context(), payment{Order: "A1"})
			}
			// An earlier process wrote it down, called the bank, and died.
			_, begun, err := journal.Begin(t.Context(), strategies.EffectRecord{Call: "job-7", Tool: "pay", Key: "A1"})
			if !begun || err != nil {
				t.Fatal(err)
			}
			tool := middleware.WrapTool("pay", strategies.EffectOnce, b.pay).Key(func(p payment) string { return p.Order })
			if tc.verify {
				tool.Verify(func(_ context.Context, key string) (string, bool, error) { return "found", b.of(key) > 0, nil })
			}
			g := built(t, middleware.Wrap(orders(tool, "")).Retry(promptly).Effects(middleware.Effects{Journal: journal}))
			out := g.Outcome(middleware.WithCallID(t.Context(), "job-7"), "A1")
			expect(t, "answer", out.Value, tc.answer)
			expect(t, "paid", b.of("A1"), tc.paid)
		})
	}
	t.Run("a result that was recorded is given back to another process", func(t *testing.T) {
		journal, b := &strategies.MemoryJournal{}, &bank{}
		for range 3 {
			g := built(t, middleware.Wrap(orders(middleware.WrapTool("pay", strategies.EffectOnce, b.pay), "")).Effects(middleware.Effects{Journal: journal}))
			answer, err := g.Run(middleware.WithCallID(t.Context(), "job-7"), "A1")
			expect(t, "answer", answer, "receipt A1")
			expect(t, "error", err, nil)
		}
		expect(t, "paid", b.of("A1"), 1)
	})
}

// brokenJournal cannot be written.
type brokenJournal struct{ strategies.MemoryJournal }

func (*brokenJournal) Begin(context.Context, strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
	return strategies.EffectRecord{}, false, errGone
}

func TestNothingIsDoneThatWasNotWrittenDown(t *testing.T) {
	b := &bank{}
	g := built(t, middleware.Wrap(orders(middleware.WrapTool("pay", strategies.EffectOnce, b.pay), "")).Effects(middleware.Effects{Journal: &brokenJournal{}}))
	out := g.Outcome(t.Context(), "A1")
	if _, ok := errors.AsType[*strategies.JournalError](out.Err); !ok {
		t.Errorf("got %v", out.Err)
	}
	expectIs(t, out.Err, errGone)
	expect(t, "paid", b.of("A1"), 0)
	expect(t, "effects", statesOf(out.Effects), "pay:refused")
}

func TestWhatWasDoneIsUndone(t *testing.T) {
	var undone []string
	tool := func(name string, fails error) *middleware.Tool[payment, string] {
		return middleware.WrapTool(name, strategies.EffectOnce, (&bank{}).pay).Undo(func(_ context.Context, p payment, result string) error {
			undone = append(undone, name+" "+p.Order+" "+result)
			return fails
		})
	}
	run := func(t *testing.T, undo bool, end any, second error) middleware.Outcome[string] {
		reserve, pay := tool("reserve", nil), tool("pay", second)
		undone = nil
		return built(t, middleware.Wrap(plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
			for _, t := range []*middleware.Tool[payment, string]{reserve, pay} {
				if _, err := t.Run(ctx, payment{Order: "A1"}); err != nil {
					return "", err
				}
			}
			return plays(end).Run(ctx, "")
		}))).Effects(middleware.Effects{Undo: undo})).Outcome(t.Context(), "")
	}
	t.Run("in reverse order, when the call fails for good", func(t *testing.T) {
		out := run(t, true, errSick, nil)
		expect(t, "undone", strings.Join(undone, ", "), "pay A1 receipt A1, reserve A1 receipt A1")
		expect(t, "effects", statesOf(out.Effects), "reserve:done pay:done pay:undone reserve:undone")
	})
	t.Run("not when it is answered", func(t *testing.T) {
		run(t, true, "hi", nil)
		expect(t, "undone", len(undone), 0)
	})
	t.Run("not where nobody asked for it", func(t *testing.T) {
		run(t, false, errSick, nil)
		expect(t, "undone", len(undone), 0)
	})
	t.Run("what could not be undone is in the error, and the rest is undone", func(t *testing.T) {
		out := run(t, true, errSick, errGone)
		expectIs(t, out.Err, errGone, errSick)
		if _, ok := errors.AsType[*middleware.UndoError](out.Err); !ok {
			t.Errorf("got %v", out.Err)
		}
		expect(t, "effects", statesOf(out.Effects), "reserve:done pay:done reserve:undone")
	})
}

func TestAnApprovalIsOfThatEffect(t *testing.T) {
	b := &bank{}
	var questions []string
	person := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
		q := i.Request.(middleware.EffectQuestion)
		questions = append(questions, string(q.Args))
		if strings.Contains(string(q.Args), `"A1"`) {
			return strategies.Decision{Action: strategies.ActionRetryNow}, nil
		}
		return strategies.Decision{}, nil
	})
	tool := middleware.WrapTool("pay", strategies.EffectOnce, b.pay).Approve(person, time.Minute)
	g := built(t, middleware.Wrap(orders(tool, errSick, "")).Retry(promptly).Effects(middleware.Effects{}))
	out := g.Outcome(t.Context(), "A1")
	expect(t, "answer", out.Value, "receipt A1")
	expect(t, "questions", len(questions), 1) // it is used up when it was done
	out = g.Outcome(t.Context(), "A2")
	expect(t, "paid", b.of("A2"), 0)
	expect(t, "effects", statesOf(out.Effects), "pay:refused")
	expect(t, "required", recoveryOf(t, out.Err).Strategy, strategies.StrategyUserIntervention)
}

func TestEqualArgumentsAreOneEffect(t *testing.T) {
	done := 0
	tool := middleware.WrapTool("raw", strategies.EffectOnce, func(_ context.Context, _ json.RawMessage) (int, error) { done++; return done, nil })
	g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		for _, args := range []string{`{"a":1,"b":[1.50,{"x":null,"y":"ü"}]}`, ` { "b" : [1.50, {"y":"\u00fc","x":null}] , "a":1 } `} {
			if n, err := tool.Run(ctx, json.RawMessage(args)); err != nil || n != 1 {
				t.Errorf("%s: %d, %v", args, n, err)
			}
		}
		if n, err := tool.Run(ctx, json.RawMessage(`{"a":2}`)); err != nil || n != 2 {
			t.Errorf("another: %d, %v", n, err)
		}
		_, err := tool.Run(ctx, json.RawMessage(`{"a":`))
		return "", err
	}).Effects(middleware.Effects{}))
	if _, ok := errors.AsType[*strategies.JournalError](failing(t, g2(g))); !ok {
		t.Error("arguments that are no JSON were taken")
	}
	expect(t, "done", done, 2)
}

func TestRewind(t *testing.T) {
	chat := []string{}
	var asks []string
	agent := plays(stepFunc(func(_ context.Context, q string) (string, error) {
		chat = append(chat, q)
		asks = append(asks, strings.Join(chat, ","))
		if len(asks) < 3 {
			return "", errSick
		}
		chat = append(chat, "answer")
		return "answer", nil
	}))
	mark := func() func() {
		n := len(chat)
		return func() { chat = chat[:n] }
	}
	person := always(strategies.Decision{Action: strategies.ActionRetryNow})
	g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).Intervene(person).Rewind(mark))
	asked(t, g, "answer")
	asked(t, g, "answer")
	expect(t, "what the agent sent", strings.Join(asks, " | "), "hello | hello | hello | hello,answer,hello")
	_, err := middleware.Wrap(agent).Rewind(nil).Build()
	expectIs(t, err, strategies.ErrConfig)
}

func TestHistory(t *testing.T) {
	chat := make([]string, 0, 8)
	var sent []string
	agent := plays(stepFunc(func(_ context.Context, q string) (string, error) {
		if len(chat) > 0 {
			chat[0] = "changed"
		}
		chat = append(chat, q)
		sent = append(sent, strings.Join(chat, ","))
		if len(sent) < 3 {
			return "", errSick
		}
		chat = append(chat, "answer")
		return "answer", nil
	}))
	chat = append(chat, "before")
	g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}}).Rewind(middleware.History(&chat)))
	asked(t, g, "answer")
	expect(t, "what the agent sent", strings.Join(sent, " | "), "changed,hello | changed,hello | changed,hello")
	expect(t, "what it knows", strings.Join(chat, ","), "changed,hello,answer")
	_, err := middleware.Wrap(agent).Rewind(middleware.History[string](nil)).Build()
	expectIs(t, err, strategies.ErrConfig)
}
