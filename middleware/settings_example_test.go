package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// scribe answers with what it was asked, unless the request says how to fail.
func scribe(_ context.Context, req string) (string, error) {
	switch {
	case strings.Contains(req, "a thousand pages"):
		return "", strategies.WithClass(strategies.ClassContextOverflow, errors.New("the window is too small"))
	case strings.Contains(req, "out of ink"):
		return "", errors.New("out of ink")
	}
	return "Written: " + req, nil
}

func line(text string) middleware.Runner[string, string] {
	return middleware.Func(func(context.Context, string) (string, error) { return text, nil })
}

func ExampleBuilder_Classifier() {
	noInk := &strategies.Classifier{Rules: []strategies.Rule{func(err error) strategies.Class {
		if err.Error() == "out of ink" {
			return strategies.ClassQuotaExhausted // it does not pass by waiting
		}
		return strategies.ClassUnclassified // the next rule, and then ours
	}}}
	g, _ := middleware.WrapFunc(scribe).Classifier(noInk).Retry(strategies.Retry{}).Build()
	_, err := g.Run(context.Background(), "out of ink")
	var failure *strategies.RecoveryError
	fmt.Println(errors.As(err, &failure), failure.Class, len(failure.Attempts))
	// Output: true quota_exhausted 1
}

func ExampleBuilder_Coalesce() {
	calls := 0
	g, _ := middleware.WrapFunc(func(context.Context, string) (string, error) { calls++; return "once", nil }).
		Coalesce(func(req string) string { return req }).
		Build()
	answer, _ := g.Run(context.Background(), "who asks the same at the same time shares the call")
	fmt.Println(answer, calls)
	// Output: once 1
}

func ExampleBuilder_DeadlineReserving() {
	// Of a caller's own deadline, a second is kept for a reduced answer.
	g, _ := middleware.WrapFunc(scribe).DeadlineReserving(time.Minute, time.Second).Degrade(strategies.LevelMinimal, line("Later.")).Build()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	o := g.Outcome(ctx, "out of ink")
	fmt.Println(o.Value, o.Level)
	// Output: Later. minimal
}

func ExampleBuilder_FallbackFor() {
	g, _ := middleware.WrapFunc(scribe).
		FallbackFor("large window", line("All thousand pages, in short."), strategies.ClassContextOverflow).
		Build()
	answer, _ := g.Run(context.Background(), "a thousand pages")
	_, err := g.Run(context.Background(), "out of ink")
	fmt.Println(answer, err != nil)
	// Output: All thousand pages, in short. true
}

func ExampleBuilder_FallbackFrom() {
	onDuty := "nobody"
	g, _ := middleware.WrapFunc(scribe).
		FallbackFrom(func(context.Context) []middleware.StandIn[middleware.Runner[string, string]] {
			return []middleware.StandIn[middleware.Runner[string, string]]{{Name: onDuty, Agent: line("By " + onDuty)}}
		}).
		Build()
	onDuty = "the night clerk" // looked up when it is needed
	answer, _ := g.Run(context.Background(), "out of ink")
	fmt.Println(answer)
	// Output: By the night clerk
}

func ExampleBuilder_PaceTokens() {
	g, _ := middleware.WrapFunc(scribe).
		Pace(&strategies.Pace{TokensPerMinute: 600, Burst: time.Minute, MaxWait: time.Millisecond}).
		PaceTokens(func(_ context.Context, req string) int { return 100 * len(req) }).
		Build()
	_, first := g.Run(context.Background(), "sixty.") // 600 tokens
	_, second := g.Run(context.Background(), "one more")
	fmt.Println(first, errors.As(second, new(*strategies.PaceError)))
	// Output: <nil> true
}

func ExampleBuilder_Problems() {
	fmt.Println(middleware.WrapFunc(scribe).Timeout(-1).Problems())
	// Output: understudy: Timeout is -1ns: use a positive value, or leave the layer out
}

