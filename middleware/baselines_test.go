package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// The baselines that docs/choosing-settings.md gives to copy. Each is a function, so
// that what the page shows is what the tests below put through a bad day.

type (
	runner   = middleware.Runner[string, string]
	guarded  = middleware.Guarded[string, string]
	streamer = middleware.Streamer[string, string]
)

// chat is for somebody who waits for an answer.
func chat(model, otherProvider, apology runner) (*guarded, error) {
	return middleware.Wrap(model).
		Named("chat").
		Retry(strategies.Retry{MaxRetries: 1, Jitter: 0.25}). // one more attempt, after 1 s: somebody waits
		CircuitBreaker(&strategies.Breaker{}).
		Timeout(15*time.Second).
		DeadlineReserving(40*time.Second, 2*time.Second). // 2 s of the caller's own deadline stay for the apology
		Fallback("other provider", otherProvider).
		Degrade(strategies.LevelMinimal, apology).
		Build()
}

// batch is for work that nobody waits for, and that costs money.
func batch(model runner, budget *strategies.Budget, desk *inbox.Desk) (*guarded, error) {
	return middleware.Wrap(model).
		Named("batch").
		Retry(strategies.Retry{
			MaxRetries:    6,
			Backoff:       strategies.Exponential{Base: 2 * time.Second, Cap: time.Minute},
			Jitter:        0.5,             // many jobs fail together: do not let them come back together
			MaxRetryAfter: 5 * time.Minute, // a provider that asks for minutes gets them
			Budget:        budget,          // of all jobs
		}).
		CircuitBreaker(&strategies.Breaker{}). // its trials may take as long as an attempt
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 8, MaxWait: 10 * time.Minute}).
		Timeout(5 * time.Minute).
		Intervene(middleware.Intervention{Ask: desk, Deadline: time.Hour}). // silence aborts
		Build()
}

// shop is an agent with tools: a model that may be asked twice, a tool that may run
// twice, a tool that may not, and the agent that uses all three.
func shop(model, search, pay runner, work func(model, search, pay runner) runner, desk *inbox.Desk) (*guarded, error) {
	ask := middleware.Must(middleware.Wrap(model).
		Named("model"). // a question changes nothing, so it may be asked again
		Retry(strategies.Retry{}).
		CircuitBreaker(&strategies.Breaker{}).
		Timeout(30 * time.Second).
		Build())
	find := middleware.Must(middleware.Wrap(search).
		Named("search"). // neither does a search
		Retry(strategies.Retry{MaxRetries: 2}).
		Timeout(10 * time.Second).
		Build())
	once := middleware.Must(middleware.Wrap(pay).
		Named("pay"). // no Retry, no Fallback: a payment that was not heard of may have been made
		CircuitBreaker(&strategies.Breaker{}).
		Timeout(30 * time.Second).
		Build())
	return middleware.Wrap(work(ask, find, once)).
		Named("shop"). // nor around the whole: its tools would act again
		Deadline(5 * time.Minute).
		Intervene(middleware.Intervention{Ask: desk}).
		Build()
}

// local is for a model on a machine of one's own, which is slow, has room for few,
// and may hang without looking at its context.
func local(model, smaller runner) (*guarded, error) {
	return middleware.Wrap(model).
		Named("local").
		Retry(strategies.Retry{MaxRetries: 1}).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2, MaxWait: 30 * time.Second}). // as many as fit into its memory
		HardTimeout(2*time.Minute, 2).                                               // returns on time; at most 2 that hang are left behind
		Degrade(strategies.LevelReduced, smaller).
		Build()
}

// plan is for persons and jobs who share what a provider's plan allows.
func plan(model, otherProvider runner) (*guarded, error) {
	pace := &strategies.Pace{
		Name:              "plan",
		RequestsPerMinute: 500,
		TokensPerMinute:   200_000,
		Reserve:           2 * time.Second,  // of the 6 s that may be spent at once: for persons
		MaxWait:           20 * time.Second, // whoever would wait longer asks the other provider, at once
	}
	return middleware.Wrap(model).
		Named("plan").
		CircuitBreaker(&strategies.Breaker{}).
		Pace(pace).
		PaceTokens(func(_ context.Context, question string) int { return len(question)/4 + 500 }). // and its answer
		Timeout(30*time.Second).
		Fallback("other provider", otherProvider).
		Build()
}

// overnight is a job that nobody waits for: persons go first.
func overnight(ctx context.Context, model runner, question string) (string, error) {
	return model.Run(middleware.WithPriority(ctx, strategies.PriorityBatch), question)
}

