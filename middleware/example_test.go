package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// fails is an agent that has a bad day.
func fails(_ context.Context, _ string) (string, error) {
	return "", errors.New("connection reset")
}

// secondTime fails once, and then answers.
func secondTime() func(context.Context, string) (string, error) {
	calls := 0
	return func(_ context.Context, q string) (string, error) {
		if calls++; calls == 1 {
			return "", errors.New("connection reset")
		}
		return "answer to " + q, nil
	}
}

func canned(text string) middleware.Runner[string, string] {
	return middleware.Func(func(context.Context, string) (string, error) { return text, nil })
}

// atOnce keeps examples from waiting; the default waits 1 s, 2 s, 4 s.
var atOnce = strategies.Retry{Backoff: strategies.Delays{0}}

// narrator is an agent: any type with a Run method.
type narrator struct{}

func (narrator) Run(context.Context, string) (string, error) {
	return "", errors.New("503 service unavailable")
}

func Example() {
	guarded, err := middleware.Wrap(narrator{}).
		Named("narrator").
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Fallback("archivist", canned("The gate is closed.")).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output: The gate is closed. <nil>
}

// The builder nests in the documented order, whatever order it is called in.
func Example_order() {
	trace := func(stage middleware.Stage) middleware.Middleware[string, string] {
		return func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
			return middleware.Func(func(ctx context.Context, q string) (string, error) {
				fmt.Printf("%*s%s\n", 2*int(stage), "", stage)
				return next.Run(ctx, q)
			})
		}
	}
	b := middleware.Wrap(canned("hi"))
	for stage := middleware.StageAgent; ; stage-- { // innermost first
		b.Use(stage, trace(stage))
		if stage == middleware.StageObserve {
			break
		}
	}
	guarded, err := b.
		Validate(func(_ context.Context, _, _ string) error { return nil }).
		Timeout(time.Second).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).
		CircuitBreaker(&strategies.Breaker{}).
		Retry(atOnce).
		Fallback("other", canned("hi")).
		Deadline(time.Minute).
		Degrade(strategies.LevelReduced, canned("hi")).
		Intervene(middleware.Intervention{Ask: inbox.NewDesk()}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = guarded.Run(context.Background(), "hello")
	// Output:
	// observe
	//   identify
	//     coalesce
	//       intervene
	//         degrade
	//           deadline
	//             fallback
	//               hedge
	//                 retry
	//                   breaker
	//                     pace
	//                       bulkhead
	//                         renew
	//                           timeout
	//                             validate
	//                               recover
	//                                 agent
}

func ExampleWrap() {
	_, err := middleware.Wrap(narrator{}).
		Retry(strategies.Retry{MaxRetries: -2}).
		Fallback("archivist", nil).
		Build() // says all that is wrong, before the first call
	fmt.Println(err)
	// Output:
	// understudy: Retry.MaxRetries is negative (-2): leave it 0 for 3; NoRetries, which is -1, means none
	// understudy: Fallback "archivist" is nil: give it a runner
}

func ExampleWrapFunc() {
	guarded, _ := middleware.WrapFunc(secondTime()).Retry(atOnce).Build()
	fmt.Println(guarded.Run(context.Background(), "everything"))
	// Output: answer to everything <nil>
}

// A Chain by hand nests in the order given, the first layer outermost.
func ExampleChain() {
	owner := &middleware.Owner{Name: "narrator"} // the same for all layers
	r := middleware.Chain(middleware.Func(secondTime()),
		middleware.Retry[string, string](owner, atOnce),
		middleware.Timeout[string, string](owner, time.Second),
		middleware.Recover[string, string](owner),
	)
	fmt.Println(r.Run(context.Background(), "everything"))
	// Output: answer to everything <nil>
}

func ExampleRetry() {
	guarded, _ := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
		fmt.Println("attempt", middleware.CallOf(ctx).Attempt())
		if middleware.CallOf(ctx).Attempt() < 3 {
			return "", errors.New("connection reset")
		}
		return "third time lucky", nil
	}).Retry(strategies.Retry{MaxRetries: 5, Backoff: strategies.Delays{0}}).Build()
	fmt.Println(guarded.Run(context.Background(), "hello"))
	// Output:
	// attempt 1
	// attempt 2
	// attempt 3
	// third time lucky <nil>
}

func ExampleCircuitBreaker() {
	breaker := &strategies.Breaker{Name: "provider", Failures: 2} // share it by upstream
	guarded, _ := middleware.WrapFunc(fails).CircuitBreaker(breaker).Build()
	for range 3 {
		_, err := guarded.Run(context.Background(), "hello")
		fmt.Println(breaker.State(), errors.Is(err, strategies.ErrRejected))
	}
	// Output:
	// closed false
	// open false
	// open true
}

