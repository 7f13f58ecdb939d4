package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestRetryVia(t *testing.T) {
	tell := func(_ context.Context, req string, f middleware.Failure) (string, error) {
		if reason := f.Reason(); reason != "" {
			return req + "; " + reason, nil
		}
		return req, nil
	}
	short := func(_ context.Context, _, answer string) error {
		if len(answer) > 3 {
			return errors.New("be shorter")
		}
		return nil
	}
	var asks []string
	agent := func(answers ...any) *play {
		asks = nil
		next := plays(answers...)
		return plays(stepFunc(func(ctx context.Context, req string) (string, error) {
			asks = append(asks, req)
			return next.Run(ctx, req)
		}))
	}
	for _, tc := range []struct {
		it    string
		build func() *builder
		asks  string
		ok    bool
	}{
		{"the agent is told what was wrong", func() *builder { return middleware.Wrap(agent("too long", "hi")).Validate(short) }, "hello | hello; be shorter", true},
		{"each time from the request as it was", func() *builder { return middleware.Wrap(agent("too long", "longer still", "hi")).Validate(short) }, "hello | hello; be shorter | hello; be shorter", true},
		{"as often as the policy says", func() *builder {
			return middleware.Wrap(agent("too long", "too long", "too long", "hi")).Validate(short)
		}, "hello | hello; be shorter | hello; be shorter | hello; be shorter", true},
		{"and not more often", func() *builder {
			return middleware.Wrap(agent("too long", "too long", "too long", "too long", "hi")).Validate(short)
		}, "hello | hello; be shorter | hello; be shorter | hello; be shorter", false},
		{"an adapter's reason is one", func() *builder { return middleware.Wrap(agent(&strategies.AnswerError{Reason: "max_tokens"}, "hi")) }, "hello | hello; it was cut off by the limit of tokens: be shorter", true},
		{"what it can do nothing about is left alone", func() *builder { return middleware.Wrap(agent(errSick, "hi")) }, "hello | hello", true},
		{"a stand-in gets the request as it was", func() *builder {
			return middleware.Wrap(agent(ofClass(strategies.ClassPanic))).Fallback("sage", agent(ofClass(strategies.ClassPanic), "hi"))
		}, "", false},
	} {
		t.Run(tc.it, func(t *testing.T) {
			g := built(t, tc.build().Retry(strategies.Retry{Backoff: strategies.Delays{0}}).RetryVia(tell))
			_, err := g.Run(t.Context(), "hello")
			expect(t, "answered", err == nil, tc.ok)
			if tc.asks != "" {
				expect(t, "asked", strings.Join(asks, " | "), tc.asks)
			}
			for _, ask := range asks {
				if tc.asks == "" && ask != "hello" {
					t.Errorf("a stand-in was asked %q", ask)
				}
			}
		})
	}
	t.Run("a change that fails or panics is the attempt's failure", func(t *testing.T) {
		for _, change := range []func(context.Context, string, middleware.Failure) (string, error){
			func(context.Context, string, middleware.Failure) (string, error) { return "", errGone },
			func(context.Context, string, middleware.Failure) (string, error) { panic(errGone) },
		} {
			expectIs(t, failing(t, built(t, middleware.Wrap(plays(errSick)).Retry(promptly).RetryVia(change))), errGone, errSick)
		}
	})
	t.Run("a stream is told too", func(t *testing.T) {
		agent := voices(script{errSick}, script{"hi"})
		g := streaming(t, middleware.WrapStream(agent).Retry(promptly).RetryVia(func(_ context.Context, req string, f middleware.Failure) (string, error) {
			return req + " " + f.Class.String(), nil
		}))
		for _, err := range g.Stream(t.Context(), "hello") {
			if err != nil {
				t.Error(err)
			}
		}
		expect(t, "asked", strings.Join(agent.requests, " | "), "hello | hello transient")
	})
	for _, b := range []*builder{middleware.Wrap(plays("hi")).RetryVia(nil), middleware.Wrap(plays("hi")).RetryVia(tell).RetryVia(tell)} {
		_, err := b.Build()
		expectIs(t, err, strategies.ErrConfig)
	}
}
