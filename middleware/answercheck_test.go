package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func asText(_, answer string) strategies.Answer { return strategies.Answer{Text: answer} }

// soFar reads streams whose chunks are their text.
func soFar(string) func(string) strategies.Answer {
	var text strings.Builder
	return func(chunk string) strategies.Answer {
		text.WriteString(chunk)
		return strategies.Answer{Text: text.String()}
	}
}

var errCurt = errors.New("it is too short: write more")

type lengthy int

func (n lengthy) Check(a strategies.Answer) error {
	if len(a.Text) < int(n) {
		return errCurt
	}
	return nil
}

func TestCheck(t *testing.T) {
	t.Run("the first that finds something fails the attempt, and the agent can be told", func(t *testing.T) {
		var asked []string
		agent := stepFunc(func(_ context.Context, req string) (string, error) {
			if asked = append(asked, req); len(asked) == 1 {
				return "I'm sorry.", nil
			}
			return "hello, all of you", nil
		})
		g := built(t, middleware.Wrap(plays(agent)).Retry(promptly).Check(asText, strategies.NoLoops{}, lengthy(12), strategies.NoRefusals{}).
			RetryVia(func(_ context.Context, req string, f middleware.Failure) (string, error) {
				return req + ": " + f.Reason(), nil
			}))
		answer, err := g.Run(t.Context(), "greet")
		expect(t, "error", err, nil)
		expect(t, "answer", answer, "hello, all of you")
		expect(t, "asked", strings.Join(asked, "; "), "greet; greet: "+errCurt.Error())
	})
	t.Run("a refusal in prose is not asked again, but a stand-in for it is", func(t *testing.T) {
		agent := plays("I can't help with that.")
		g := built(t, middleware.Wrap(agent).Retry(promptly).Check(asText, strategies.NoRefusals{}).
			Fallback("any", plays("not asked")).FallbackFor("frank", plays("sure"), strategies.ClassBlocked))
		o := g.Outcome(t.Context(), "")
		expect(t, "answer", o.Value, "sure")
		expect(t, "calls", agent.called(), 1)
	})
	t.Run("the answer is in the error, and not in its text", func(t *testing.T) {
		err := failing(t, built(t, middleware.Wrap(plays("secret")).Check(asText, lengthy(12))))
		refused, ok := errors.AsType[*strategies.InvalidAnswerError](err)
		if !ok || refused.Answer != "secret" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v, %v", refused, err)
		}
	})
	t.Run("Validate looks first, whatever the order", func(t *testing.T) {
		var order []string
		note := func(who string) error { order = append(order, who); return nil }
		check := strategies.AnswerCheckFunc(func(strategies.Answer) error { return note("check") })
		validate := func(context.Context, string, string) error { return note("validate") }
		for _, b := range []*builder{
			middleware.Wrap(plays("hi")).Check(asText, check).Validate(validate),
			middleware.Wrap(plays("hi")).Validate(validate).Check(asText, check),
			middleware.Wrap(plays(errSick)).Validate(validate).Check(asText, check).Fallback("bare", plays("hi")),
		} {
			order = nil
			_, err := built(t, b).Run(t.Context(), "")
			expect(t, "error", err, nil)
			expect(t, "order", strings.Join(order, " "), "validate check")
		}
	})
	t.Run("a panic in it fails the attempt", func(t *testing.T) {
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(plays("hi")).Check(asText, strategies.AnswerCheckFunc(func(strategies.Answer) error { panic("no") })))))
		if _, ok := errors.AsType[*strategies.PanicError](re); !ok {
			t.Error(re)
		}
	})
	t.Run("Explain names them", func(t *testing.T) {
		if text := built(t, middleware.Wrap(plays("hi")).Check(asText, strategies.NoLoops{}, strategies.NeedTool{Names: []string{"book"}})).Explain().String(); !strings.Contains(text, "an answer is one if it goes in no circles, it calls book") {
			t.Error(text)
		}
	})
	for name, b := range map[string]*builder{
		"no checks":       middleware.Wrap(plays("hi")).Check(asText),
		"nil":             middleware.Wrap(plays("hi")).Check(asText, nil),
		"no way to read":  middleware.Wrap(plays("hi")).Check(nil, strategies.NoLoops{}),
		"a wrong setting": middleware.Wrap(plays("hi")).Check(asText, strategies.NoLoops{Calls: 1}),
		"a nil function":  middleware.Wrap(plays("hi")).Check(asText, strategies.AnswerCheckFunc(nil)),
		"two":             middleware.Wrap(plays("hi")).Check(asText, strategies.NoLoops{}).Check(asText, strategies.NoLoops{}),
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			_, err := b.Build()
			expectIs(t, err, strategies.ErrConfig)
		})
	}
}

