package middleware

import (
	"context"
	"errors"
	"sync"
	"time"

	retrygo "github.com/avast/retry-go/v4"

	"github.com/understudy-go/understudy/internal/errtree"
)

// This is the only file that knows retry-go, the engine of the retry loop. It
// is entered when there is a wait, with the failure before it replayed, so that
// neither a healthy call nor an attempt that is due at once pays for it. Six of its traits shape what is below.
//
//   - It looks at the context only while it sleeps, and with no delay not even
//     then for sure. So every attempt looks first.
//   - RetryIf runs before DelayType. So the one question, whether and when, is
//     asked in RetryIf, and its answer kept for DelayType; no jitter, cap or
//     combination of the engine's is used.
//   - A RetryIf of one's own switches off Unrecoverable. So the one question
//     looks for it.
//   - It drops what it was told when a context ends. So the errors are kept here.
//   - It looks into errors with errors.As, which a foreign one may not survive. So
//     it gets one of ours in its place.
//   - Its options are functions made for one call. So ours are made once for a
//     loop that is used again, and its timer is not asked for no time at all.

// attempts is a call that is being retried.
type attempts interface {
	// attempt makes the next one.
	attempt() error
	// after is asked exactly once for each that failed: whether, and when, to
	// make another.
	after(failed error) (time.Duration, bool)
}

// retryLoop makes an attempt after delay, and again after each delay that is
// granted, at most most times; true means that one succeeded. The engine has the loop
// from the first wait on, and a failure is replayed to let it in. What it runs comes
// from a pool of the layer's.
func retryLoop(ctx context.Context, loops *sync.Pool, most int, delay time.Duration, of attempts) bool {
	for ; delay <= 0; most-- {
		if most <= 0 || ctx.Err() != nil {
			return false
		}
		failed := of.attempt()
		if failed == nil {
			return true
		}
		again := false
		if delay, again = of.after(failed); !again {
			return false
		}
	}
	l, ok := loops.Get().(*loop)
	if !ok {
		l = newLoop()
	}
	l.of, l.ctx, l.most, l.delay = of, ctx, uint(most)+1, delay
	l.replayed, l.left = false, false
	_, err := retrygo.DoWithData(l.run, l.options...)
	l.of, l.ctx, l.failed = nil, nil, nil
	loops.Put(l) // unless an attempt panicked or left by Goexit
	return err == nil
}

// loop is what one run of the engine has to remember.
type loop struct {
	of       attempts
	ctx      context.Context
	most     uint
	failed   error // the last failure
	delay    time.Duration
	replayed bool
	left     bool // the context ended before an attempt that was due

	run     retrygo.RetryableFuncWithData[struct{}]
	options []retrygo.Option
}

func newLoop() *loop {
	l := &loop{}
	l.run = func() (struct{}, error) { return struct{}{}, l.next() }
	l.options = []retrygo.Option{
		func(c *retrygo.Config) { retrygo.Context(l.ctx)(c) },
		func(c *retrygo.Config) { retrygo.Attempts(l.most)(c) },
		retrygo.RetryIf(l.again),
		retrygo.DelayType(func(uint, error, *retrygo.Config) time.Duration { return max(l.delay, 0) }),
		retrygo.LastErrorOnly(true),
		retrygo.WithTimer(newTimer()),
	}
	return l
}

func (l *loop) next() error {
	if !l.replayed {
		return errAgain
	}
	if l.left = l.ctx.Err() != nil; l.left {
		return errAgain
	}
	if l.failed = l.of.attempt(); l.failed != nil {
		return errAgain
	}
	return nil
}

func (l *loop) again(error) (again bool) {
	switch {
	case !l.replayed:
		l.replayed, again = true, true
	case !l.left:
		l.delay, again = l.of.after(l.failed)
	}
	return again
}

// errAgain stands for a failure while the engine has it.
var errAgain = errors.New("understudy: the attempt failed")

// timer is the engine's own, but for no time at all it needs none: passed is a
// channel that is always ready.
type timer struct{ passed chan time.Time }

func newTimer() timer {
	passed := make(chan time.Time)
	close(passed)
	return timer{passed}
}

func (t timer) After(d time.Duration) <-chan time.Time {
	if d > 0 {
		return time.After(d)
	}
	return t.passed
}

// unrecoverable says whether an agent that knows the engine has marked its error
// for it.
func unrecoverable(err error) (marked bool) {
	defer func() { _ = recover() }() // of a foreign error
	return errtree.Tame(err) == err && !retrygo.IsRecoverable(err)
}
