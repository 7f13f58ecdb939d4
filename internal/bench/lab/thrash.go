package lab

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// sharing is an agent that works on all its calls at once, each at the same speed:
// the more there are beyond what it bears, the slower.
type sharing struct {
	Thrash

	mu    sync.Mutex
	calls []*shareholder // by their ends
	done  float64        // work done so far for each call that was there all the time, in nanoseconds
	at    time.Time
	timer *time.Timer // for the first of them
}

type shareholder struct {
	end  float64
	done chan struct{}
}

func newSharing(t *Thrash) *sharing {
	if t == nil {
		return nil
	}
	return &sharing{Thrash: *t, at: time.Now()}
}

// work takes as long as a call does that takes so long alone.
func (s *sharing) work(ctx context.Context, alone time.Duration) error {
	h := &shareholder{done: make(chan struct{})}
	s.change(func() {
		h.end = s.done + float64(alone)
		i, _ := slices.BinarySearchFunc(s.calls, h, func(a, b *shareholder) int { return cmp.Compare(a.end, b.end) })
		s.calls = slices.Insert(s.calls, i, h)
	})
	select {
	case <-h.done:
		return nil
	case <-ctx.Done():
		s.change(func() { s.calls = slices.DeleteFunc(s.calls, func(o *shareholder) bool { return o == h }) })
		return ctx.Err()
	}
}

// change does what has been done by now, then the change, and sees to who is next.
func (s *sharing) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.done += float64(now.Sub(s.at)) * s.speed()
	s.at = now
	do()
	for len(s.calls) > 0 && s.calls[0].end-s.done < 1 {
		close(s.calls[0].done)
		s.calls = s.calls[1:]
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if len(s.calls) > 0 {
		s.timer = time.AfterFunc(time.Duration(math.Ceil((s.calls[0].end-s.done)/s.speed())), func() { s.change(func() {}) })
	}
}

// speed is 1 while it bears its calls.
func (s *sharing) speed() float64 {
	return math.Pow(min(1, float64(s.Over)/float64(max(len(s.calls), 1))), s.Power)
}
