package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// agentOf is an agent whose attempts take the given steps, the last one for ever.
func agentOf(steps ...stepFunc) *play {
	all := make([]any, len(steps))
	for i, s := range steps {
		all[i] = s
	}
	return plays(all...)
}

// paying is a step that pays orders, in turn, and then fails or answers.
func paying(tool middleware.Runner[payment, string], end error, orders ...string) stepFunc {
	return func(ctx context.Context, _ string) (string, error) {
		var last string
		for _, o := range orders {
			receipt, err := tool.Run(ctx, payment{Order: o})
			if err != nil {
				return "", err
			}
			last = receipt
		}
		return last, end
	}
}

func payTool(b *bank) *middleware.Tool[payment, string] {
	return middleware.WrapTool("pay", strategies.EffectOnce, b.pay).Key(func(p payment) string { return p.Order })
}

func TestHostileArguments(t *testing.T) {
	inCall := func(t *testing.T, do func(ctx context.Context) error) error {
		t.Helper()
		_, err := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) { return "", do(ctx) }).Effects(middleware.Effects{})).Run(t.Context(), "")
		return err
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		if _, ok := errors.AsType[*strategies.JournalError](err); !ok {
			t.Errorf("got %v", err)
		}
	}
	t.Run("fields that JSON does not show are no reason to take two orders for one", func(t *testing.T) {
		type secret struct{ order string }
		type omitted struct {
			Order string `json:"-"`
		}
		done := 0
		hidden := middleware.WrapTool("hidden", strategies.EffectOnce, func(context.Context, secret) (int, error) { done++; return done, nil })
		left := middleware.WrapTool("left out", strategies.EffectOnce, func(context.Context, []map[string]*omitted) (int, error) { done++; return done, nil })
		refused(t, inCall(t, func(ctx context.Context) error { _, err := hidden.Run(ctx, secret{"A1"}); return err }))
		refused(t, inCall(t, func(ctx context.Context) error { _, err := left.Run(ctx, nil); return err }))
		expect(t, "done", done, 0)
		hidden.Key(func(s secret) string { return s.order })
		expect(t, "with a key", inCall(t, func(ctx context.Context) error {
			a, err := hidden.Run(ctx, secret{"A1"})
			b, err2 := hidden.Run(ctx, secret{"A2"})
			expect(t, "results", [2]int{a, b}, [2]int{1, 2})
			return errors.Join(err, err2)
		}), nil)
		stamped := middleware.WrapTool("stamped", strategies.EffectOnce, func(context.Context, struct{ At time.Time }) (int, error) { return 1, nil })
		expect(t, "a time says all of itself", inCall(t, func(ctx context.Context) error { _, err := stamped.Run(ctx, struct{ At time.Time }{}); return err }), nil)
	})
	t.Run("a raw part of them is canonical too", func(t *testing.T) {
		type request struct {
			Name string
			Args json.RawMessage
		}
		done := 0
		tool := middleware.WrapTool("mcp", strategies.EffectOnce, func(context.Context, request) (int, error) { done++; return done, nil })
		expect(t, "error", inCall(t, func(ctx context.Context) error {
			for _, raw := range []string{`{"a":1,"b":2}`, `{"b":2, "a":1}`} {
				if _, err := tool.Run(ctx, request{"pay", json.RawMessage(raw)}); err != nil {
					return err
				}
			}
			return nil
		}), nil)
		expect(t, "done", done, 1)
	})
	t.Run("no JSON is no matter where there is a Key", func(t *testing.T) {
		type odd struct{ F func() string }
		tool := middleware.WrapTool("odd", strategies.EffectOnce, func(_ context.Context, o odd) (string, error) { return o.F(), nil }).Key(func(o odd) string { return o.F() })
		expect(t, "error", inCall(t, func(ctx context.Context) error {
			_, err := tool.Run(ctx, odd{func() string { return strings.Repeat("x", 1<<22) }})
			return err
		}), nil)
	})
	t.Run("a Key that panics or says nothing does nothing", func(t *testing.T) {
		b := &bank{}
		for _, key := range []func(payment) string{func(payment) string { panic("no") }, func(payment) string { return "" }} {
			tool := payTool(b).Key(key)
			refused(t, inCall(t, func(ctx context.Context) error { _, err := tool.Run(ctx, payment{Order: "A1"}); return err }))
		}
		expect(t, "calls", b.calls, 0)
	})
	t.Run("nor do arguments that panic", func(t *testing.T) {
		tool := middleware.WrapTool("rude", strategies.EffectOnce, func(context.Context, rudeJSON) (int, error) { return 1, nil })
		refused(t, inCall(t, func(ctx context.Context) error { _, err := tool.Run(ctx, rudeJSON{}); return err }))
	})
}

type rudeJSON struct{}

