package middleware

import (
	"context"
	"slices"
)

// Runner runs one unit of agent work.
//
// What the implementer owes: Run is safe for concurrent use, returns soon after
// ctx ends, and on error returns the zero value. What the caller owes: a ctx
// that is not nil.
type Runner[Req, Resp any] interface {
	Run(ctx context.Context, req Req) (Resp, error)
}

type runnerFunc[Req, Resp any] func(ctx context.Context, req Req) (Resp, error)

func (f runnerFunc[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) { return f(ctx, req) }

// Func makes a function a [Runner]. A nil function makes a nil Runner, which
// whoever it is given to refuses by name.
func Func[Req, Resp any](f func(ctx context.Context, req Req) (Resp, error)) Runner[Req, Resp] {
	if f == nil {
		return nil
	}
	return runnerFunc[Req, Resp](f)
}

// Middleware wraps a [Runner] in a layer. It is called once, when a chain is
// built, never per call; the Runner it returns keeps the Runner contract.
type Middleware[Req, Resp any] func(next Runner[Req, Resp]) Runner[Req, Resp]

// Chain puts layers around a runner, the first one outermost:
// Chain(r, a, b, c) is a(b(c(r))). A nil layer is left out; in the place of a
// nil runner stands one that answers every call with a [strategies.ConfigError],
// which a call without a context gets too.
//
// It nests in the order given, whatever that order is; [Wrap] nests in the
// documented one.
func Chain[Req, Resp any](runner Runner[Req, Resp], layers ...Middleware[Req, Resp]) Runner[Req, Resp] {
	layers = slices.DeleteFunc(slices.Clone(layers), func(m Middleware[Req, Resp]) bool { return m == nil })
	if len(layers) == 0 {
		return refuseNil(runner)
	}
	return &chained[Req, Resp]{next: nest(charged(runner), layers...)}
}

// chained is the outside of a chain put together by hand: where a new call begins,
// and where a failure becomes what the caller gets. The layers within look at the
// context only after something has failed, which is late to find none.
type chained[Req, Resp any] struct{ next Runner[Req, Resp] }

func (c *chained[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if ctx == nil {
		var none Resp
		return none, settingNil("Run ctx", "a context, such as context.Background()")
	}
	resp, err := c.next.Run(boundary(ctx), req)
	if err != nil {
		return resp, outward(err)
	}
	return resp, nil
}

func nest[Req, Resp any](runner Runner[Req, Resp], layers ...Middleware[Req, Resp]) Runner[Req, Resp] {
	for _, layer := range slices.Backward(layers) {
		if layer != nil {
			runner = passed(layer(refuseNil(runner)))
		}
	}
	return refuseNil(runner)
}

// Adapt gives a runner of other types the types of a role, so that it can stand
// in: in turns the request, out the answer. An error of either fails the call.
// A guarded runner keeps its own layers, and is still called without its
// retries when it stands in.
func Adapt[Req, Resp, Req2, Resp2 any](
	runner Runner[Req2, Resp2],
	in func(ctx context.Context, req Req) (Req2, error),
	out func(ctx context.Context, resp Resp2) (Resp, error),
) Runner[Req, Resp] {
	if isNil(runner) || in == nil || out == nil {
		return nil // refused by the builder, as any nil stand-in
	}
	return &adapter[Req, Resp, Req2, Resp2]{runner: runner, in: in, out: out}
}

type adapter[Req, Resp, Req2, Resp2 any] struct {
	runner Runner[Req2, Resp2]
	in     func(context.Context, Req) (Req2, error)
	out    func(context.Context, Resp2) (Resp, error)
}

func (a *adapter[Req, Resp, Req2, Resp2]) Run(ctx context.Context, req Req) (Resp, error) {
	var none Resp
	other, err := a.in(ctx, req)
	if err != nil {
		return none, err
	}
	answer, err := a.runner.Run(ctx, other)
	if err != nil {
		return none, err
	}
	resp, err := a.out(ctx, answer)
	if err != nil {
		return none, err
	}
	return resp, nil
}

// preview is what the other will be asked.
func (a *adapter[Req, Resp, Req2, Resp2]) preview(ctx context.Context, req any) (any, error) {
	own, ok := req.(Req)
	if !ok {
		return req, nil
	}
	return a.in(ctx, own)
}

func (a *adapter[Req, Resp, Req2, Resp2]) understudy() (Runner[Req, Resp], *Owner) {
	short, who := shortForm(a.runner)
	return &adapter[Req, Resp, Req2, Resp2]{runner: short, in: a.in, out: a.out}, who
}

// shortForm returns the form in which a runner stands in for another. A guarded
// one, also behind [Adapt], brings its own breaker, timeout and validation, and
// leaves out its retries and stand-ins; who says which agent it is. nil: a runner
// without layers of its own.
func shortForm[Req, Resp any](r Runner[Req, Resp]) (short Runner[Req, Resp], who *Owner) {
	if u, ok := r.(interface {
		understudy() (Runner[Req, Resp], *Owner)
	}); ok {
		return u.understudy()
	}
	return r, nil
}