// live is for words that are shown as they come.
func live(model, otherProvider streamer) (*middleware.GuardedStream[string, string], error) {
	return middleware.WrapStream(model).
		Named("live").
		Commit(func(word string) bool { return word != "" }).    // until a word comes, everything can be recovered
		Complete(func(word string) bool { return word == "." }). // a cut stream looks like a whole one otherwise
		Retry(strategies.Retry{MaxRetries: 1}).
		CircuitBreaker(&strategies.Breaker{}).
		Timeout(10*time.Second). // until the first word
		Idle(20*time.Second).    // between two words
		Deadline(5*time.Minute). // the whole of it
		Fallback("other provider", otherProvider).
		Build()
}

// worst is what Explain says that one call can cost at most.
func worst(e middleware.Explanation) string {
	_, line, _ := strings.Cut(e.String(), "worst case")
	line, _, _ = strings.Cut(line, "\n")
	return "worst case" + line
}

func ExampleBuilder_chat() {
	g, err := chat(canned("yes"), canned("yes"), canned("Please ask me again in a minute."))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(worst(g.Explain()))
	// Output:
	// worst case of one call: 3 calls, 1 rung, 55s
}

func ExampleBuilder_batch() {
	g, err := batch(canned("yes"), &strategies.Budget{}, inbox.NewDesk())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(worst(g.Explain()))
	// Output:
	// worst case of one call: 7 calls, 1h48m3s (2h30m0s if providers ask for the longest waits); then 3 questions to a person
}

func ExampleBuilder_toolAgent() {
	g, err := shop(canned("buy"), canned("a map"), canned("paid"), func(model, _, _ runner) runner { return model }, inbox.NewDesk())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(worst(g.Explain()))
	// Output:
	// worst case of one call: 1 call, 5m0s; then 3 questions to a person
}

func TestPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, other := plays("the model"), plays("the other")
		g, err := plan(model, other)
		expect(t, "error", err, nil)
		var jobs sync.WaitGroup
		for range 400 {
			jobs.Go(func() { _, _ = overnight(t.Context(), g, "How many?") })
		}
		synctest.Wait()
		start := time.Now()
		answer, err := g.Run(middleware.WithPriority(t.Context(), strategies.PriorityInteractive), "Who is there?")
		expect(t, "error", err, nil)
		expect(t, "answer", answer, "the model")
		expect(t, "a person waits", time.Since(start), 0)
		jobs.Wait()
		if model.called()+other.called() != 401 || other.called() == 0 {
			t.Errorf("the model was asked %d times, the other %d", model.called(), other.called())
		}
	})
}

func ExampleBuilder_localModel() {
	g, err := local(canned("yes"), canned("perhaps"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(worst(g.Explain()))
	// Output:
	// worst case of one call: 2 calls, 1 rung, 7m1s (8m0s if providers ask for the longest waits)
}

func ExampleBuilder_plan() {
	g, err := plan(canned("yes"), canned("perhaps"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(worst(g.Explain()))
	// Output:
	// worst case of one call: 2 calls, 1m20s
}

func ExampleStreamBuilder_live() {
	g, err := live(middleware.Chunks[string]("yes", "."), middleware.Chunks[string]("yes", "."))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(worst(g.Explain()))
	// Output:
	// worst case of one call: 3 calls, 5m0s
}

func TestBaselineChat(t *testing.T) {
	for name, tc := range map[string]struct {
		model, other runner
		patience     time.Duration // of the caller; 0: none
		want         string
		within       time.Duration
	}{
		"a torn connection costs a second or so":           {plays(errSick, "yes"), plays("other"), 0, "yes", 1250 * time.Millisecond},
		"a model that hangs costs two attempts":            {middleware.Func(hangs), plays("other"), 0, "other", 32 * time.Second},
		"an expired key costs nothing":                     {plays(ofClass(strategies.ClassUnauthorized)), plays("other"), 0, "other", 0},
		"all that hang are apologised for":                 {middleware.Func(hangs), middleware.Func(hangs), 0, "sorry", 40 * time.Second},
		"a caller with little time is told before it ends": {middleware.Func(hangs), middleware.Func(hangs), 10 * time.Second, "sorry", 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, err := chat(tc.model, tc.other, plays("sorry"))
				if err != nil {
					t.Fatal(err)
				}
				ctx := t.Context()
				if tc.patience > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.patience)
					defer cancel()
				}
				o := g.Outcome(ctx, "hello")
				expect(t, "answer", o.Value, tc.want)
				if o.Err != nil || o.Elapsed > tc.within {
					t.Errorf("took %v, want at most %v; %v", o.Elapsed, tc.within, o.Err)
				}
			})
		})
	}
}