func ExampleBuilder_Renew() {
	key := "old"
	agent := func(context.Context, string) (string, error) {
		if key == "old" {
			return "", strategies.WithClass(strategies.ClassUnauthorized, errors.New("the key has expired"))
		}
		return "with the new key", nil
	}
	g, _ := middleware.WrapFunc(agent).Renew(func(context.Context, middleware.Failure) error { key = "new"; return nil }).Build()
	fmt.Println(g.Run(context.Background(), "hello"))
	// Output: with the new key <nil>
}

func ExampleBuilder_RetryVia() {
	g, _ := middleware.WrapFunc(scribe).
		Validate(func(_ context.Context, _, answer string) error {
			if !strings.HasSuffix(answer, ".") {
				return errors.New("no full stop")
			}
			return nil
		}).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		RetryVia(func(_ context.Context, req string, failure middleware.Failure) (string, error) {
			return req + " (with a full stop).", nil
		}).
		Build()
	fmt.Println(g.Run(context.Background(), "The end"))
	// Output: Written: The end (with a full stop). <nil>
}

func ExampleBuilder_Rewind() {
	var asked []string // the agent's memory
	failed := false
	chat := func(_ context.Context, req string) (string, error) {
		asked = append(asked, req)
		if !failed {
			failed = true
			return "", errors.New("connection reset")
		}
		return "answered", nil
	}
	g, _ := middleware.WrapFunc(chat).Rewind(middleware.History(&asked)).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Build()
	_, err := g.Run(context.Background(), "hello")
	fmt.Println(asked, err)
	// Output: [hello] <nil>
}

// company is who a person can name.
type company map[string]middleware.Runner[string, string]

func (c company) Names() (all []string) {
	for name := range c {
		all = append(all, name)
	}
	return all
}

func (c company) Lookup(name string) (middleware.Runner[string, string], bool) {
	agent, ok := c[name]
	return agent, ok
}

func ExampleBuilder_Roster() {
	useTheAbbot := strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
		return strategies.Decision{Action: strategies.ActionUseAgent, Agent: "abbot", By: "Ada"}, nil
	})
	g, _ := middleware.WrapFunc(scribe).
		Intervene(middleware.Intervention{Ask: useTheAbbot}).
		Roster(company{"abbot": line("By the abbot himself.")}).
		Build()
	fmt.Println(g.Run(context.Background(), "out of ink"))
	// Output: By the abbot himself. <nil>
}

func ExampleBuilder_Tally() {
	tally := &strategies.Tally{}
	g, _ := middleware.WrapFunc(scribe).Named("scribe").Tally(tally).Build()
	_, _ = g.Run(context.Background(), "out of ink")
	fmt.Println(tally.Failures("scribe"))
	// Output: 1
}

func ExampleBuilder_TimeoutWhileAlive() {
	works := func(ctx context.Context, req string) (string, error) {
		for range 3 {
			middleware.CallOf(ctx).Alive() // a page is done
		}
		return scribe(ctx, req)
	}
	g, _ := middleware.WrapFunc(works).TimeoutWhileAlive(30*time.Second, 10*time.Minute).Build()
	fmt.Println(g.Explain().Rows[0].Text)
	fmt.Println(g.Run(context.Background(), "a long one"))
	// Output:
	// 30s an attempt, begun anew while it is alive, 10m0s at most
	// Written: a long one <nil>
}

func ExampleStreamBuilder_Restart() {
	torn := middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if yield("Once upon", nil) {
				yield("", errors.New("connection reset"))
			}
		}
	})
	whole := middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) { yield("There was a king.", nil) }
	})
	g, _ := middleware.WrapStream(torn).
		Fallback("minstrel", whole).
		Keep(100). // chunks, so that the reader can be told which to erase
		Restart(func(sent []string) string { return fmt.Sprintf("(erase %d)", len(sent)) }).
		Build()
	for word, err := range g.Stream(context.Background(), "") {
		fmt.Println(word, err)
	}
	// Output:
	// Once upon <nil>
	// (erase 1) <nil>
	// There was a king. <nil>
}
