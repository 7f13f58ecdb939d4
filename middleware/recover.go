package middleware

import (
	"context"
	"runtime/debug"

	"github.com/understudy-go/understudy/strategies"
)

// Recover turns a panic of what it wraps into a [strategies.PanicError] with its
// stack. It is the innermost layer, so every layer outside sees an error. A
// runtime.Goexit cannot be stopped by anyone; the layers outside settle what
// they hold from deferred functions.
//
// It costs one deferred call.
func Recover[Req, Resp any](s Scope) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return &recoverer[Req, Resp]{scope: scope, next: next}
	}
}

type recoverer[Req, Resp any] struct {
	scope *scope
	next  Runner[Req, Resp]
}

func (l *recoverer[Req, Resp]) Run(ctx context.Context, req Req) (resp Resp, err error) {
	defer catch(&err)
	if l.scope.tracing.Load() != 0 {
		ctx = hide(ctx, l.scope)
	}
	if resp, err = l.next.Run(ctx, req); err != nil {
		var none Resp // an agent that breaks the contract does not break ours
		return none, err
	}
	return resp, nil
}

// catch makes an error of a panic. It must be deferred directly.
func catch(err *error) {
	if v := recover(); v != nil {
		*err = &strategies.PanicError{Value: v, Stack: debug.Stack()}
	}
}

func hide(ctx context.Context, s *scope) context.Context {
	if r, ok := ctx.Value(recordKey{}).(*record); ok && r.scope == s {
		return hidden{ctx}
	}
	return ctx
}