func TestBaselineBatch(t *testing.T) {
	t.Run("work that takes longer than a minute goes on after an outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			model := middleware.Func(func(ctx context.Context, _ string) (string, error) {
				if time.Since(began) < time.Hour {
					return "", errSick
				}
				select {
				case <-time.After(90 * time.Second):
					return "done", nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			})
			g, err := batch(model, &strategies.Budget{}, nobodyAtTheDesk())
			if err != nil {
				t.Fatal(err)
			}
			for time.Since(began) < 2*time.Hour {
				if answer, err := g.Run(t.Context(), "job"); err == nil {
					expect(t, "answer", answer, "done")
					return
				}
			}
			t.Error("an hour after the outage nothing has been done")
		})
	})
	t.Run("a provider that asks for minutes gets them", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			busy := strategies.WithRetryAfter(3*time.Minute, ofClass(strategies.ClassRateLimited))
			g, err := batch(plays(busy, "done"), &strategies.Budget{}, nobodyAtTheDesk())
			if err != nil {
				t.Fatal(err)
			}
			o := g.Outcome(t.Context(), "job")
			expect(t, "answer", o.Value, "done")
			if o.Elapsed < 3*time.Minute {
				t.Errorf("asked again after %v, too soon", o.Elapsed)
			}
		})
	})
	t.Run("silence approves nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			model := plays(ofClass(strategies.ClassQuotaExhausted))
			g, err := batch(model, &strategies.Budget{}, nobodyAtTheDesk())
			if err != nil {
				t.Fatal(err)
			}
			o := g.Outcome(t.Context(), "job")
			expect(t, "calls", model.called(), 1)
			expect(t, "asked for", o.Elapsed, time.Hour)
			expect(t, "required", o.Strategy, strategies.StrategyUserIntervention)
		})
	})
}

// nobodyAtTheDesk is a desk with room, which nobody looks at.
func nobodyAtTheDesk() *inbox.Desk { return inbox.NewDesk() }

// A payment that was not heard of may have been made: it is tried once, and a person
// is asked. The model and the search are asked again.
func TestBaselineToolAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, search := plays(errSick, "buy the map"), plays(errSick, errSick, "a map")
		pay := plays(errors.New("read tcp: connection reset by peer"))
		desk := inbox.NewDesk()
		go func() {
			i := <-desk.Incidents()
			expect(t, "incident of", i.Agent, "shop")
			expectIs(t, desk.Resolve(i.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "I have looked: it was paid.", By: "Ada"}))
		}()
		work := func(model, search, pay runner) runner {
			return middleware.Func(func(ctx context.Context, q string) (string, error) {
				for _, step := range []runner{model, search, pay} {
					if _, err := step.Run(ctx, q); err != nil {
						return "", err
					}
				}
				return "paid", nil
			})
		}
		g, err := shop(model, search, pay, work, desk)
		if err != nil {
			t.Fatal(err)
		}
		o := g.Outcome(t.Context(), "a map, please")
		expect(t, "payments", pay.called(), 1)
		expect(t, "searches", search.called(), 3)
		expect(t, "questions", model.called(), 2)
		expect(t, "answer", o.Value, "I have looked: it was paid.")
	})
}

func TestBaselineLocalModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := plays(stepFunc(func(context.Context, string) (string, error) {
			time.Sleep(time.Hour) // deaf to its context
			return "", errGone
		}))
		g, err := local(model, plays("in short: yes"))
		if err != nil {
			t.Fatal(err)
		}
		o := g.Outcome(t.Context(), "Is it true?")
		expect(t, "answer", o.Value, "in short: yes")
		expect(t, "level", o.Level, strategies.LevelReduced)
		if o.Elapsed > 5*time.Minute {
			t.Errorf("took %v", o.Elapsed)
		}
		expect(t, "left behind", g.Health().LeftBehind, 2)
		time.Sleep(2 * time.Hour)
		expect(t, "left behind, later", g.Health().LeftBehind, 0)
	})
}

// words streams them, and then fails with err if that is not nil.
func words(err error, said ...string) streamer {
	return middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, word := range said {
				if !yield(word, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
			}
		}
	})
}

func TestBaselineLive(t *testing.T) {
	for name, tc := range map[string]struct {
		model streamer
		want  string
		cut   bool
	}{
		"what fails before a word is recovered":       {words(errSick, ""), "well met .", false},
		"a whole answer is passed on":                 {words(nil, "", "good", "day", "."), " good day .", false},
		"one that ends without its end is no answer":  {words(nil, "good", "day"), "good day", true},
		"nothing is said twice after the first words": {words(errSick, "good"), "good", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, err := live(tc.model, words(nil, "well", "met", "."))
				if err != nil {
					t.Fatal(err)
				}
				heard, err := middleware.Collect(g.Stream(t.Context(), "hello"))
				expect(t, "words", strings.Join(heard, " "), tc.want)
				var cut *strategies.StreamError
				expect(t, "cut off", errors.As(err, &cut), tc.cut)
			})
		})
	}
}
