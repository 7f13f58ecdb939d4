package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// standstill tells an attempt that was lost because this process stood still (a
// laptop that slept, a frozen container, a moved machine) from one of an agent
// that is slow to hear. In both a limit's end is heard of far later than it was
// due. But after a standstill all that were under way come back in one moment,
// and it does not happen every minute.
type standstill struct {
	mu sync.Mutex
	at time.Time // when the last one ended
}

const (
	oneMoment  = 250 * time.Millisecond
	betweenTwo = time.Minute
)

// accept says whether a limit that was due so long ago is one of a standstill.
func (s *standstill) accept(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := now.Sub(s.at)
	if s.at.IsZero() || since < 0 || since >= betweenTwo {
		s.at = now
		return true
	}
	return since < oneMoment
}

// stood returns what an attempt fails with whose limit was due at a time, if this
// process stood still. err is what the agent said: one that does not speak of its
// context's end has not listened, and is slow itself.
func (o *Owner) stood(err error, cause *strategies.TimeoutError, after time.Duration, due time.Time) error {
	now := time.Now()
	late := now.Sub(due)
	if due.IsZero() || late < max(after/2, 500*time.Millisecond) || !speaksOfItsEnd(err, cause) || !o.record().still.accept(now) {
		return nil
	}
	return &strategies.StallError{Limit: cause.Limit, After: after, Late: late, Err: raw(err)}
}

func speaksOfItsEnd(err error, cause error) bool {
	return errtree.Is(err, context.DeadlineExceeded) || errtree.Is(err, context.Canceled) || errtree.Is(err, cause)
}
