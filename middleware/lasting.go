package middleware

import (
	"context"
	"sync"
	"time"
)

// lasting is a context that has the values of another one and not its end: it ends by
// itself after a time. A timer is made when somebody waits for that, which most who
// get one do not.
type lasting struct {
	context.Context // without its end
	until           time.Time

	mu    sync.Mutex
	err   error
	done  chan struct{}
	timer *time.Timer
}

func (l *lasting) begin(of context.Context, limit time.Duration) *lasting {
	l.Context, l.until = context.WithoutCancel(of), time.Now().Add(limit)
	return l
}

func (l *lasting) Deadline() (time.Time, bool) { return l.until, true }

func (l *lasting) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		} else {
			l.timer = time.AfterFunc(time.Until(l.until), func() { l.end(context.DeadlineExceeded) })
		}
	}
	return l.done
}

func (l *lasting) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && !time.Now().Before(l.until) {
		l.ends(context.DeadlineExceeded)
	}
	return l.err
}

// end ends it for a reason, if it has not ended.
func (l *lasting) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends(err)
}

// ends is end under the lock.
func (l *lasting) ends(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.done != nil {
		close(l.done)
	}
}
