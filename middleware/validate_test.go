package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

var errShort = errors.New("too short")

func longEnough(_ context.Context, _, answer string) error {
	if len(answer) < 3 {
		return errShort
	}
	return nil
}

func TestValidate(t *testing.T) {
	t.Run("it lets a good answer pass", func(t *testing.T) {
		asked(t, middleware.Chain(plays("fine"), middleware.Validate(longEnough)), "fine")
	})
	t.Run("it makes an error of a bad one, and drops the answer", func(t *testing.T) {
		err := failing(t, middleware.Chain(plays("hi"), middleware.Validate(longEnough)))
		expectIs(t, err, errShort)
		bad, ok := errors.AsType[*strategies.InvalidAnswerError](err)
		expect(t, "typed", ok && bad.Err == errShort, true) //nolint:errorlint // it must be the very same
	})
	t.Run("it does not look at what failed", func(t *testing.T) {
		check := func(_ context.Context, _, _ string) error { t.Error("check was asked"); return nil }
		expectIs(t, failing(t, built(t, middleware.Wrap(plays(errSick)).Validate(check))), errSick)
	})
	t.Run("it sees the request", func(t *testing.T) {
		check := func(_ context.Context, req, resp string) error {
			if req == resp {
				return errors.New("an echo")
			}
			return nil
		}
		expect(t, "class", strategies.Classify(failing(t, middleware.Chain(plays("hello"), middleware.Validate(check)))).Class, strategies.ClassInvalidAnswer)
	})
	t.Run("it keeps a class that the check names", func(t *testing.T) {
		check := func(_ context.Context, _, _ string) error { return ofClass(strategies.ClassBlocked) }
		agent := plays("I cannot help with that")
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(agent).Retry(promptly).Validate(check))))
		expect(t, "class", re.Class, strategies.ClassBlocked)
		expect(t, "calls", agent.called(), 1)
	})
	t.Run("a hint without a class leaves it an invalid answer", func(t *testing.T) {
		check := func(_ context.Context, _, _ string) error { return strategies.WithRetryAfter(1, errShort) }
		err := failing(t, middleware.Chain(plays("hi"), middleware.Validate(check)))
		expect(t, "class", strategies.Classify(err).Class, strategies.ClassInvalidAnswer)
	})
	t.Run("a panic of the check fails the attempt", func(t *testing.T) {
		check := func(_ context.Context, _, _ string) error { panic("checked too hard") }
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(plays("hi")).Validate(check))))
		if _, ok := errors.AsType[*strategies.PanicError](re); !ok {
			t.Errorf("error = %v, want a PanicError in it", re)
		}
	})
	t.Run("a better answer is asked for at most twice, without feeding the breaker", func(t *testing.T) {
		agent, breaker := plays("no"), &strategies.Breaker{Failures: 1}
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(agent).Retry(promptly).CircuitBreaker(breaker).Validate(longEnough))))
		expect(t, "attempts", attemptsOf(re), "agent:invalid_answer agent:invalid_answer agent:invalid_answer")
		expect(t, "breaker", breaker.State(), strategies.StateClosed)
	})
	t.Run("a stand-in without layers is looked at too, a guarded one looks for itself", func(t *testing.T) {
		bare, own := plays("no"), built(t, middleware.Wrap(plays("ok")).Named("own"))
		g := built(t, middleware.Wrap(plays(errSick)).Validate(longEnough).Fallback("bare", bare).Fallback("own", own))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "answer", o.Value, "ok")
		expect(t, "served by", o.ServedBy, "own")
		expect(t, "calls of the bare one", bare.called(), 1)
	})
}
