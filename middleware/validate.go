package middleware

import (
	"context"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Validate looks at every answer; an error of check makes it a
// [strategies.InvalidAnswerError], which is retried at most twice and never
// counts against the breaker. An error that carries a class of its own (see
// [strategies.WithClass]) keeps it. A panic in check fails the attempt.
//
// It is the one layer that sees values; those outside see errors only.
func Validate[Req, Resp any](check func(ctx context.Context, req Req, resp Resp) error) Middleware[Req, Resp] {
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if check == nil {
			return misconfigured[Req, Resp](settingNil("Validate", "a check"))
		}
		return &validator[Req, Resp]{check: check, next: next}
	}
}

// Validate looks at every answer, of stand-ins without layers of their own too;
// see [Validate].
func (b *Builder[Req, Resp]) Validate(check func(ctx context.Context, req Req, resp Resp) error) *Builder[Req, Resp] {
	b.settings().add(newValidatePart())
	if check == nil {
		b.settings().wrong(settingNil("Validate", "a check"))
	}
	b.validate = check
	return b
}

type validatePart struct{ basics }

func newValidatePart() *validatePart { return &validatePart{basics{"Validate", StageValidate}} }

func (p *validatePart) explain(e *explaining) {
	e.row(StageValidate, "a refused answer is retried at most twice")
}

type validator[Req, Resp any] struct {
	check func(context.Context, Req, Resp) error
	next  Runner[Req, Resp]
}

func (l *validator[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err != nil {
		return resp, err
	}
	if err := l.ask(ctx, req, resp); err != nil {
		var none Resp
		return none, invalid(err, resp)
	}
	return resp, nil
}

// invalid is what an answer fails with that a check refused; nil: it is not known.
func invalid(err error, answer any) error {
	if !errtree.Nil(err) && errtree.Any(err, hasOpinion) {
		return err
	}
	return &strategies.InvalidAnswerError{Err: err, Answer: answer}
}

func hasOpinion(err error) bool {
	var none strategies.Class
	own, ok := err.(interface{ RecoveryClass() strategies.Class }) //nolint:errorlint // the tree is walked
	return ok && own.RecoveryClass() != none
}

func (l *validator[Req, Resp]) ask(ctx context.Context, req Req, resp Resp) (err error) {
	defer catch(&err)
	return l.check(ctx, req, resp)
}
