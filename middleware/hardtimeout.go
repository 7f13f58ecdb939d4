package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// HardTimeout bounds one attempt as [Timeout] does, and returns on time even if
// the agent is deaf to its context: the attempt is then left running behind. At
// most abandoned attempts may be left behind at a time, beside those that are
// under way when the last of them is; while there are so many,
// calls are refused with a [strategies.FullError], for an agent that never comes
// back would eat all memory. What an abandoned attempt answers is dropped.
//
// It costs a goroutine and a channel a call beside the context.
func HardTimeout[Req, Resp any](s Scope, d time.Duration, abandoned int) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := errors.Join(positive("HardTimeout", d), positive("HardTimeout abandoned", abandoned)); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return newHardTimeout(scope, d, abandoned, &atomic.Int64{}, next)
	}
}

type hardTimeout[Req, Resp any] struct {
	scope *scope
	after time.Duration
	most  int
	left  *atomic.Int64 // attempts left behind and still running
	cause *strategies.TimeoutError
	next  Runner[Req, Resp]
}

func newHardTimeout[Req, Resp any](s *scope, d time.Duration, most int, left *atomic.Int64, next Runner[Req, Resp]) *hardTimeout[Req, Resp] {
	cause := &strategies.TimeoutError{Limit: "attempt", After: d}
	return &hardTimeout[Req, Resp]{scope: s, after: d, most: most, left: left, cause: cause, next: next}
}

var errGoexit = errors.New("understudy: the agent ended its goroutine (runtime.Goexit)")

type answer[Resp any] struct {
	resp Resp
	err  error
}

func (l *hardTimeout[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	var none Resp
	if n := l.left.Load(); n >= int64(l.most) {
		return none, &strategies.FullError{What: fmt.Sprintf("hard timeout of agent %q (attempts left behind)", l.scope.name), Limit: l.most}
	}
	limited, cancel := context.WithTimeoutCause(ctx, l.after, l.cause)
	defer cancel()

	// One of the two, the attempt or its caller, comes first and says so.
	const running, ended, abandoned = 0, 1, 2
	var state atomic.Int32
	answers := make(chan answer[Resp], 1)
	go func() {
		got := answer[Resp]{err: &strategies.PanicError{Value: errGoexit}}
		defer func() {
			if !state.CompareAndSwap(running, ended) {
				l.left.Add(-1)
				return
			}
			answers <- got
		}()
		got.resp, got.err = guard(limited, l.next, req)
	}()

	select {
	case got := <-answers:
		return l.result(ctx, limited, got)
	case <-limited.Done():
	}
	l.left.Add(1)
	if !state.CompareAndSwap(running, abandoned) {
		l.left.Add(-1)
		return l.result(ctx, limited, <-answers) // both at once: an answer is worth more
	}
	l.scope.emit(ctx, Event{Kind: EventWorkAbandoned, Detail: fmt.Sprintf("%d left behind", l.left.Load())})
	if cause := context.Cause(limited); cause != error(l.cause) {
		return none, cause // the caller's end, not ours
	}
	return none, &strategies.TimeoutError{Limit: "attempt", After: l.after}
}

func (l *hardTimeout[Req, Resp]) result(ctx, limited context.Context, got answer[Resp]) (Resp, error) {
	if got.err != nil && limited.Err() != nil && context.Cause(limited) == error(l.cause) && l.scope.judge(ctx, got.err).Class != strategies.ClassInterrupt {
		var none Resp
		return none, &strategies.TimeoutError{Limit: "attempt", After: l.after, Err: got.err}
	}
	return got.resp, got.err
}
