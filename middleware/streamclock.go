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
	owner       *Owner
	first, idle *strategies.TimeoutError // of all calls; nil: no such clock
	next        Runner[streamCall[Req, Chunk], streamEnd]
}

func newStreamClock[Req, Chunk any](o *Owner, first, idle time.Duration, next Runner[streamCall[Req, Chunk], streamEnd]) *streamClock[Req, Chunk] {
	l := &streamClock[Req, Chunk]{owner: o, next: next}
	if first > 0 {
		l.first = o.limit("first chunk", first)
	}
	if idle > 0 {
		l.idle = o.limit("idle", idle)
	}
	return l
}

func (l *streamClock[Req, Chunk]) Run(ctx context.Context, call streamCall[Req, Chunk]) (streamEnd, error) {
	c := callOf(ctx)
	if c == nil || c.stream == nil {
		return streamEnd{}, errLostContext
	}
	side := c.stream
	attempt, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &streamWatch{}
	if l.first != nil {
		w.late = l.first
		due := time.Now().Add(l.first.After)
		w.first = time.AfterFunc(l.first.After, func() {
			if late := time.Since(due); late >= max(l.first.After/2, 500*time.Millisecond) && l.owner.record().still.accept(time.Now()) {
				w.stood.Store(&strategies.StallError{Limit: l.first.Limit, After: l.first.After, Late: late})
				cancel(w.stood.Load())
				return
			}
			cancel(l.first)
		})
		defer w.first.Stop()
	}
	if l.idle != nil {
		w.start(l.idle, cancel)
		defer w.stop()
	}
	side.clock = w
	defer func() { side.clock = nil }()
	return l.next.Run(attempt, call)
}

var errLostContext = &strategies.ConfigError{
	Setting: "Around", Problem: "passed on a context of its own", Fix: "give next the context that you got, or one made from it",
}

// streamWatch is the clocks of one attempt.
//
// turn is odd while the reader runs and even while the agent does; the idle
// clock looks whether it moves, four times in the idle time. It needs no time.Now
// a chunk, and finds a silence out after its time and at most a quarter late;
// never early, never before the first chunk, and never while it is the reader's
// turn. beat is the same number for the one goroutine that writes it.
type streamWatch struct {
	first *time.Timer                           // nil: no first-chunk clock
	late  error                                 // what the attempt fails with when that was faster
	stood atomic.Pointer[strategies.StallError] // it fired while the process stood still

	turn    atomic.Uint32
	beat    uint32
	period  time.Duration // 0: no idle clock
	cancel  context.CancelCauseFunc
	cause   error
	stopped atomic.Bool
	ready   chan struct{} // closed when timer is set
	timer   *time.Timer

	// speech counts the chunks that were speech, where a rule says which are: then
	// they are looked at, and not the turns.
	ruled  atomic.Bool
	speech atomic.Uint32

	looked time.Time // these four belong to tick, which never overlaps itself
	last   uint32
	still  int
	spoken bool
}

const looks = 4

func (w *streamWatch) start(cause *strategies.TimeoutError, cancel context.CancelCauseFunc) {
	w.period, w.cancel, w.cause, w.ready = (cause.After+looks-1)/looks, cancel, cause, make(chan struct{})
	w.looked = time.Now()
	w.timer = time.AfterFunc(w.period, w.tick)
	close(w.ready)
}

// move says that the turn is the other's.
func (w *streamWatch) move() {
	w.beat++
	w.turn.Store(w.beat)
}

// readers says whether it is the reader's turn; it may be asked from anywhere.
func (w *streamWatch) readers() bool { return w != nil && w.turn.Load()%2 == 1 }

func (w *streamWatch) readersTurn() {
	if w != nil && w.beat%2 == 0 {
		w.move()
	}
}

func (w *streamWatch) agentsTurn() {
	if w != nil && w.beat%2 == 1 {
		w.move()
	}
}

// disarm stops the first-chunk clock; if that was faster it returns its error.
func (w *streamWatch) disarm() error {
	if w != nil && w.first != nil && !w.first.Stop() {
		if stood := w.stood.Load(); stood != nil {
			return stood
		}
		return w.late
	}
	return nil
}

func (w *streamWatch) lateness() error {
	if w == nil {
		return nil
	}
	return w.late
}

// watched says whether the agent's silence is bounded.
func (w *streamWatch) watched() bool { return w != nil && w.period > 0 }

// rule says that spoke is called for each chunk that is speech.
func (w *streamWatch) rule() { w.ruled.Store(true) }

func (w *streamWatch) spoke() { w.speech.Add(1) }

func (w *streamWatch) tick() {
	<-w.ready
	turn := w.turn.Load()
	before := w.looked
	w.looked = time.Now()
	if w.looked.Sub(before) > 2*w.period { // this process stood still: the silence was ours
		w.still = 0
	}
	now := turn
	if w.ruled.Load() {
		now = w.speech.Load()
	}
	switch {
	case w.stopped.Load():
		return
	case now != w.last || turn%2 == 1:
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

func (w *streamWatch) stop() {
	w.stopped.Store(true)
	w.timer.Stop()
}