func (rudeJSON) MarshalJSON() ([]byte, error) { panic("no JSON") }

func TestHostileResults(t *testing.T) {
	t.Run("a result that panics was a result", func(t *testing.T) {
		done := 0
		tool := middleware.WrapTool("rude", strategies.EffectOnce, func(context.Context, string) (rudeJSON, error) { done++; return rudeJSON{}, nil })
		agent := agentOf(func(ctx context.Context, req string) (string, error) {
			_, err := tool.Run(ctx, req)
			return "", errors.Join(err, errSick)
		}, func(ctx context.Context, req string) (string, error) { _, err := tool.Run(ctx, req); return "ok", err })
		asked(t, built(t, middleware.Wrap(agent).Retry(promptly).Effects(middleware.Effects{})), "ok")
		expect(t, "done", done, 1)
	})
	t.Run("one that was not kept is not made up in another life", func(t *testing.T) {
		done, journal := 0, &strategies.MemoryJournal{}
		tool := middleware.WrapTool("line", strategies.EffectOnce, func(context.Context, string) (chan int, error) { done++; return make(chan int, 7), nil })
		for life := range 2 {
			_, err := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				line, err := tool.Run(ctx, req)
				if err == nil && cap(line) != 7 {
					t.Error("a result that nobody gave")
				}
				return "", err
			}).Effects(middleware.Effects{Journal: journal})).Run(middleware.WithCallID(t.Context(), "job"), "")
			expect(t, fmt.Sprint("life ", life, " fails"), err != nil, life == 1)
		}
		expect(t, "done", done, 1)
	})
	t.Run("two tools of one name do not swap results", func(t *testing.T) {
		one := middleware.WrapTool("send", strategies.EffectOnce, func(context.Context, string) (string, error) { return "sent", nil })
		other := middleware.WrapTool("send", strategies.EffectOnce, func(context.Context, string) (int, error) { return 1, nil })
		_, err := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
			if _, err := one.Run(ctx, req); err != nil {
				return "", err
			}
			n, err := other.Run(ctx, req)
			if err == nil {
				t.Errorf("the other one's result is %d, and it was not called", n)
			}
			return "", nil
		}).Effects(middleware.Effects{})).Run(t.Context(), "")
		expect(t, "error", err, nil)
	})
	t.Run("an interrupt of a framework's passes", func(t *testing.T) {
		calls := 0
		tool := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, string) (string, error) {
			if calls++; calls == 1 {
				return "", passThrough
			}
			return "paid", nil
		})
		g := built(t, middleware.WrapFunc(tool.Run).Effects(middleware.Effects{}))
		_, err := g.Run(middleware.WithCallID(t.Context(), "thread"), "A1")
		if err != passThrough { //nolint:errorlint // untouched
			t.Errorf("got %v", err)
		}
		answer, err := g.Run(middleware.WithCallID(t.Context(), "thread"), "A1")
		expect(t, "resumed", answer, "paid")
		expect(t, "error", err, nil)
	})
}

func TestHostilePlans(t *testing.T) {
	t.Run("a plan of two that was cut in the middle goes on", func(t *testing.T) {
		b := &bank{}
		tool := payTool(b)
		out := built(t, middleware.Wrap(agentOf(paying(tool, errSick, "A1"), paying(tool, nil, "A1", "A2"))).Retry(promptly).Effects(middleware.Effects{})).Outcome(t.Context(), "")
		expect(t, "answer", out.Value, "receipt A2")
		expect(t, "error", out.Err, nil)
		expect(t, "effects", statesOf(out.Effects), "pay:done pay:replayed pay:done")
	})
	t.Run("another life that plans anew drifts as another attempt does", func(t *testing.T) {
		b, journal := &bank{}, &strategies.MemoryJournal{}
		tool := payTool(b)
		for _, plan := range []struct {
			orders []string
			drifts bool
		}{{[]string{"A1"}, false}, {[]string{"A2"}, true}, {[]string{"A1", "A2"}, false}} {
			_, err := built(t, middleware.Wrap(agentOf(paying(tool, nil, plan.orders...))).Effects(middleware.Effects{Journal: journal})).Run(middleware.WithCallID(t.Context(), "job"), "")
			_, drifts := errors.AsType[*strategies.DriftError](err)
			expect(t, fmt.Sprint(plan.orders, " drifts"), drifts, plan.drifts)
		}
		expect(t, "paid", [2]int{b.of("A1"), b.of("A2")}, [2]int{1, 1})
	})
	t.Run("a guarded tool that is called twice does not drift from itself", func(t *testing.T) {
		b := &bank{fails: []error{nil, &refusal{429, "slow down"}}}
		guarded := built(t, middleware.Wrap(payTool(b)).Named("cashier").Retry(promptly))
		out := built(t, middleware.Wrap(agentOf(paying(guarded, nil, "A1", "A2"))).Effects(middleware.Effects{})).Outcome(t.Context(), "")
		expect(t, "answer", out.Value, "receipt A2")
		expect(t, "error", out.Err, nil)
	})
	t.Run("what an attempt left behind is still doing counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			paid := atomic.Int64{}
			tool := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, payment) (string, error) {
				time.Sleep(time.Minute) // and does not look at its context
				paid.Add(1)
				return "receipt", nil
			})
			agent := agentOf(paying(tool, nil, "A1", "A3"), paying(tool, nil, "A2"))
			out := built(t, middleware.Wrap(agent).Retry(promptly).HardTimeout(time.Second, 2).Effects(middleware.Effects{})).Outcome(t.Context(), "")
			if _, ok := errors.AsType[*strategies.DriftError](out.Err); !ok {
				t.Errorf("got %v", out.Err)
			}
			time.Sleep(time.Hour)
			expect(t, "paid", paid.Load(), 1) // A1 alone: who was left behind begins nothing more
		})
	})
}

