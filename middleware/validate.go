package middleware

import (
	"context"
	"errors"

	"github.com/understudy-go/understudy/strategies"
)

// Validate looks at every answer; an error of check makes it a
// [strategies.InvalidAnswerError], which is retried at most twice and never
// counts against the breaker. An error that carries a class of its own (see
// [strategies.WithClass]) keeps it. A panic in check fails the attempt.
//
// It is the one layer that sees values; those outside see errors only.
func Validate[Req, Resp any](check func(req Req, resp Resp) error) Middleware[Req, Resp] {
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if check == nil {
			return misconfigured[Req, Resp](settingNil("Validate", "a check"))
		}
		return &validator[Req, Resp]{check: check, next: next}
	}
}

type validator[Req, Resp any] struct {
	check func(Req, Resp) error
	next  Runner[Req, Resp]
}

func (l *validator[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err != nil {
		return resp, err
	}
	if err := l.ask(req, resp); err != nil {
		var none Resp
		return none, invalid(err)
	}
	return resp, nil
}

// invalid is what an answer fails with that a check refused.
func invalid(err error) error {
	if own, ok := errors.AsType[interface {
		error
		RecoveryClass() strategies.Class
	}](err); ok && own.RecoveryClass() != strategies.ClassUnclassified {
		return err
	}
	return &strategies.InvalidAnswerError{Err: err}
}

func (l *validator[Req, Resp]) ask(req Req, resp Resp) (err error) {
	defer catch(&err)
	return l.check(req, resp)
}
