package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func panicsWith(v any) *play {
	return plays(stepFunc(func(context.Context, string) (string, error) { panic(v) }))
}

func TestRecover(t *testing.T) {
	t.Run("it makes an error of a panic, with its stack", func(t *testing.T) {
		err := failing(t, middleware.Chain(panicsWith("ouch"), middleware.Recover[string, string](&middleware.Owner{})))
		p, ok := errors.AsType[*strategies.PanicError](err)
		if !ok {
			t.Fatalf("error is a %T", err)
		}
		expect(t, "value", p.Value, any("ouch"))
		expect(t, "the stack names where", strings.Contains(string(p.Stack), "panicsWith"), true)
	})
	t.Run("it keeps a panic's error within reach", func(t *testing.T) {
		expectIs(t, failing(t, built(t, middleware.Wrap(panicsWith(errSick)))), errSick)
	})
	t.Run("a panic is not retried, but a stand-in is asked", func(t *testing.T) {
		agent := panicsWith("ouch")
		asked(t, built(t, middleware.Wrap(agent).Retry(promptly).Fallback("other", plays("hi"))), "hi")
		expect(t, "calls", agent.called(), 1)
	})
	t.Run("an agent that answers beside its error is cut down to the error", func(t *testing.T) {
		expectIs(t, failing(t, middleware.Chain(plays(errSick), middleware.Recover[string, string](&middleware.Owner{}))), errSick)
	})
	t.Run("it is in every built chain", func(t *testing.T) {
		expect(t, "class", recoveryOf(t, failing(t, built(t, middleware.Wrap(panicsWith(nil))))).Class, strategies.ClassPanic)
	})
}