// lying is a journal with a will of its own.
type lying struct {
	strategies.MemoryJournal
	begin  func(r strategies.EffectRecord) (strategies.EffectRecord, bool, error)
	end    func() error
	silent bool // writes nothing
}

func (j *lying) Begin(ctx context.Context, r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
	if j.begin != nil {
		return j.begin(r)
	}
	return j.MemoryJournal.Begin(ctx, r)
}

func (j *lying) End(ctx context.Context, r strategies.EffectRecord) error {
	if j.end != nil {
		return j.end()
	}
	return j.MemoryJournal.End(ctx, r)
}

func (j *lying) Effects(ctx context.Context, call string) ([]strategies.EffectRecord, error) {
	if j.silent {
		panic("no records")
	}
	return j.MemoryJournal.Effects(ctx, call)
}

func TestHostileJournals(t *testing.T) {
	zero := strategies.EffectRecord{}
	for _, tc := range []struct {
		it   string
		j    *lying
		paid int
		ok   bool
	}{
		{"panics at the beginning", &lying{begin: func(strategies.EffectRecord) (strategies.EffectRecord, bool, error) { panic("no") }}, 0, false},
		{"panics at the end", &lying{end: func() error { panic("no") }}, 1, true},
		{"cannot write the end", &lying{end: func() error { return errGone }}, 1, true},
		{"says that an empty record stands", &lying{begin: func(strategies.EffectRecord) (strategies.EffectRecord, bool, error) { return zero, false, nil }}, 0, false},
		{"gives back what another effect did", &lying{begin: func(r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
			r.Key, r.State, r.Result = "a1", strategies.EffectDone, json.RawMessage(`"receipt a1"`) // its keys know no case
			return r, false, nil
		}}, 0, false},
		{"keeps half a result", &lying{begin: func(r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
			r.State, r.Result = strategies.EffectDone, json.RawMessage(`"rece`)
			return r, false, nil
		}}, 0, false},
		{"knows a state that nobody knows", &lying{begin: func(r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
			r.State = 99
			return r, false, nil
		}}, 0, false},
		{"cannot say what was done before", &lying{silent: true}, 0, false},
	} {
		t.Run("one that "+tc.it, func(t *testing.T) {
			b := &bank{}
			out := built(t, middleware.Wrap(agentOf(paying(payTool(b), errSick, "A1"), paying(payTool(b), nil, "A1"))).Retry(promptly).Effects(middleware.Effects{Journal: tc.j})).Outcome(middleware.WithCallID(t.Context(), "job"), "")
			expect(t, "paid", b.of("A1"), tc.paid)
			expect(t, "answered", out.Err == nil, tc.ok)
		})
	}
	t.Run("one that keeps few calls forgets them, and no more", func(t *testing.T) {
		for _, calls := range []int{-3, 1} {
			b, journal := &bank{}, &strategies.MemoryJournal{Calls: calls}
			g := built(t, middleware.Wrap(agentOf(paying(payTool(b), nil, "A1"))).Effects(middleware.Effects{Journal: journal}))
			for _, id := range []string{"1", "2", "2"} {
				if _, err := g.Run(middleware.WithCallID(t.Context(), id), ""); err != nil {
					t.Error(err)
				}
			}
			expect(t, "paid", b.of("A1"), 2)
		}
	})
	t.Run("one that blocks is left when the caller leaves, and nothing is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, ctx := &bank{}, t.Context()
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			j := &lying{begin: func(r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
				<-ctx.Done()
				return r, true, nil
			}}
			_, err := built(t, middleware.Wrap(agentOf(paying(payTool(b), nil, "A1"))).Effects(middleware.Effects{Journal: j})).Run(ctx, "")
			expectIs(t, err, context.DeadlineExceeded)
			expect(t, "paid", b.of("A1"), 0)
			expect(t, "class", recoveryOf(t, err).Class != strategies.ClassUncertain, true)
		})
	})
}