func ExampleBulkhead() {
	var guarded *middleware.Guarded[string, string]
	guarded, _ = middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
		if q == "inner" {
			return "", errors.New("not reached")
		}
		return guarded.Run(ctx, "inner") // while the only slot is taken
	}).Bulkhead(&strategies.Bulkhead{Name: "gpu", MaxConcurrent: 1}).Build()
	_, err := guarded.Run(context.Background(), "outer")
	full, ok := errors.AsType[*strategies.FullError](err)
	fmt.Println(ok, full.What, full.Limit)
	// Output: true bulkhead "gpu" 1
}

func ExampleTimeout() {
	guarded, _ := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done() // a model that never answers
		return "", ctx.Err()
	}).Timeout(time.Millisecond).Fallback("archivist", canned("The gate is closed.")).Build()
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output: The gate is closed. <nil>
}

func ExampleHardTimeout() {
	comeBack := make(chan struct{})
	guarded, _ := middleware.WrapFunc(func(context.Context, string) (string, error) {
		<-comeBack // deaf to its context
		return "too late", nil
	}).HardTimeout(time.Millisecond, 10).Build()
	_, err := guarded.Run(context.Background(), "hello")
	late, _ := errors.AsType[*strategies.TimeoutError](err)
	fmt.Println(late)
	fmt.Println("left behind:", guarded.Health().LeftBehind)
	close(comeBack)
	// Output:
	// understudy: attempt timeout after 1ms
	// left behind: 1
}

func ExampleDeadline() {
	hang := func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	guarded, _ := middleware.WrapFunc(hang).
		Retry(atOnce).
		Fallback("archivist", middleware.Func(hang)).
		Deadline(time.Millisecond).                                // for both of them, retries included
		Degrade(strategies.LevelMinimal, canned("Ask me later.")). // and still time to say something
		Build()
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output: Ask me later. <nil>
}

func ExampleValidate() {
	answers := []string{"", "The gate is closed."}
	guarded, _ := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		return answers[middleware.CallOf(ctx).Attempt()-1], nil
	}).Retry(atOnce).Validate(func(_ context.Context, _, answer string) error {
		if answer == "" {
			return errors.New("empty")
		}
		return nil
	}).Build()
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output: The gate is closed. <nil>
}

func ExampleRecover() {
	guarded, _ := middleware.WrapFunc(func(_ context.Context, q string) (string, error) {
		return q[:100], nil // out of range
	}).Build()
	_, err := guarded.Run(context.Background(), "hello")
	p, _ := errors.AsType[*strategies.PanicError](err) // with its Stack
	fmt.Println(p)
	// Output: understudy: agent panicked: runtime error: slice bounds out of range [:100] with length 5
}

func ExampleFallback() {
	guarded, _ := middleware.WrapFunc(fails).Named("narrator").
		Fallback("archivist", middleware.Func(fails)).
		Fallback("keeper", canned("The gate is closed.")).
		Build()
	o := guarded.Outcome(context.Background(), "Is the gate open?")
	fmt.Println(o.Value, "By", o.ServedBy)
	// Output: The gate is closed. By keeper
}

// A stand-in with a smaller window gets a shorter request.
func ExampleBuilder_FallbackVia() {
	echo := middleware.Func(func(_ context.Context, q string) (string, error) { return "heard: " + q, nil })
	guarded, _ := middleware.WrapFunc(fails).
		FallbackVia("small", echo, func(_ context.Context, q string) (string, error) { return q[:5], nil }).
		Build()
	fmt.Println(guarded.Run(context.Background(), "hello and so on"))
	// Output: heard: hello <nil>
}

// What sees no value needs no types.
func ExampleBuilder_Around() {
	guarded, _ := middleware.WrapFunc(secondTime()).
		Retry(atOnce).
		Around(middleware.StageBreaker, func(ctx context.Context, next func(context.Context) error) error {
			err := next(ctx) // from the breaker inward: once an attempt
			fmt.Println("attempt", middleware.CallOf(ctx).Attempt(), err)
			return err
		}).
		Build()
	fmt.Println(guarded.Run(context.Background(), "everything"))
	// Output:
	// attempt 1 connection reset
	// attempt 2 <nil>
	// answer to everything <nil>
}

