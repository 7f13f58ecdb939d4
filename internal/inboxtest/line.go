package inboxtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Line is a store whose line can be cut: nothing goes through then, and watches say
// that they have lost it. A process behind a cut line is to all others a dead one.
type Line struct {
	strategies.Store
	// Delay is how long a call is on its way there, and its answer back. nil: no time.
	// Who does not wait for the answer does not know what was done.
	Delay func() time.Duration

	mu     sync.Mutex
	down   bool
	change chan struct{}
}

var errCut = &strategies.StoreError{Op: "reach", Err: strategies.ErrUnavailable, Cause: errors.New("the line is cut")}

func (s *Line) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	if s.change != nil {
		close(s.change)
		s.change = nil
	}
}

// Cut cuts the line.
func (s *Line) Cut() { s.set(true) }

// Mend mends it.
func (s *Line) Mend() { s.set(false) }

func (s *Line) lost() bool {
	down, _ := s.state()
	return down
}

func (s *Line) state() (down bool, changes <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.change == nil {
		s.change = make(chan struct{})
	}
	return s.down, s.change
}

// travel is the way there or back.
func (s *Line) travel(ctx context.Context) error {
	if s.Delay != nil {
		timer := time.NewTimer(s.Delay())
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return &strategies.StoreError{Op: "reach", Err: strategies.ErrUnavailable, Cause: ctx.Err()}
		}
	}
	if down, _ := s.state(); down {
		return errCut
	}
	return nil
}

// Get is the store's, as long as the line holds.
func (s *Line) Get(ctx context.Context, key string) (strategies.Record, error) {
	if err := s.travel(ctx); err != nil {
		return strategies.Record{}, err
	}
	got, err := s.Store.Get(ctx, key)
	if lost := s.travel(ctx); lost != nil {
		return strategies.Record{}, lost
	}
	return got, err
}

// Put is the store's, as long as the line holds.
func (s *Line) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := s.travel(ctx); err != nil {
		return strategies.Record{}, err
	}
	got, err := s.Store.Put(ctx, w)
	if lost := s.travel(ctx); lost != nil {
		return strategies.Record{}, lost
	}
	return got, err
}

// Delete is the store's, as long as the line holds.
func (s *Line) Delete(ctx context.Context, key string, revision uint64) error {
	if err := s.travel(ctx); err != nil {
		return err
	}
	err := s.Store.Delete(ctx, key, revision)
	if lost := s.travel(ctx); lost != nil {
		return lost
	}
	return err
}

// List is the store's, as long as the line holds.
func (s *Line) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	if err := s.travel(ctx); err != nil {
		return nil, err
	}
	got, err := s.Store.List(ctx, prefix)
	if lost := s.travel(ctx); lost != nil {
		return nil, lost
	}
	return got, err
}

// Now is the store's, as long as the line holds.
func (s *Line) Now(ctx context.Context) (time.Time, error) {
	if err := s.travel(ctx); err != nil {
		return time.Time{}, err
	}
	got, err := s.Store.Now(ctx)
	if lost := s.travel(ctx); lost != nil {
		return time.Time{}, lost
	}
	return got, err
}

// Watch is the store's, as long as the line holds.
func (s *Line) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	out := make(chan strategies.Change)
	go func() {
		defer close(out)
		known := map[string]uint64{}
		for ctx.Err() == nil {
			down, changes := s.state()
			if down {
				select {
				case out <- strategies.Change{Kind: strategies.ChangeLost, Err: errCut}:
				case <-ctx.Done():
					return
				}
				select {
				case <-changes:
				case <-ctx.Done():
					return
				}
				continue
			}
			s.pass(ctx, prefix, out, changes, known)
		}
	}()
	return out, nil
}

// pass passes on what the store tells until the line is cut. After an outage it tells
// what has gone meanwhile.
func (s *Line) pass(ctx context.Context, prefix string, out chan<- strategies.Change, changes <-chan struct{}, known map[string]uint64) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := s.Store.Watch(inner, prefix)
	if err != nil {
		<-ctx.Done()
		return
	}
	send := func(c strategies.Change) bool {
		select {
		case out <- c:
			return true
		case <-ctx.Done():
			return false
		}
	}
	seen, current := map[string]bool{}, false
	for {
		select {
		case c, ok := <-in:
			if !ok {
				return
			}
			switch c.Kind {
			case strategies.ChangePut:
				seen[c.Record.Key] = true
				known[c.Record.Key] = c.Record.Revision
			case strategies.ChangeGone:
				delete(known, c.Record.Key)
			case strategies.ChangeCurrent:
				if !current {
					for key, revision := range known {
						if !seen[key] {
							delete(known, key)
							if !send(strategies.Change{Kind: strategies.ChangeGone, Record: strategies.Record{Key: key, Revision: revision}}) {
								return
							}
						}
					}
				}
				current = true
			}
			if !send(c) {
				return
			}
		case <-changes:
			return
		case <-ctx.Done():
			return
		}
	}
}