func TestHostileTools(t *testing.T) {
	t.Run("none, and one that nobody made", func(t *testing.T) {
		var none *middleware.Tool[string, string]
		for _, tool := range []*middleware.Tool[string, string]{none, {}, middleware.WrapTool[string, string]("", strategies.EffectOnce, nil), middleware.WrapTool("x", 99, plays("hi").Run)} {
			_, err := tool.Run(t.Context(), "")
			expectIs(t, err, strategies.ErrConfig)
		}
	})
	t.Run("outside of every call each kind is simply called", func(t *testing.T) {
		for _, kind := range []strategies.Effect{strategies.EffectOnce, strategies.EffectIdempotent, strategies.EffectReadOnly} {
			for _, ctx := range []context.Context{t.Context(), middleware.WithCallID(t.Context(), "job")} {
				answer, err := middleware.WrapTool("x", kind, plays("hi").Run).Run(ctx, "")
				expect(t, "answer", answer, "hi")
				expect(t, "error", err, nil)
			}
		}
	})
	for _, tc := range []struct {
		it  string
		act func()
	}{{"panics", func() { panic("no") }}, {"ends its goroutine", runtime.Goexit}} {
		t.Run("one that "+tc.it+" is uncertain, for all who ask", func(t *testing.T) {
			calls := atomic.Int64{}
			tool := middleware.WrapTool("x", strategies.EffectOnce, func(context.Context, string) (string, error) { calls.Add(1); tc.act(); return "", nil })
			g := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() { _, _ = tool.Run(ctx, req) })
				}
				if all.Wait(); middleware.CallOf(ctx).ID() == "" {
					t.Error("no id")
				}
				return "", errSick
			}).Retry(promptly).Fallback("sage", plays("hi")).Effects(middleware.Effects{}))
			if tc.it == "panics" {
				_, err := g.Run(t.Context(), "")
				expect(t, "class", recoveryOf(t, err).Class, strategies.ClassUncertain)
			} else {
				out := g.Outcome(t.Context(), "")
				expect(t, "class", recoveryOf(t, out.Err).Class, strategies.ClassUncertain)
				expect(t, "effects", statesOf(out.Effects), "x:uncertain")
			}
			expect(t, "calls", calls.Load(), 1)
		})
	}
	t.Run("a thousand who ask for one effect get it", func(t *testing.T) {
		b := &bank{}
		tool := payTool(b)
		out := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() {
					if receipt, err := tool.Run(ctx, payment{Order: "A1"}); err != nil || receipt != "receipt A1" {
						t.Error(receipt, err)
					}
				})
			}
			all.Wait()
			return "ok", nil
		}).Effects(middleware.Effects{})).Outcome(t.Context(), "")
		expect(t, "paid", b.of("A1"), 1)
		expect(t, "effects", len(out.Effects), 1000)
	})
	t.Run("one that asks for itself does not wait for itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var tool *middleware.Tool[string, string]
			between := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) { return tool.Run(ctx, req) }))
			tool = middleware.WrapTool("x", strategies.EffectOnce, func(ctx context.Context, req string) (string, error) { return between.Run(ctx, req) })
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := built(t, middleware.WrapFunc(tool.Run).Effects(middleware.Effects{})).Run(ctx, "A1")
			if err == nil || ctx.Err() != nil {
				t.Errorf("got %v, %v", err, ctx.Err())
			}
		})
	})
	t.Run("one in a chain put together by hand, within a call", func(t *testing.T) {
		b := &bank{}
		tool := payTool(b)
		owner := &middleware.Owner{Name: "inner"}
		inner := middleware.Chain[string, string](agentOf(paying(tool, nil, "A1")), middleware.Retry[string, string](owner, promptly))
		out := built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) { return inner.Run(ctx, req) }).Effects(middleware.Effects{})).Outcome(t.Context(), "")
		expect(t, "answer", out.Value, "receipt A1")
		expect(t, "error", out.Err, nil)
		expect(t, "effects", statesOf(out.Effects), "pay:done")
	})
	t.Run("one tool in two chains at once", func(t *testing.T) {
		b, journal := &bank{}, &strategies.MemoryJournal{}
		tool := payTool(b)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				order := fmt.Sprint("A", i)
				g := built(t, middleware.Wrap(agentOf(paying(tool, errSick, order), paying(tool, nil, order))).Retry(promptly).Effects(middleware.Effects{Journal: journal}))
				if out := g.Outcome(t.Context(), ""); out.Err != nil || b.of(order) != 1 {
					t.Error(out.Err, b.of(order))
				}
			})
		}
		all.Wait()
	})
}

