package inbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// vague is a store that can be away, and then writes or not, and does not say.
type vague struct {
	strategies.Store
	away, writes atomic.Bool
}

func (s *vague) no() error {
	if s.away.Load() {
		return strategies.ErrUnavailable
	}
	return nil
}

func (s *vague) Get(ctx context.Context, k string) (strategies.Record, error) {
	if err := s.no(); err != nil {
		return strategies.Record{}, err
	}
	return s.Store.Get(ctx, k)
}

func (s *vague) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := s.no(); err != nil {
		if s.writes.Load() {
			_, _ = s.Store.Put(ctx, w)
		}
		return strategies.Record{}, err
	}
	return s.Store.Put(ctx, w)
}

func (s *vague) Delete(ctx context.Context, k string, r uint64) error {
	if err := s.no(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, k, r)
}

func (s *vague) List(ctx context.Context, p string) ([]strategies.Record, error) {
	if err := s.no(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, p)
}

func (s *vague) Now(ctx context.Context) (time.Time, error) {
	if err := s.no(); err != nil {
		return time.Time{}, err
	}
	return s.Store.Now(ctx)
}

// The store is away for longer than three heartbeats: nobody is taken for dead, no
// question is lost, and what was decided meanwhile elsewhere is heard.
func TestHostileStoreAway(t *testing.T) {
	for name, both := range map[string]bool{"for one": false, "for all": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &memory.Store{}
				defer st.Close()
				sa, sb := &vague{Store: st}, &vague{Store: st}
				a := openFor(t, sa, inbox.Settings{Process: "a", Trouble: func(error) {}})
				b := openFor(t, sb, inbox.Settings{Process: "b", Trouble: func(error) {}})
				defer a.Close()
				defer b.Close()
				g := asksIn(t, a, false, failsSo, nil)
				done := make(chan error, 1)
				var got string
				go func() { v, err := g.Run(t.Context(), "q"); got = v; done <- err }()
				e := onlyOpen(t, b)
				sa.away.Store(true)
				sb.away.Store(both)
				if both {
					time.Sleep(5 * time.Minute)
					if _, err := b.Resolve(t.Context(), e.ID, strategies.Decision{By: "x"}); !errors.Is(err, strategies.ErrUnavailable) {
						t.Error(err)
					}
				} else {
					time.Sleep(20 * time.Second)
				}
				sb.away.Store(false)
				if both {
					time.Sleep(20 * time.Second)
					if e, err := b.Get(t.Context(), e.ID); err != nil || e.State != inbox.StateOpen {
						t.Error("taken for dead too early:", e.State, err)
					}
					sa.away.Store(false)
					time.Sleep(10 * time.Second)
				}
				if _, err := b.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "yes", By: "x"}); err != nil {
					t.Error(err)
				}
				sa.away.Store(false)
				if err := <-done; err != nil || got != "yes" {
					t.Error(got, err)
				}
			})
		})
	}
}

// A question cannot be asked: the caller hears so, with its own failure, soon.
func TestHostileCannotAsk(t *testing.T) {
	for _, park := range []bool{false, true} {
		for _, writes := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				st := &memory.Store{}
				defer st.Close()
				sa := &vague{Store: st}
				a := openFor(t, sa, inbox.Settings{Trouble: func(error) {}})
				defer a.Close()
				g := asksIn(t, a, park, failsSo, nil)
				time.Sleep(time.Second)
				sa.away.Store(true)
				sa.writes.Store(writes)
				start := time.Now()
				_, err := g.Run(t.Context(), "q")
				if !errors.Is(err, errHostile) || errors.Is(err, strategies.ErrPending) || time.Since(start) > 7*time.Second {
					t.Error(park, writes, err, time.Since(start))
				}
				sa.away.Store(false)
				time.Sleep(5 * time.Minute)
				// what was written all the same does not stand for ever
				for _, e := range listOf(t, a, inbox.Query{}) {
					t.Errorf("park %v, writes %v: a question that nobody waits for: %+v", park, writes, e)
				}
			})
		}
	}
}
