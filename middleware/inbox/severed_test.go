package inbox_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// severed is a store whose line can be cut: nothing goes through then, and watches say
// that they have lost it. A process behind a cut line is to all others a dead one.
type severed struct {
	strategies.Store

	mu     sync.Mutex
	down   bool
	change chan struct{}
}

var errCut = &strategies.StoreError{Op: "reach", Err: strategies.ErrUnavailable, Cause: errors.New("the line is cut")}

func (s *severed) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	if s.change != nil {
		close(s.change)
		s.change = nil
	}
}
func (s *severed) cut()  { s.set(true) }
func (s *severed) mend() { s.set(false) }

func (s *severed) state() (down bool, changes <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.change == nil {
		s.change = make(chan struct{})
	}
	return s.down, s.change
}

func (s *severed) ok() error {
	if down, _ := s.state(); down {
		return errCut
	}
	return nil
}

func (s *severed) Get(ctx context.Context, key string) (strategies.Record, error) {
	if err := s.ok(); err != nil {
		return strategies.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s *severed) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := s.ok(); err != nil {
		return strategies.Record{}, err
	}
	return s.Store.Put(ctx, w)
}

func (s *severed) Delete(ctx context.Context, key string, revision uint64) error {
	if err := s.ok(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, revision)
}

func (s *severed) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	if err := s.ok(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, prefix)
}

func (s *severed) Now(ctx context.Context) (time.Time, error) {
	if err := s.ok(); err != nil {
		return time.Time{}, err
	}
	return s.Store.Now(ctx)
}

func (s *severed) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
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
func (s *severed) pass(ctx context.Context, prefix string, out chan<- strategies.Change, changes <-chan struct{}, known map[string]uint64) {
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