func TestHostileCallIDs(t *testing.T) {
	t.Run("an id is the next call's, and not shared by what that asks", func(t *testing.T) {
		inner := built(t, middleware.WrapFunc(func(_ context.Context, req string) (string, error) {
			time.Sleep(time.Millisecond)
			return "answer to " + req, nil
		}).Named("inner").Identify())
		outer := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			var all sync.WaitGroup
			for _, q := range []string{"one", "two"} {
				all.Go(func() {
					answer, err := inner.Run(ctx, q)
					expect(t, "answer", answer, "answer to "+q)
					expect(t, "error", err, nil)
				})
			}
			all.Wait()
			return "ok", nil
		}).Retry(promptly))
		answer, _ := outer.Run(middleware.WithCallID(t.Context(), "job"), "")
		expect(t, "answer", answer, "ok")
	})
	t.Run("a call that asks under its own id does not wait for itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g *middleware.Guarded[string, string]
			g = built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				if req == "again" {
					return middleware.CallOf(ctx).ID(), nil
				}
				return g.Run(middleware.WithCallID(ctx, "job"), "again")
			}).Identify())
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			answer, err := g.Run(middleware.WithCallID(ctx, "job"), "")
			expect(t, "answer", answer, "job")
			expect(t, "error", err, nil)
		})
	})
	t.Run("who prepares an id for the next call is still in this one", func(t *testing.T) {
		b := &bank{}
		tool, acted := payTool(b), false
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			id := middleware.CallOf(ctx).ID()
			next := middleware.WithCallID(ctx, "child")
			expect(t, "id", middleware.CallOf(next).ID(), id)
			if _, err := tool.Run(next, payment{Order: "A1"}); err != nil {
				return "", err
			}
			acted = middleware.CallOf(next).Acted()
			return "ok", nil
		}).Effects(middleware.Effects{}))
		out := g.Outcome(t.Context(), "")
		expect(t, "error", out.Err, nil)
		expect(t, "effects", statesOf(out.Effects), "pay:done")
		expect(t, "acted", acted, true)
	})
	t.Run("odd ones are ids like any other", func(t *testing.T) {
		b, keys := &bank{}, map[string]bool{}
		tool := middleware.WrapTool("pay", strategies.EffectOnce, func(ctx context.Context, p payment) (string, error) {
			key, err := middleware.CallOf(ctx).IdempotencyKey()
			keys[key] = true
			return key, err
		}).Key(func(p payment) string { return p.Order })
		for _, x := range [][2]string{{"a", "b"}, {"a\x00pay", "b"}, {"a", "pay\x00b"}, {"a/b", "b"}, {"\xff\xfe", "b"}, {"\n\r\x1b[2J", "b"}, {strings.Repeat("x", 1<<20), "b"}, {" ", "b"}} {
			if _, err := built(t, middleware.Wrap(agentOf(paying(tool, nil, x[1]))).Effects(middleware.Effects{})).Run(middleware.WithCallID(t.Context(), x[0]), ""); err != nil {
				t.Error(err)
			}
		}
		expect(t, "keys that differ", len(keys), 8)
		expect(t, "none", middleware.WithCallID(t.Context(), ""), t.Context())
		expect(t, "paid", b.calls, 0)
	})
}

func TestHostileUndo(t *testing.T) {
	undoing := func(b *bank, undone *[]string) *middleware.Tool[payment, string] {
		return payTool(b).Undo(func(_ context.Context, p payment, result string) error {
			*undone = append(*undone, p.Order+" "+result)
			return nil
		})
	}
	t.Run("what was undone is not given back as done", func(t *testing.T) {
		b, journal, undone := &bank{}, &strategies.MemoryJournal{}, []string(nil)
		tool := undoing(b, &undone)
		g := built(t, middleware.Wrap(agentOf(paying(tool, errSick, "A1"), paying(tool, nil, "A1"))).Effects(middleware.Effects{Journal: journal, Undo: true}))
		_, err := g.Run(middleware.WithCallID(t.Context(), "job"), "")
		expectIs(t, err, errSick)
		answer, err := g.Run(middleware.WithCallID(t.Context(), "job"), "")
		if err == nil {
			t.Errorf("answered %q, and the payment was taken back", answer)
		}
		expect(t, "undone", undone, []string{"A1 receipt A1"})
		expect(t, "paid", b.of("A1"), 1)
	})
	t.Run("one that panics is in the error", func(t *testing.T) {
		tool := payTool(&bank{}).Undo(func(context.Context, payment, string) error { panic("no") })
		_, err := built(t, middleware.Wrap(agentOf(paying(tool, errSick, "A1"))).Effects(middleware.Effects{Undo: true})).Run(t.Context(), "")
		if _, ok := errors.AsType[*middleware.UndoError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}

func TestHostileApprovals(t *testing.T) {
	for it, person := range map[string]strategies.Intervenor{
		"panics": strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) { panic("no") }),
		"answers in its place": strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			return strategies.Decision{Action: strategies.ActionAnswer, Value: "receipt"}, nil
		}),
		"says yes and fails": strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			return strategies.Decision{Action: strategies.ActionRetryNow}, errGone
		}),
		"is none": strategies.IntervenorFunc(nil),
	} {
		t.Run("a person who "+it+" approves nothing", func(t *testing.T) {
			b := &bank{}
			out := built(t, middleware.Wrap(agentOf(paying(payTool(b).Approve(person, 0), nil, "A1"))).Effects(middleware.Effects{})).Outcome(t.Context(), "")
			expect(t, "paid", b.of("A1"), 0)
			expect(t, "failed", out.Err != nil, true)
		})
	}
	t.Run("an answer of another type settles nothing", func(t *testing.T) {
		b := &bank{fails: []error{errReset}}
		person := always(strategies.Decision{Action: strategies.ActionAnswer, Value: 7}).Ask
		out := built(t, middleware.Wrap(agentOf(paying(payTool(b), nil, "A1"))).Effects(middleware.Effects{Ask: person})).Outcome(t.Context(), "")
		expect(t, "class", recoveryOf(t, out.Err).Class, strategies.ClassUncertain)
	})
}

