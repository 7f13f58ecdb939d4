package middlewaretest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"
)

// Step is what a scripted agent does in one call. It comes from [Answer],
// [Fail], [Panic], [Goexit], [Hang], [Deaf] or [Do] and is a value: its methods
// return a changed copy. The zero Step answers with the zero value.
type Step struct {
	answer any
	err    error
	act    func(ctx context.Context) error // may panic, exit or block
	do     any                             // a func(context.Context, Req) (Resp, error)
	wait   time.Duration
	deaf   bool
	more   int // repetitions beyond the first
}

// Answer answers with v, which must be of the agent's answer type; nil is its
// zero value.
func Answer(v any) Step { return Step{answer: v} }

// Fail fails with err, and the zero answer.
func Fail(err error) Step {
	if err == nil {
		panic("understudy: middlewaretest.Fail: the error is nil: use Answer")
	}
	return Step{err: err}
}

// Panic panics with v.
func Panic(v any) Step {
	return Step{act: func(context.Context) error { panic(v) }}
}

// Goexit ends the goroutine of the call, as a testing.T's FailNow does in an
// agent under test.
func Goexit() Step {
	return Step{act: func(context.Context) error {
		runtime.Goexit()
		return nil
	}}
}

// Hang hangs until the context ends, and fails with its Err: an agent whose
// provider has gone silent. With a context that never ends it hangs for ever.
func Hang() Step {
	return Step{act: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

var errDeaf = errors.New("understudy: scripted agent hung, deaf to its context")

// Deaf hangs for d, deaf to its context, and then fails.
func Deaf(d time.Duration) Step { return Fail(errDeaf).Late(d) }

// Do calls a function of the test's own, whose types must be the agent's. What
// it returns is passed on as it is, also what breaks the contract.
func Do[Req, Resp any](f func(ctx context.Context, req Req) (Resp, error)) Step {
	if f == nil {
		panic("understudy: middlewaretest.Do: the function is nil")
	}
	return Step{do: f}
}

// After lets the step happen after d. If the context ends before that, the call
// fails with its Err instead.
func (s Step) After(d time.Duration) Step {
	s.wait, s.deaf = d, false
	return s
}

// Late lets the step happen after d, whatever becomes of the context: with
// Answer it is the answer that comes after the timeout.
func (s Step) Late(d time.Duration) Step {
	s.wait, s.deaf = d, true
	return s
}

// Times lets n calls do the step before the script goes on.
func (s Step) Times(n int) Step {
	if n < 1 {
		panic(fmt.Sprintf("understudy: middlewaretest.Step.Times: %d is no number of calls: use at least 1, or leave the step out", n))
	}
	s.more = n - 1
	return s
}

// hold waits as the step says.
func (s Step) hold(ctx context.Context) error {
	switch {
	case s.wait <= 0:
		return nil
	case s.deaf:
		time.Sleep(s.wait)
		return nil
	}
	return sleep(ctx, s.wait)
}

// sleep waits for d; the error is that of a context that ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// typed gives a step the types of its agent, and says what does not fit.
func typed[Req, Resp any](s Step) (func(ctx context.Context, req Req) (Resp, error), error) {
	var none Resp
	if s.do != nil {
		do, ok := s.do.(func(context.Context, Req) (Resp, error))
		if !ok {
			return nil, fmt.Errorf("does a %T where a %T is wanted", s.do, do)
		}
		return do, nil
	}
	answer, ok := s.answer.(Resp)
	if !ok && s.answer != nil {
		return nil, fmt.Errorf("answers with a %T where a %v is wanted", s.answer, reflect.TypeFor[Resp]())
	}
	return func(ctx context.Context, _ Req) (Resp, error) {
		if s.act != nil {
			if err := s.act(ctx); err != nil {
				return none, err
			}
		}
		if s.err != nil {
			return none, s.err
		}
		return answer, nil
	}, nil
}