func TestStreamCheck(t *testing.T) {
	var circles script
	for range 1000 {
		circles = append(circles, "and so on and on ")
	}
	long := lengthy(4)
	for _, tc := range []struct {
		it    string
		chain *streamBuilder
		seen  string
	}{
		{"a whole that is right", wraps(script{"ab", "cd"}).Check(soFar, long), "ab cd end"},
		{"one that is wrong ends with an error: it was heard", wraps(script{"ab"}, script{"abcd"}).Retry(promptly).Check(soFar, long), "ab !cut_off"},
		{"before it is heard it is asked for again", wraps(script{"ab"}, script{"ab", "cd"}).Retry(promptly).Check(soFar, long).Buffer(9), "ab cd end"},
		{"so it is at a last chunk that nobody has heard", wraps(script{"."}, script{"abc", "."}).Retry(promptly).Check(soFar, long).Commit(ends).Complete(ends), "abc . end"},
		{"the last chunk of a wrong one is not delivered", wraps(script{"ab", "."}).Check(soFar, long).Complete(ends), "ab !cut_off"},
		{"readers that can take back get a better one", wraps(script{"ab"}, script{"abcd"}).Retry(promptly).Check(soFar, long).Restart(marks), "ab <erase ab> abcd end"},
		{"a rung is taken as it is", wraps(script{errSick}).Check(soFar, long).Degrade(strategies.LevelMinimal, voices(script{"x"})), "x end"},
		{"an empty stream is still that", wraps(script{}).Check(soFar, strategies.NoLoops{}), "!invalid_answer"},
		{"a reader of chunks that panics fails the attempt", wraps(script{"ab"}).Check(func(string) func(string) strategies.Answer { return func(string) strategies.Answer { panic("no") } }, long), "!panic"},
		{"one that is none too", wraps(script{"ab"}).Check(func(string) func(string) strategies.Answer { return nil }, long), "!unrecoverable"},
	} {
		t.Run(tc.it, func(t *testing.T) {
			seen, _ := hear(streaming(t, tc.chain).Stream(t.Context(), ""))
			expect(t, "heard", seen, tc.seen)
		})
	}
	t.Run("a text in circles is ended while it is written", func(t *testing.T) {
		agent := voices(circles)
		stream, outcome := streaming(t, middleware.WrapStream(agent).Check(soFar, strategies.NoLoops{})).Outcome(t.Context(), "")
		_, err := hear(stream)
		if o := outcome(); err == nil || o.Chunks > 60 {
			t.Errorf("%d chunks, %v", o.Chunks, err)
		}
	})
	t.Run("each attempt is heard anew", func(t *testing.T) {
		agent := voices(script{"abcd", errLine}, script{"x"})
		seen, _ := hear(streaming(t, middleware.WrapStream(agent).Retry(promptly).Check(soFar, long).Buffer(9)).Stream(t.Context(), ""))
		if strings.HasSuffix(seen, "end") {
			t.Errorf("heard %q", seen)
		}
	})
	t.Run("two at once", func(t *testing.T) {
		g := streaming(t, wraps(script{"abcd", "efgh"}).Check(soFar, long, strategies.NoLoops{}).Fallback("sage", voices(script{"abcd"})).Hedge(soonHedged()))
		seen, _ := hear(g.Stream(t.Context(), ""))
		expect(t, "heard", seen, "abcd efgh end")
	})
}