func TestHostileMoments(t *testing.T) {
	for _, tc := range []struct {
		it   string
		at   string
		paid int
	}{
		{"before the tool", "before", 0},
		{"in the tool, which acts all the same", "within", 1},
		{"after the tool", "after", 1},
	} {
		t.Run("a caller who leaves "+tc.it, func(t *testing.T) {
			b, journal := &bank{}, &strategies.MemoryJournal{}
			ctx, leave := context.WithCancel(middleware.WithCallID(t.Context(), "job"))
			defer leave()
			tool := middleware.WrapTool("pay", strategies.EffectOnce, func(ctx context.Context, p payment) (string, error) {
				if tc.at == "within" {
					leave()
				}
				return b.pay(ctx, p)
			})
			agent := agentOf(func(ctx context.Context, req string) (string, error) {
				if tc.at == "before" {
					leave()
				}
				receipt, err := tool.Run(ctx, payment{Order: "A1"})
				leave()
				return receipt, err
			})
			_, _ = built(t, middleware.Wrap(agent).Retry(promptly).Effects(middleware.Effects{Journal: journal})).Run(ctx, "")
			expect(t, "paid", b.of("A1"), tc.paid)
			// Whoever comes next under this id finds it, and it is paid once.
			answer, err := built(t, middleware.Wrap(agentOf(func(ctx context.Context, _ string) (string, error) { return tool.Run(ctx, payment{Order: "A1"}) })).
				Effects(middleware.Effects{Journal: journal})).Run(middleware.WithCallID(t.Context(), "job"), "")
			expect(t, "answer", answer, "receipt A1")
			expect(t, "error", err, nil)
			expect(t, "paid", b.of("A1"), 1)
		})
	}
}

func TestHostileNeighbours(t *testing.T) {
	t.Run("who shares a call gets told what it did", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &bank{}
			tool := payTool(b)
			g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
				time.Sleep(time.Second)
				return tool.Run(ctx, payment{Order: "A1"})
			}).Coalesce(func(req string) string { return "q" }).Effects(middleware.Effects{}))
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					out := g.Outcome(t.Context(), "")
					expect(t, "answer", out.Value, "receipt A1")
					expect(t, "effects", statesOf(out.Effects), "pay:done")
				})
			}
			all.Wait()
			expect(t, "paid", b.of("A1"), 1)
		})
	})
	t.Run("a stream", func(t *testing.T) {
		b, tries := &bank{}, 0
		tool := payTool(b)
		g, err := middleware.WrapStreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				receipt, err := tool.Run(ctx, payment{Order: "A1"})
				if tries++; tries == 1 && err == nil {
					err = errSick
				}
				yield(receipt, err)
			}
		}).Retry(promptly).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		for word, err := range g.Stream(t.Context(), "") {
			expect(t, "word", word, "receipt A1")
			expect(t, "error", err, nil)
		}
		expect(t, "paid", b.of("A1"), 1)
		expect(t, "tries", tries, 2)
	})
	t.Run("a nested agent with a journal of its own writes into its caller's", func(t *testing.T) {
		b, own := &bank{}, &strategies.MemoryJournal{}
		tool := payTool(b)
		inner := built(t, middleware.Wrap(agentOf(paying(tool, nil, "A1"))).Named("inner").Effects(middleware.Effects{Journal: own}))
		outer := &strategies.MemoryJournal{}
		out := built(t, middleware.Wrap(agentOf(func(ctx context.Context, req string) (string, error) {
			_, err := inner.Run(ctx, req)
			return "", errors.Join(err, errSick)
		}, inner.Run)).Retry(promptly).Effects(middleware.Effects{Journal: outer})).Outcome(middleware.WithCallID(t.Context(), "job"), "")
		expect(t, "answer", out.Value, "receipt A1")
		records, _ := outer.Effects(t.Context(), "job")
		expect(t, "records", len(records), 1)
		expect(t, "agent", records[0].Agent, "inner")
	})
	t.Run("a chain that has both kinds of identity", func(t *testing.T) {
		_, err := middleware.Wrap(plays("hi")).Identify().Effects(middleware.Effects{}).Build()
		expectIs(t, err, strategies.ErrConfig)
		_, err = middleware.Wrap(plays("hi")).Effects(middleware.Effects{Drift: 9, AskFor: -1}).Build()
		expectIs(t, err, strategies.ErrConfig)
	})
	t.Run("a mark that panics, gives nothing, or cannot go back", func(t *testing.T) {
		for i, mark := range []func() func(){func() func() { panic("no") }, func() func() { return nil }, func() func() { return func() { panic("no") } }} {
			answer, err := built(t, middleware.Wrap(plays(errSick, "hi")).Retry(promptly).Rewind(mark)).Run(t.Context(), "")
			expect(t, fmt.Sprint("answer ", i), answer, []string{"", "hi", ""}[i])
			expect(t, fmt.Sprint("failed ", i), err != nil, i != 1)
		}
	})
}

func TestHostileStreamsOfOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{}
		tool := payTool(b)
		g, err := middleware.WrapStreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				receipt, err := tool.Run(ctx, payment{Order: "A1"})
				time.Sleep(time.Second)
				yield(receipt, err)
			}
		}).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				said, failed := "", error(nil)
				for word, err := range g.Stream(middleware.WithCallID(t.Context(), "job"), "") {
					said, failed = said+word, errors.Join(failed, err)
				}
				if said != "receipt A1" && failed == nil {
					t.Errorf("a reader heard %q, and no error", said)
				}
			})
		}
		all.Wait()
		expect(t, "paid", b.of("A1"), 1)
	})
}

func TestHostileWaysToTheSameTool(t *testing.T) {
	tool := func(b *bank) *middleware.Tool[payment, string] { return payTool(b) }
	for _, tc := range []struct {
		it   string
		make func(t *testing.T, b *bank) *middleware.Guarded[string, string]
		want string // the answer; "": drift
	}{
		{"a stand-in with retries of its own, and another plan in each", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			sage := built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A1"), paying(tool(b), nil, "A2"))).Named("sage").Retry(promptly))
			return built(t, middleware.Wrap(plays(errSick)).Fallback("sage", middleware.WithRetries(sage)).Effects(middleware.Effects{}))
		}, ""},
		{"a rung that pays the same", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			return built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A1"))).Degrade(strategies.LevelReduced, agentOf(paying(tool(b), nil, "A1"))).Effects(middleware.Effects{}))
		}, "receipt A1"},
		{"a rung with another plan", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			return built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A1"))).Degrade(strategies.LevelReduced, agentOf(paying(tool(b), nil, "A2"))).Effects(middleware.Effects{}))
		}, ""},
		{"an answer that is not good enough", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			tries := 0
			return built(t, middleware.Wrap(agentOf(paying(tool(b), nil, "A1"))).Retry(promptly).Validate(func(context.Context, string, string) error {
				if tries++; tries == 1 {
					return errSick
				}
				return nil
			}).Effects(middleware.Effects{}))
		}, "receipt A1"},
		{"a person who asks again, and another plan", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			return built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A1"), paying(tool(b), nil, "A2"))).Intervene(always(strategies.Decision{Action: strategies.ActionRetryNow})).Effects(middleware.Effects{}))
		}, ""},
		{"a chain put together by hand within, and another plan", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			inner := middleware.Chain[string, string](agentOf(paying(tool(b), errSick, "A1"), paying(tool(b), nil, "A2")), middleware.Retry[string, string](&middleware.Owner{Name: "inner"}, promptly))
			return built(t, middleware.Wrap(inner).Effects(middleware.Effects{}))
		}, ""},
		{"a nested agent, and another plan of the outer one", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			inner := built(t, middleware.Wrap(agentOf(paying(tool(b), nil, "A1"), paying(tool(b), nil, "A2"))).Named("inner"))
			tries := 0
			return built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				answer, err := inner.Run(ctx, req)
				if tries++; tries == 1 {
					return "", errSick
				}
				return answer, err
			}).Retry(promptly).Effects(middleware.Effects{}))
		}, ""},
		{"a middleware that traces", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			return built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A1"), paying(tool(b), nil, "A2"))).Retry(promptly).Effects(middleware.Effects{}).Use(middleware.StageRetry, tracing))
		}, ""},
		{"two agents at once, each with a plan of its own", func(t *testing.T, b *bank) *middleware.Guarded[string, string] {
			one := built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A1"), paying(tool(b), nil, "A1"))).Named("one").Retry(promptly))
			two := built(t, middleware.Wrap(agentOf(paying(tool(b), errSick, "A2"), paying(tool(b), nil, "A2"))).Named("two").Retry(promptly))
			return built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				var all sync.WaitGroup
				var errs [2]error
				for i, agent := range []*middleware.Guarded[string, string]{one, two} {
					all.Go(func() { _, errs[i] = agent.Run(ctx, req) })
				}
				all.Wait()
				return "both", errors.Join(errs[:]...)
			}).Effects(middleware.Effects{}))
		}, "both"},
	} {
		t.Run(tc.it, func(t *testing.T) {
			b := &bank{}
			out := tc.make(t, b).Outcome(t.Context(), "")
			expect(t, "answer", out.Value, tc.want)
			if tc.want != "" {
				expect(t, "error", out.Err, nil)
			} else if _, ok := errors.AsType[*strategies.DriftError](out.Err); !ok {
				t.Errorf("got %v", out.Err)
			}
			expect(t, "paid", b.of("A1"), 1)
			expect(t, "paid as well", b.of("A2"), map[bool]int{true: 1, false: 0}[tc.want == "both"])
		})
	}
}

