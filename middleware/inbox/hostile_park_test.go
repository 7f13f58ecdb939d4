package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

type panicCodec struct{ marshal, unmarshal *atomic.Bool }

func (c panicCodec) Marshal(v any) ([]byte, error) {
	if c.marshal.Load() {
		panic("marshal")
	}
	return json.Marshal(v)
}
func (c panicCodec) Unmarshal(d []byte, v any) error {
	if c.unmarshal.Load() {
		panic("unmarshal")
	}
	return json.Unmarshal(d, v)
}

func TestHostilePanicCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		var m, u atomic.Bool
		a := openFor(t, st, inbox.Settings{Process: "a", Codec: panicCodec{&m, &u}, Show: func(i strategies.Incident) string {
			if i.Request == "boom" {
				panic("show")
			}
			return fmt.Sprint(i.Request)
		}})
		defer a.Close()
		g := asksIn(t, a, true, failsSo, nil)
		m.Store(true)
		_, err := g.Run(t.Context(), "q")
		t.Log("park, marshal panics:", err)
		var p *strategies.PendingError
		if errors.As(err, &p) {
			t.Error("parked")
		}
		if !errors.Is(err, errHostile) {
			t.Error("cause is lost")
		}
		m.Store(false)
		_, err = g.Run(t.Context(), "boom")
		t.Log("park, show panics:", err)
		if errors.As(err, &p) {
			if _, err := a.Withdraw(t.Context(), p.Incident, "x", "y"); err != nil {
				t.Error(err)
			}
		}
		_, err = g.Run(t.Context(), "q2")
		if !errors.As(err, &p) {
			t.Fatal(err)
		}
		m.Store(true)
		if _, err := a.Resolve(t.Context(), p.Incident, strategies.Decision{Action: strategies.ActionAnswer, Value: "x", By: "a"}); err == nil {
			t.Error("decided although the answer cannot be written")
		}
		m.Store(false)
		u.Store(true)
		if err := inbox.Resume(a, g); err != nil {
			t.Fatal(err)
		}
		_, err = a.Resolve(t.Context(), p.Incident, strategies.Decision{Action: strategies.ActionAnswer, Value: "x", By: "a"})
		t.Log("resolve with a bad unmarshal:", err)
		if err != nil {
			u.Store(false)
			_, err = a.Resolve(t.Context(), p.Incident, strategies.Decision{Action: strategies.ActionAnswer, Value: "x", By: "a"})
			if err != nil {
				t.Fatal(err)
			}
			u.Store(true)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		v, err := inbox.Wait[string](ctx, a, p.Ticket)
		t.Log("wait:", v, err)
	})
}

func TestHostileCloseWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a"})
		b := openFor(t, st, inbox.Settings{Process: "b"})
		defer b.Close()
		g := asksIn(t, a, false, failsSo, nil)
		gp := asksIn(t, a, true, failsSo, nil)
		done := make(chan error, 3)
		go func() { _, err := g.Run(t.Context(), "q"); done <- err }()
		e := onlyOpen(t, b)
		_, err := gp.Run(t.Context(), "q")
		var p *strategies.PendingError
		if !errors.As(err, &p) {
			t.Fatal(err)
		}
		w, err := a.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, err := inbox.Wait[string](t.Context(), a, p.Ticket); done <- err }()
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for range w {
		}
		for range 2 {
			if err := <-done; err == nil {
				t.Error("yes")
			}
		}
		_, err = g.Run(t.Context(), "q")
		t.Log("after close:", err)
		if !errors.Is(err, errHostile) {
			t.Error(err)
		}
		en, err := b.Get(t.Context(), e.ID)
		if err != nil || en.State != inbox.StateWithdrawn {
			t.Error(en.State, err)
		}
		en, err = b.Get(t.Context(), p.Incident)
		if err != nil || en.State != inbox.StateOpen {
			t.Error(en.State, err)
		}
		if _, err := a.List(t.Context(), inbox.Query{}); err == nil {
			t.Error("list after close")
		}
		if _, err := a.Watch(t.Context()); err == nil {
			t.Error("watch after close")
		}
		if _, err := a.Resolve(t.Context(), p.Incident, strategies.Decision{}); err == nil {
			t.Log("resolve after close works")
		}
	})
}

func TestHostileParkTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		a := openFor(t, st, inbox.Settings{Process: "a"})
		b := openFor(t, st, inbox.Settings{Process: "b"})
		defer a.Close()
		defer b.Close()
		var n atomic.Int32
		f := func(context.Context, string) (string, error) {
			if n.Add(1) > 30 {
				return "done", nil
			}
			return "", errHostile
		}
		j := &strategies.MemoryJournal{}
		eff := func(bl *middleware.Builder[string, string]) { bl.Effects(middleware.Effects{Journal: j}) }
		g := asksIn(t, a, true, f, eff)
		gb := asksIn(t, b, true, f, eff)
		tickets := make(chan string, 40)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				gg := g
				if i%2 == 0 {
					gg = gb
				}
				_, err := gg.Run(middleware.WithCallID(t.Context(), "order 17"), "q")
				var p *strategies.PendingError
				if !errors.As(err, &p) {
					t.Error(err)
					return
				}
				tickets <- p.Ticket
			})
		}
		wg.Wait()
		close(tickets)
		first := ""
		for s := range tickets {
			if first == "" {
				first = s
			}
			if s != first {
				t.Error("two tickets", s, first)
			}
		}
		e := onlyOpen(t, a)
		for range 3 { // the same agent, again and again
			if err := inbox.Resume(a, g); err != nil {
				t.Log("resume twice:", err)
			}
		}
		if err := inbox.Resume(b, gb); err != nil {
			t.Error(err)
		}
		n.Store(30)
		if _, err := b.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionRetryNow, By: "x"}); err != nil {
			t.Error(err)
		}
		v, err := inbox.Wait[string](t.Context(), a, first)
		if v != "done" || err != nil {
			t.Error(v, err)
		}
		if n.Load() != 31 {
			t.Error("agent was asked", n.Load()-30)
		}
		// wrong type
		if _, err := inbox.Wait[int](t.Context(), a, first); err == nil {
			t.Error("int")
		}
		// again: the call has been done; what does it get?
		v, err = g.Run(middleware.WithCallID(t.Context(), "order 17"), "q")
		t.Log("again, answering:", v, err)
		n.Store(0)
		v, err = g.Run(middleware.WithCallID(t.Context(), "order 17"), "q")
		t.Log("again, failing:", v, err, n.Load())
	})
}

// xorCodec writes what is no JSON, and the same value each time in another way.
type xorCodec struct{ n *atomic.Uint32 }

func (c xorCodec) Marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	k := byte(c.n.Add(1))
	for i := range data {
		data[i] ^= k
	}
	return append([]byte{k}, data...), err
}

func (c xorCodec) Unmarshal(data []byte, v any) error {
	if len(data) == 0 {
		return errors.New("it is empty")
	}
	plain := make([]byte, len(data)-1)
	for i, x := range data[1:] {
		plain[i] = x ^ data[0]
	}
	return json.Unmarshal(plain, v)
}

type judgement struct{ Yes, Sure bool }

// Two people say the same, one of them in JSON, over a codec that encrypts.
func TestHostileQuorumOverACodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		s := inbox.Settings{Quorum: 2, Codec: xorCodec{&atomic.Uint32{}}}
		a, b := openFor(t, st, s), openFor(t, st, s)
		defer a.Close()
		defer b.Close()
		g, err := middleware.WrapFunc(func(context.Context, string) (judgement, error) { return judgement{}, errHostile }).Named("judge").
			Intervene(middleware.Intervention{Ask: a}).Build()
		if err != nil {
			t.Fatal(err)
		}
		for _, boxes := range [][2]*inbox.Inbox{{a, a}, {a, b}} {
			done := make(chan judgement)
			go func() {
				v, err := g.Run(t.Context(), "q")
				if err != nil {
					t.Error(err)
				}
				done <- v
			}()
			e := onlyOpen(t, a)
			for i, d := range []strategies.Decision{
				{By: "ada", Value: judgement{true, false}},
				{By: "bob", Value: json.RawMessage(`{"Sure": false, "Yes": true}`)},
			} {
				d.Action = strategies.ActionAnswer
				if e, err = boxes[i].Resolve(t.Context(), e.ID, d); err != nil {
					t.Fatal(err)
				}
			}
			if e.State != inbox.StateDecided {
				t.Log("needs a third, who knows the type")
				if _, err = a.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, By: "carl", Value: judgement{true, false}}); err != nil {
					t.Fatal(err)
				}
			}
			if v := <-done; v != (judgement{true, false}) {
				t.Error(v)
			}
			synctest.Wait()
		}
	})
}
