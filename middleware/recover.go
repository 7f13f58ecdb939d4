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
func Recover[Req, Resp any](o *Owner) Middleware[Req, Resp] {
	return byHand(o, newRecoverPart(), nil, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newRecoverer(next)
	})
}

type recoverPart struct{ basics }

func newRecoverPart() *recoverPart { return &recoverPart{basics{"Recover", StageRecover}} }

func (p *recoverPart) explain(e *explaining) { e.row(StageRecover, "a panic becomes an error") }

// recoverer charges too, where nothing stands between the two: a healthy call has
// one layer less to pass.
type recoverer[Req, Resp any] struct {
	next    Runner[Req, Resp]
	charges *charging[Req, Resp] // nil: nobody
	bare    bool                 // there is nobody where the context is no call
}

func newRecoverer[Req, Resp any](next Runner[Req, Resp]) Runner[Req, Resp] {
	if c, ok := next.(*charging[Req, Resp]); ok {
		return &recoverer[Req, Resp]{next: c.next, charges: c, bare: c.bare}
	}
	return &recoverer[Req, Resp]{next: next, bare: true}
}

func (l *recoverer[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if c, is := ctx.(*call); is && c.meter != nil && l.charges != nil || !is && !l.bare {
		if m := l.charges.due(ctx); m != nil {
			if err := m.charge(); err != nil {
				var none Resp
				return none, err
			}
		}
	}
	return guard(ctx, l.next, req)
}

// guard runs a runner and makes an error of its panic, and zero of an answer
// that comes with an error: an agent that breaks the contract does not break
// ours. A panic of the one who reads a stream passes through: it is not the
// agent's.
func guard[Req, Resp any](ctx context.Context, r Runner[Req, Resp], req Req) (resp Resp, err error) {
	returned := false
	defer func() {
		if returned || passing(ctx) {
			return
		}
		if v := recover(); v != nil {
			var none Resp
			resp, err = none, panicked(v)
		}
	}()
	resp, err = r.Run(ctx, req)
	returned = true
	if err != nil {
		var none Resp
		return none, err
	}
	return resp, nil
}

// passing says whether the reader of a stream is panicking, or leaving by
// runtime.Goexit, and the layers are only on the way out.
func passing(ctx context.Context) bool {
	c := callOf(ctx)
	return c != nil && c.stream != nil && c.stream.reader.reading()
}

// catch makes an error of a panic in code of the user's that is not an agent.
// It must be deferred directly.
func catch(err *error) {
	if v := recover(); v != nil {
		*err = panicked(v)
	}
}

func panicked(v any) error { return &strategies.PanicError{Value: v, Stack: debug.Stack()} }