// tracing is a middleware of a user's that wants to know how it was answered.
func tracing(next middleware.Runner[string, string]) middleware.Runner[string, string] {
	return middleware.Func(func(ctx context.Context, req string) (string, error) {
		ctx, _ = middleware.Trace(ctx)
		return next.Run(ctx, req)
	})
}

func TestHostileRewindUnderATrace(t *testing.T) {
	var chat []string
	agent := agentOf(func(_ context.Context, q string) (string, error) {
		if chat = append(chat, q); len(chat) > 1 {
			t.Errorf("the chat is %v", chat)
		}
		return "", errSick
	})
	_, err := built(t, middleware.Wrap(agent).Retry(promptly).Use(middleware.StageRetry, tracing).Rewind(func() func() {
		n := len(chat)
		return func() { chat = chat[:n] }
	})).Run(t.Context(), "q")
	expectIs(t, err, errSick)
}

func TestHostileOutcomesWhileSomebodyIsLeftBehind(t *testing.T) {
	b := &bank{}
	tool := middleware.WrapTool("note", strategies.EffectOnce, b.pay).Key(func(p payment) string { return p.Order })
	var left sync.WaitGroup
	g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		for i := range 4 {
			left.Go(func() {
				for k := range 50 {
					_, _ = tool.Run(ctx, payment{Order: fmt.Sprint(i, " ", k)})
				}
			})
		}
		return "", errSick
	}).Retry(promptly).Effects(middleware.Effects{Drift: middleware.DriftAllowed, Undo: true}).Observe(&diary{}))
	for range 20 {
		out := g.Outcome(t.Context(), "")
		if _, err := json.Marshal(out); err != nil {
			t.Error(err)
		}
	}
	left.Wait()
}

func TestHostileStreamsKeepTheirClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := middleware.WrapStreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				if yield("a", nil) {
					<-ctx.Done()
				}
			}
		}).Idle(time.Second).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(middleware.WithCallID(t.Context(), "job"), time.Hour)
		defer cancel()
		var failed error
		for _, err := range g.Stream(ctx, "") {
			failed = errors.Join(failed, err)
		}
		if failed == nil || ctx.Err() != nil {
			t.Errorf("got %v, the caller's own end is %v", failed, ctx.Err())
		}
	})
}

func TestHostileDoubtIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, calls := &bank{fails: []error{errReset}}, atomic.Int64{}
		tool := payTool(b)
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			_, _ = tool.Run(ctx, payment{Order: "A1"})
			return "", errSick
		}).Retry(promptly).Fallback("sage", plays("hi")).Degrade(strategies.LevelReduced, plays("sorry")).
			Coalesce(func(string) string { return "q" }).Effects(middleware.Effects{}))
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				ctx := t.Context()
				if i%2 == 0 { // half of them are one call, the others share it
					ctx = middleware.WithCallID(ctx, "job")
				}
				out := g.Outcome(ctx, "")
				expect(t, "class", recoveryOf(t, out.Err).Class, strategies.ClassUncertain)
				expect(t, "effects", statesOf(out.Effects), "pay:uncertain")
			})
		}
		all.Wait()
		expect(t, "calls", [2]int64{calls.Load(), int64(b.calls)}, [2]int64{1, 1})
	})
}
