package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-go/understudy/strategies"
)

// Bulkhead bounds how many attempts are in flight at a time. Its rejections are
// [strategies.FullError]; they never count against the breaker. The slot is
// given back however the attempt ends.
func Bulkhead[Req, Resp any](s Scope, b *strategies.Bulkhead) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if b == nil {
			return misconfigured[Req, Resp](settingNil("Bulkhead", "a *strategies.Bulkhead"))
		}
		if err := b.Validate(); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return &bulkhead[Req, Resp]{scope: scope, slots: b, next: next}
	}
}

type bulkhead[Req, Resp any] struct {
	scope *scope
	slots *strategies.Bulkhead
	next  Runner[Req, Resp]
}

func (l *bulkhead[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if err := l.slots.Acquire(ctx); err != nil {
		var none Resp
		if full, ok := errors.AsType[*strategies.FullError](err); ok && full.What == "" {
			full.What = fmt.Sprintf("bulkhead %q", l.scope.name)
		}
		return none, err
	}
	defer l.slots.Release()
	return l.next.Run(ctx, req)
}
