package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// Call ids of any kind keep apart, and get one ticket each.
func TestHostileCallIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{})
		defer a.Close()
		g := asksIn(t, a, true, failsSo, func(b *middleware.Builder[string, string]) { b.Effects(middleware.Effects{}) })
		h, err := middleware.WrapFunc(failsSo).Named("other").Effects(middleware.Effects{}).Intervene(middleware.Intervention{Ask: a, Park: true}).Build()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{}
		long := strings.Repeat("x", 2000)
		for _, id := range []string{"a", "a/b", "a%2Fb", "../a", "a.2", "a\n", " a", "\xff", "\xfe", "\x00", long + "1", long + "2", "日本", "A"} {
			for i, agent := range []*middleware.Guarded[string, string]{g, h} {
				for range 2 {
					_, err := agent.Run(middleware.WithCallID(t.Context(), id), "q")
					var p *strategies.PendingError
					if !errors.As(err, &p) {
						t.Errorf("%.20q: %v", id, err)
						continue
					}
					who := fmt.Sprintf("%d %.10q%d", i, id, len(id)) + id[max(0, len(id)-1):]
					if was, ok := seen[p.Ticket]; ok && was != who {
						t.Errorf("%q and %q have one ticket", was, who)
					}
					seen[p.Ticket] = who
				}
			}
		}
		if len(seen) != 28 {
			t.Error(len(seen))
		}
	})
}

// A process dies while it goes on with a call: another one takes it over.
func TestHostileTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a"})
		b := openFor(t, st, inbox.Settings{Process: "b"})
		defer b.Close()
		var asked, cancelled atomic.Int32
		phase := atomic.Int32{}
		agent := func(ctx context.Context, q string) (string, error) {
			switch asked.Add(1); phase.Load() {
			case 0:
				return "", errHostile
			case 1:
				<-ctx.Done()
				cancelled.Add(1)
				return "", context.Cause(ctx)
			}
			return "done " + q, nil
		}
		j := &strategies.MemoryJournal{}
		eff := func(bl *middleware.Builder[string, string]) { bl.Effects(middleware.Effects{Journal: j}) }
		ga, gb := asksIn(t, a, true, agent, eff), asksIn(t, b, true, agent, eff)
		_, err := ga.Run(middleware.WithCallID(t.Context(), "1"), "q")
		var p *strategies.PendingError
		if !errors.As(err, &p) {
			t.Fatal(err)
		}
		if err := inbox.Resume(a, ga); err != nil {
			t.Fatal(err)
		}
		phase.Store(1)
		if _, err := b.Resolve(t.Context(), p.Incident, strategies.Decision{Action: strategies.ActionRetryNow, By: "ada"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if asked.Load() != 2 {
			t.Fatal(asked.Load())
		}
		if _, err := inbox.Result[string](t.Context(), b, p.Ticket); !errors.Is(err, strategies.ErrPending) {
			t.Error(err)
		}
		if _, err := b.Resolve(t.Context(), p.Incident, strategies.Decision{By: "eve"}); err == nil {
			t.Error("decided twice")
		}
		if err := inbox.Resume(b, gb); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if asked.Load() != 2 {
			t.Error("two go on at once")
		}
		phase.Store(2)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if cancelled.Load() != 1 {
			t.Error("not cancelled")
		}
		v, err := inbox.Wait[string](t.Context(), b, p.Ticket)
		if v != "done q" || err != nil || asked.Load() != 3 {
			t.Error(v, err, asked.Load())
		}
		if _, err := b.Withdraw(t.Context(), p.Incident, "eve", "late"); err == nil {
			t.Error("withdrawn after it was done")
		}
		if v, err := inbox.Result[string](t.Context(), b, p.Ticket); v != "done q" || err != nil {
			t.Error(v, err)
		}
		time.Sleep(31 * 24 * time.Hour)
		if _, err := inbox.Result[string](t.Context(), b, p.Ticket); err == nil {
			t.Error("kept for longer than Keep")
		}
	})
}

// Pages of what is open and of what has ended, and a watch that sees each end.
func TestHostileLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Groups: []inbox.Group{{Name: "first"}, {Name: "second", After: time.Minute}}})
		defer a.Close()
		g := asksIn(t, a, true, failsSo, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w, err := a.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for range 30 {
			_, err := g.Run(t.Context(), "q")
			var p *strategies.PendingError
			if !errors.As(err, &p) {
				t.Fatal(err)
			}
			ids = append(ids, p.Incident)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		pages := func(q inbox.Query) (n int) {
			for range 50 {
				p, err := a.List(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				n += len(p.Entries)
				if q.After = p.Next; q.After == "" {
					return n
				}
			}
			t.Fatal("without an end")
			return n
		}
		for _, q := range []inbox.Query{{Limit: 4}, {Limit: 4, Newest: true}, {Group: "first", Limit: 3}, {Agent: "narrator"}} {
			if n := pages(q); n != 30 {
				t.Errorf("%+v: %d", q, n)
			}
		}
		time.Sleep(time.Minute)
		if n := pages(inbox.Query{Group: "second", Limit: 7}); n != 30 {
			t.Error(n)
		}
		for i, id := range ids {
			if i%2 == 0 {
				_, err = a.Withdraw(t.Context(), id, "ada", "no")
			} else {
				_, err = a.Resolve(t.Context(), id, strategies.Decision{Action: strategies.ActionAnswer, Value: json.RawMessage(`"x"`), By: "ada"})
			}
			if err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if err := inbox.Resume(a, g); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := pages(inbox.Query{}); n != 0 {
			t.Error("open", n)
		}
		if n := pages(inbox.Query{Closed: true, Newest: true, Limit: 7}); n != 30 {
			t.Error("closed", n)
		}
		time.AfterFunc(time.Second, cancel) // nobody has read until now
		last := map[string]inbox.Entry{}
		for c := range w {
			if c.Kind == inbox.ChangeEntry {
				last[c.Entry.ID] = c.Entry
			}
		}
		for i, id := range ids {
			if s := last[id].State; i%2 == 0 && s != inbox.StateWithdrawn || i%2 == 1 && (s != inbox.StateDecided || last[id].Stage != inbox.StageDone) {
				t.Error(i, s, last[id].Stage)
			}
		}
	})
}
