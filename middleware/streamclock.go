package middleware

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// streamClock is the timeout layer of a stream. Two clocks stand here: first,
// the time until the commit, which is disarmed then; and idle, the time the
// agent may take between two chunks. The third, the total, is the deadline.
type streamClock[Req, Chunk any] struct {
	first, idle *strategies.TimeoutError // of all calls; nil: no such clock
	next        Runner[StreamCall[Req, Chunk], StreamEnd]
}

func newStreamClock[Req, Chunk any](first, idle time.Duration, next Runner[StreamCall[Req, Chunk], StreamEnd]) *streamClock[Req, Chunk] {
	l := &streamClock[Req, Chunk]{next: next}
	if first > 0 {
		l.first = &strategies.TimeoutError{Limit: "first chunk", After: first}
	}
	if idle > 0 {
		l.idle = &strategies.TimeoutError{Limit: "idle", After: idle}
	}
	return l
}

func (l *streamClock[Req, Chunk]) Run(ctx context.Context, call StreamCall[Req, Chunk]) (StreamEnd, error) {
	attempt, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := call.sink
	if l.first != nil {
		s.late = l.first
		s.first = time.AfterFunc(l.first.After, func() { cancel(l.first) })
	}
	if l.idle != nil {
		w := watch(&s.turn, l.idle, cancel)
		s.watched = true
		defer w.stop()
	}
	defer func() {
		if s.first != nil {
			s.first.Stop()
		}
		s.first, s.late, s.watched = nil, nil, false
	}()
	return l.next.Run(attempt, call)
}

// idleWatch looks four times in the idle time whether the turn has moved. It
// needs no time.Now a chunk, and finds a silence out after its time and at most
// a quarter late; never early, never before the first chunk, and never while it
// is the reader's turn.
type idleWatch struct {
	turn    *atomic.Uint32
	period  time.Duration
	cancel  context.CancelCauseFunc
	cause   error
	stopped atomic.Bool
	ready   chan struct{} // closed when timer is set
	timer   *time.Timer

	last   uint32 // these three belong to tick, which never overlaps itself
	still  int
	spoken bool
}

const looks = 4

func watch(turn *atomic.Uint32, cause *strategies.TimeoutError, cancel context.CancelCauseFunc) *idleWatch {
	w := &idleWatch{
		turn: turn, period: (cause.After + looks - 1) / looks, cancel: cancel, last: turn.Load(), ready: make(chan struct{}),
		cause: cause,
	}
	w.timer = time.AfterFunc(w.period, w.tick)
	close(w.ready)
	return w
}

func (w *idleWatch) tick() {
	<-w.ready
	switch now := w.turn.Load(); {
	case w.stopped.Load():
		return
	case now != w.last || now%2 == 1:
		w.spoken = w.spoken || now != w.last
		w.last, w.still = now, 0
	case !w.spoken: // the time until the first chunk is another clock's
	default:
		if w.still++; w.still >= looks {
			w.cancel(w.cause)
			return
		}
	}
	w.timer.Reset(w.period)
	if w.stopped.Load() {
		w.timer.Stop()
	}
}

func (w *idleWatch) stop() {
	w.stopped.Store(true)
	w.timer.Stop()
}
