package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

var errHostile = errors.New("down")

func openFor(t *testing.T, st strategies.Store, s inbox.Settings) *inbox.Inbox {
	t.Helper()
	if s.Trouble == nil {
		s.Trouble = func(err error) { t.Log("trouble:", err) }
	}
	b, err := inbox.Open(st, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func listOf(t *testing.T, b *inbox.Inbox, q inbox.Query) []inbox.Entry {
	t.Helper()
	p, err := b.List(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p.Entries
}

func onlyOpen(t *testing.T, b *inbox.Inbox) inbox.Entry {
	t.Helper()
	synctest.Wait()
	es := listOf(t, b, inbox.Query{})
	if len(es) != 1 {
		t.Fatalf("%d open: %+v", len(es), es)
	}
	return es[0]
}

func asksIn(t *testing.T, b *inbox.Inbox, park bool, f func(context.Context, string) (string, error), more func(*middleware.Builder[string, string])) *middleware.Guarded[string, string] {
	t.Helper()
	bl := middleware.WrapFunc(f).Named("narrator").Intervene(middleware.Intervention{Ask: b, Deadline: time.Hour, Park: park})
	if more != nil {
		more(bl)
	}
	g, err := bl.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func failsSo(context.Context, string) (string, error) { return "", errHostile }

// decide twice at once from two processes: one wins.
func TestHostileDecideRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a"})
		defer a.Close()
		b := openFor(t, st, inbox.Settings{Process: "b"})
		defer b.Close()
		g := asksIn(t, a, false, failsSo, nil)
		var got string
		var gotErr error
		done := make(chan struct{})
		go func() { got, gotErr = g.Run(t.Context(), "q"); close(done) }()
		e := onlyOpen(t, b)
		if e.Request != "" {
			t.Error("request shown without Show", e.Request)
		}
		var wins atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				box := a
				if i%2 == 0 {
					box = b
				}
				v := fmt.Sprint("answer ", i)
				_, err := box.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: v, By: fmt.Sprint("p", i)})
				if err == nil {
					wins.Add(1)
					winner.Store(v)
					return
				}
				var ce *inbox.ClosedError
				var ie *strategies.InterventionError
				if !errors.As(err, &ce) || !errors.As(err, &ie) {
					t.Error(err)
				} else if ce.Entry.Decision == nil || ce.Entry.Decision.By == "" {
					t.Errorf("%+v", ce.Entry)
				}
			})
		}
		wg.Wait()
		<-done
		if wins.Load() != 1 || gotErr != nil || got != winner.Load() {
			t.Error(wins.Load(), got, gotErr, winner.Load())
		}
		synctest.Wait()
		c := listOf(t, b, inbox.Query{Closed: true})
		if len(c) != 1 || c[0].State != inbox.StateDecided {
			t.Errorf("%+v", c)
		}
		j, _ := json.Marshal(c[0])
		if strings.Contains(string(j), "answer 1") {
			t.Error("answer in record", string(j))
		}
	})
}

func TestHostileWrongTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a"})
		defer a.Close()
		b := openFor(t, st, inbox.Settings{Process: "b"})
		defer b.Close()
		g := asksIn(t, a, false, failsSo, nil)
		done := make(chan string)
		go func() { v, err := g.Run(t.Context(), "q"); done <- fmt.Sprint(v, err) }()
		e := onlyOpen(t, b)
		for _, box := range []*inbox.Inbox{a, b} {
			for i, d := range []strategies.Decision{
				{Action: strategies.ActionAnswer, Value: 17},
				{Action: strategies.ActionAnswer},
				{Action: strategies.ActionAnswer, Value: json.RawMessage(`17`)},
				{Action: strategies.ActionAnswer, Value: json.RawMessage(`{"a`)},
				{Action: strategies.ActionAnswer, Value: json.RawMessage(nil)},
				{Action: strategies.ActionAnswer, Value: json.RawMessage(`"a" "b"`)},
				{Action: strategies.ActionAnswer, Value: json.RawMessage(`null`)},
				{Action: strategies.ActionAnswer, Value: func() {}},
				{Action: strategies.ActionUseAgent, Agent: "nobody"},
				{Action: strategies.ActionUseAgent},
				{Action: strategies.Action(77)},
			} {
				if en, err := box.Resolve(t.Context(), e.ID, d); err == nil {
					t.Errorf("case %d accepted: %+v", i, en.Decision)
				}
			}
		}
		if e := onlyOpen(t, b); e.State != inbox.StateOpen {
			t.Fatal(e)
		}
		if _, err := b.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: json.RawMessage(`"fine"`), By: "x"}); err != nil {
			t.Error(err)
		}
		if v := <-done; v != "fine<nil>" {
			t.Error(v)
		}
	})
}

func TestHostileExpiredNeverYes(t *testing.T) {
	for _, park := range []bool{false, true} {
		t.Run(fmt.Sprint(park), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &memory.Store{}
				defer st.Close()
				a := openFor(t, st, inbox.Settings{Process: "a"})
				defer a.Close()
				var n atomic.Int32
				g := asksIn(t, a, park, func(context.Context, string) (string, error) { n.Add(1); return "", errHostile }, nil)
				done := make(chan error, 1)
				go func() { _, err := g.Run(t.Context(), "q"); done <- err }()
				e := onlyOpen(t, a)
				time.Sleep(time.Hour)
				_, err := a.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionRetryNow, By: "late"})
				var ce *inbox.ClosedError
				if !errors.As(err, &ce) {
					t.Errorf("late: %v", err)
				} else if ce.Entry.State != inbox.StateExpired {
					t.Errorf("%+v", ce.Entry)
				}
				time.Sleep(time.Minute)
				err = <-done
				var p *strategies.PendingError
				if park {
					if !errors.As(err, &p) {
						t.Fatal(err)
					}
					if n.Load() != 1 {
						t.Error("asked", n.Load())
					}
					if err := inbox.Resume(a, g); err != nil {
						t.Fatal(err)
					}
					_, err := inbox.Wait[string](t.Context(), a, p.Ticket)
					if err == nil {
						t.Error("a yes")
					}
				} else if err == nil {
					t.Error("a yes")
				}
				if n.Load() != 1 {
					t.Error("asked", n.Load())
				}
				e, err = a.Get(t.Context(), e.ID)
				if err != nil || e.State != inbox.StateExpired || e.Decision != nil {
					t.Error(e, err)
				}
			})
		})
	}
}

func TestHostileQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a", Quorum: 2})
		defer a.Close()
		g := asksIn(t, a, false, failsSo, nil)
		done := make(chan string)
		go func() { v, err := g.Run(t.Context(), "q"); done <- fmt.Sprint(v, err) }()
		e := onlyOpen(t, a)
		say := func(by string, v any) inbox.Entry {
			t.Helper()
			en, err := a.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: v, By: by})
			if err != nil {
				t.Error(by, v, err)
			}
			return en
		}
		// anonymous twice
		for range 2 {
			en, err := a.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "x"})
			t.Log("anonymous:", err, en.State)
			if en.State == inbox.StateDecided {
				t.Fatal("anonymous votes decide")
			}
		}
		if en := say("ada", "yes"); en.State != inbox.StateOpen {
			t.Fatal(en.State)
		}
		if en := say("ada", json.RawMessage(`"yes"`)); en.State != inbox.StateOpen {
			t.Fatal(en.State)
		}
		if en := say("bob", "no"); en.State != inbox.StateOpen {
			t.Fatal(en.State)
		}
		if en := say(" ada", "zzz"); en.State != inbox.StateOpen {
			t.Fatal(en.State)
		}
		if en := say("bob", json.RawMessage(` "\u0079es" `)); en.State != inbox.StateDecided {
			t.Errorf("the same answer, written otherwise: %v %+v", en.State, en.Votes)
			say("carl", "yes")
		}
		if v := <-done; v != "yes<nil>" {
			t.Error(v)
		}
	})
}

func TestHostileClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a"})
		b := openFor(t, st, inbox.Settings{Process: "b"})
		defer a.Close()
		defer b.Close()
		g := asksIn(t, a, false, failsSo, nil)
		done := make(chan string)
		go func() { v, err := g.Run(t.Context(), "q"); done <- fmt.Sprint(v, err) }()
		e := onlyOpen(t, a)
		if _, err := a.Claim(t.Context(), e.ID, "ada", 0); err != nil {
			t.Error(err)
		}
		var cl *inbox.ClaimedError
		if _, err := b.Claim(t.Context(), e.ID, "bob", time.Minute); !errors.As(err, &cl) {
			t.Error(err)
		}
		if _, err := b.Release(t.Context(), e.ID, "bob"); !errors.As(err, &cl) {
			t.Error(err)
		}
		if _, err := b.Claim(t.Context(), e.ID, "", time.Minute); err == nil {
			t.Error("nobody claims")
		}
		if _, err := b.Claim(t.Context(), e.ID, "bob", -time.Minute); err == nil {
			t.Error("negative")
		}
		if _, err := b.Claim(t.Context(), e.ID, "ada", 10*time.Minute); err != nil {
			t.Error(err)
		}
		time.Sleep(6 * time.Minute)
		if _, err := b.Claim(t.Context(), e.ID, "bob", time.Minute); !errors.As(err, &cl) {
			t.Error(err)
		}
		time.Sleep(4*time.Minute + time.Second)
		en, err := b.Claim(t.Context(), e.ID, "bob", time.Minute)
		if err != nil || en.Claim == nil || en.Claim.By != "bob" {
			t.Error(en.Claim, err)
		}
		if _, err := b.Release(t.Context(), e.ID, "bob"); err != nil {
			t.Error(err)
		}
		if _, err := b.Release(t.Context(), e.ID, "bob"); err != nil {
			t.Log("second release:", err)
		}
		if _, err := b.Claim(t.Context(), e.ID, "ada", time.Minute); err != nil {
			t.Error(err)
		}
		// does not keep bob from deciding
		if _, err := b.Resolve(t.Context(), e.ID, strategies.Decision{By: "bob"}); err != nil {
			t.Error(err)
		}
		<-done
		var ce *inbox.ClosedError
		if _, err := b.Claim(t.Context(), e.ID, "ada", time.Minute); !errors.As(err, &ce) {
			t.Error(err)
		}
		var ie *strategies.InterventionError
		if _, err := b.Claim(t.Context(), "no such", "ada", time.Minute); !errors.As(err, &ie) {
			t.Error(err)
		}
		for _, id := range []string{"", "/", "..", "a/b", strings.Repeat("x", 5000), "\xff", "\x00"} {
			if _, err := b.Get(t.Context(), id); !errors.As(err, &ie) {
				t.Errorf("%.10q: %v", id, err)
			}
			if _, err := b.Resolve(t.Context(), id, strategies.Decision{By: "x"}); !errors.As(err, &ie) {
				t.Errorf("%.10q: %v", id, err)
			}
			if _, err := inbox.Result[string](t.Context(), b, id); !errors.As(err, &ie) {
				t.Errorf("%.10q: %v", id, err)
			}
		}
	})
}