// A stand-in of other types plays the role.
func ExampleAdapt() {
	counter := middleware.Func(func(_ context.Context, words []string) (int, error) { return len(words), nil })
	guarded, _ := middleware.WrapFunc(fails).
		Fallback("counter", middleware.Adapt(counter,
			func(_ context.Context, q string) ([]string, error) { return strings.Fields(q), nil },
			func(_ context.Context, n int) (string, error) { return fmt.Sprint(n, " words"), nil },
		)).
		Build()
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output: 4 words <nil>
}

func ExampleDegrade() {
	guarded, _ := middleware.WrapFunc(fails).
		Degrade(strategies.LevelEmergency, canned("No answer today.")).
		Degrade(strategies.LevelReduced, middleware.Func(fails)). // a smaller model, down as well
		Build()
	o := guarded.Outcome(context.Background(), "Is the gate open?")
	fmt.Println(o.Value, o.Level, o.Strategy)
	// Output: No answer today. emergency degradation
}

// A desk hands incidents to whoever takes them: a web page, a chat bot, a test.
func ExampleIntervene() {
	desk := inbox.NewDesk()
	go func() {
		for incident := range desk.Incidents() {
			fmt.Println(incident.Agent, "asks:", incident.Request)
			_ = desk.Resolve(incident.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "It is closed.", By: "Ada"})
			return
		}
	}()
	guarded, _ := middleware.WrapFunc(fails).Named("narrator").
		Intervene(middleware.Intervention{Ask: desk, Deadline: time.Minute}).
		Build()
	o := guarded.Outcome(context.Background(), "Is the gate open?")
	fmt.Println(o.Value, o.Strategy, o.ServedBy)
	// Output:
	// narrator asks: Is the gate open?
	// It is closed. user_intervention Ada
}

func ExampleObserverFunc() {
	guarded, _ := middleware.WrapFunc(fails).Named("narrator").
		Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
		Fallback("archivist", canned("The gate is closed.")).
		Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			fmt.Println(e.Kind, e.ServedBy, e.Class)
		})).
		Build()
	_, _ = guarded.Run(context.Background(), "Is the gate open?")
	// Output:
	// attempt_failed narrator transient
	// retry_scheduled narrator transient
	// attempt_failed narrator transient
	// retries_ended narrator transient
	// stand_in_called archivist transient
	// recovered archivist transient
}

func ExampleSlog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "call" { // they differ each time
				return slog.Attr{}
			}
			return a
		},
	}))
	guarded, _ := middleware.WrapFunc(secondTime()).Named("narrator").Retry(atOnce).Observe(middleware.Slog(logger)).Build()
	_, _ = guarded.Run(context.Background(), "Is the gate open?")
	// Output:
	// level=WARN msg=attempt_failed agent=narrator attempt=1 class=transient error="connection reset"
	// level=INFO msg=retry_scheduled agent=narrator attempt=2 class=transient error="connection reset"
	// level=INFO msg=recovered agent=narrator attempt=2 class=transient strategy=retry
}

// Outcome is Run with provenance, so that a recovery is never silent.
func ExampleGuarded_Outcome() {
	guarded, _ := middleware.WrapFunc(fails).Named("narrator").
		Retry(atOnce).
		Fallback("archivist", canned("The gate is closed.")).
		Build()
	o := guarded.Outcome(context.Background(), "Is the gate open?")
	fmt.Printf("%s\nby %s (%s), %s, after %d attempts\n", o.Value, o.ServedBy, o.Strategy, o.Level, o.Attempts)
	// Output:
	// The gate is closed.
	// by archivist (fallback), full, after 5 attempts
}

// Explain says what a chain will do, and the worst that one call can cost.
func ExampleGuarded_Explain() {
	guarded, _ := middleware.Wrap(narrator{}).Named("narrator").
		Retry(strategies.Retry{}).
		CircuitBreaker(&strategies.Breaker{}).
		Timeout(30*time.Second).
		Fallback("archivist", canned("The gate is closed.")).
		Degrade(strategies.LevelReduced, canned("Ask me later.")).
		Build()
	fmt.Println(guarded.Explain())
	// Output:
	// narrator: retry, then fallback, then degradation
	//
	//   observe                          0 observers
	//     degrade                        then answers: reduced
	//       fallback                     then asks: archivist
	//         retry                      3 retries, delays 1s, 2s, 4s
	//           breaker                  opens after 5 failures in a row, for 30s growing to 2m0s
	//             timeout                30s an attempt
	//               recover              a panic becomes an error
	//                 agent              narrator
	//
	// worst case of one call: 5 calls, 1 rung, 3m7s (3m30s if providers ask for the longest waits)
	// note: archivist: one call each is counted here; what they call in their turn cannot be known
}
