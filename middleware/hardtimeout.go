package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// HardTimeout bounds one attempt as [Timeout] does, and returns on time even if
// the agent is deaf to its context: the attempt is then left running behind. At
// most leftBehind attempts are running after their time. While that many are, new
// calls fail with a [strategies.FullError], for an agent that never comes back
// would eat all memory; and calls that are under way wait for their attempt, as
// with Timeout, until there is room. What an attempt that was left behind answers
// is dropped. It keeps its slot of the bulkhead until it ends, for until then it
// is in flight.
//
// It costs a goroutine and a channel a call beside the context.
func HardTimeout[Req, Resp any](o *Owner, d time.Duration, leftBehindMost int) Middleware[Req, Resp] {
	left := &leftBehind{most: leftBehindMost}
	p := &timeoutPart{basics: basics{"Timeout", StageTimeout}, first: d, hard: left}
	problem := errors.Join(positive("HardTimeout", d), positive("HardTimeout leftBehind", leftBehindMost))
	return byHand(o, p, problem, func(next Runner[Req, Resp]) Runner[Req, Resp] { return newHardTimeout(o, d, left, next) })
}

// HardTimeout bounds each attempt and returns on time even if the agent does not
// look at its context. See [HardTimeout].
func (s *Settings) HardTimeout(attempt time.Duration, leftBehindMost int) *Settings {
	p := &timeoutPart{basics: basics{"Timeout", StageTimeout}, first: attempt, hard: &leftBehind{most: leftBehindMost}}
	return s.add(p, positive("HardTimeout", attempt), positive("HardTimeout leftBehind", leftBehindMost))
}

// leftBehind counts the attempts that still run after their time.
type leftBehind struct {
	most   int
	once   sync.Once
	rooms  chan struct{}
	before *leftBehind // with another bound, whose attempts still run; nil: none
}

// room is taken by whoever leaves an attempt behind.
func (l *leftBehind) room() chan struct{} {
	l.once.Do(func() { l.rooms = make(chan struct{}, l.most) })
	return l.rooms
}

func (l *leftBehind) running() int {
	if l.before != nil {
		return len(l.room()) + l.before.running()
	}
	return len(l.room())
}

type hardTimeout[Req, Resp any] struct {
	owner *Owner
	left  *leftBehind
	cause *strategies.TimeoutError
	next  Runner[Req, Resp]
}

func newHardTimeout[Req, Resp any](o *Owner, d time.Duration, left *leftBehind, next Runner[Req, Resp]) *hardTimeout[Req, Resp] {
	return &hardTimeout[Req, Resp]{owner: o, left: left, cause: o.limit("attempt", d), next: next}
}

var errGoexit = errors.New("understudy: the agent ended its goroutine (runtime.Goexit)")

type returned[Resp any] struct {
	resp Resp
	err  error
}

func (l *hardTimeout[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	return l.hold(ctx, req, func() {})
}

// hold is Run for a layer outside that holds something for as long as the attempt
// runs, also when it is left behind: release is called at the end.
func (l *hardTimeout[Req, Resp]) hold(ctx context.Context, req Req, release func()) (Resp, error) {
	var none Resp
	room := l.left.room()
	if l.left.running() >= l.left.most {
		release()
		return none, &strategies.FullError{What: fmt.Sprintf("what %q may leave behind by HardTimeout", l.owner.name()), Limit: l.left.most}
	}
	limited, cancel := context.WithTimeoutCause(ctx, l.cause.After, l.cause)
	defer cancel()

	// One of the two, the attempt or its caller, comes first and says so.
	const running, ended, abandoned = 0, 1, 2
	var state atomic.Int32
	answers := make(chan returned[Resp], 1)
	go func() {
		got := returned[Resp]{err: &strategies.PanicError{Value: errGoexit}}
		defer func() {
			release()
			if state.CompareAndSwap(running, ended) {
				answers <- got
			} else {
				<-room
			}
		}()
		got.resp, got.err = guard(limited, l.next, req)
	}()

	select {
	case got := <-answers:
		return l.result(limited, got)
	case <-limited.Done():
	}
	select {
	case got := <-answers:
		return l.result(limited, got)
	case room <- struct{}{}:
	}
	if !state.CompareAndSwap(running, abandoned) {
		<-room
		return l.result(limited, <-answers) // both at once: an answer is worth more
	}
	l.owner.emit(ctx, l.owner.identify(callOf(ctx)), Event{Kind: EventWorkAbandoned, Count: l.left.running()})
	if cause := context.Cause(limited); !errtree.Same(cause, l.cause) {
		return none, cause // the caller's end, not ours
	}
	return none, &strategies.TimeoutError{Limit: l.cause.Limit, After: l.cause.After}
}

func (l *hardTimeout[Req, Resp]) result(limited context.Context, got returned[Resp]) (Resp, error) {
	if got.err != nil && limited.Err() != nil && errtree.Same(context.Cause(limited), l.cause) {
		due, _ := limited.Deadline()
		got.err = l.owner.overdue(got.err, l.cause, l.cause.After, due)
	}
	return got.resp, got.err
}
