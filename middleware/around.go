package middleware

import (
	"context"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Around puts a function directly outside of the layer of a stage, for what
// sees no value: spans, logs, limits. It is for agents of any types, streaming
// ones too.
//
//	b.Around(middleware.StageBreaker, func(ctx context.Context, next func(context.Context) error) error {
//		start := time.Now()
//		err := next(ctx)
//		log.Println(time.Since(start), err)
//		return err
//	})
//
// next makes the call, in the context that it is given, which must be the
// function's own or one made from it. Whoever does not call next must return an
// error. An error of next's may be replaced by another, not by nil: there would
// be no answer. A panic fails the call. The first one used at a stage is
// outermost.
//
// Outside of retry (StageObserve to StageRetry) it is passed once a call of this
// agent, and not when the agent stands in for another; from StageBreaker inward
// once an attempt, then too.
//
// It costs a call two small allocations.
func (s *Settings) Around(stage Stage, do func(ctx context.Context, next func(ctx context.Context) error) error) *Settings {
	switch {
	case stage >= stages:
		s.wrong(unknownStage("Around", stage))
	case do == nil:
		s.wrong(settingNil("Around "+stage.String(), "a function"))
	default:
		s.parts = append(s.parts, &aroundPart{basics{"Around", stage}, do})
	}
	return s
}

// Around is the same as a layer for [Chain]: [Builder.Around] says what the
// function owes.
func Around[Req, Resp any](do func(ctx context.Context, next func(ctx context.Context) error) error) Middleware[Req, Resp] {
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if do == nil {
			return misconfigured[Req, Resp](settingNil("Around", "a function"))
		}
		return &around[Req, Resp]{name: "Around", do: do, next: next}
	}
}

type aroundFunc = func(ctx context.Context, next func(ctx context.Context) error) error

type aroundPart struct {
	basics
	do aroundFunc
}

type around[Req, Resp any] struct {
	name string
	do   aroundFunc
	next Runner[Req, Resp]
}

func (l *around[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	return guard(ctx, (*unguarded[Req, Resp])(l), req)
}

// unguarded is the same without a guard against the panics of the function.
type unguarded[Req, Resp any] around[Req, Resp]

func (l *unguarded[Req, Resp]) Run(ctx context.Context, req Req) (resp Resp, err error) {
	asked := false
	var last error
	err = l.do(ctx, func(ctx context.Context) error {
		asked = true
		resp, last = l.next.Run(ctx, req)
		return raw(last)
	})
	switch {
	case err != nil:
		if last != nil && errtree.Same(err, raw(last)) {
			err = last // with what the layers inside know of it
		}
	case !asked:
		err = &strategies.ConfigError{Setting: l.name, Problem: "returned nil without calling next", Fix: "call next, or return an error"}
	default:
		err = last
	}
	return resp, err
}
