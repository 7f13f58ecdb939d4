package moving_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/avast/retry-go/v4"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type agent = func(ctx context.Context, question string) (string, error)

// byHand is retry-go around gobreaker, as one writes it.
func byHand(ask agent) agent {
	breaker := gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Timeout:     30 * time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 5 },
	})
	return func(ctx context.Context, question string) (string, error) {
		return retry.DoWithData(
			func() (string, error) {
				return breaker.Execute(func() (string, error) {
					attempt, cancel := context.WithTimeout(ctx, 30*time.Second)
					defer cancel()
					return ask(attempt, question)
				})
			},
			retry.Context(ctx),
			retry.Attempts(4),
			retry.Delay(time.Second),
			retry.DelayType(retry.BackOffDelay),
			retry.LastErrorOnly(true),
			retry.RetryIf(func(err error) bool { return !errors.Is(err, gobreaker.ErrOpenState) }),
		)
	}
}

// byHandMoved is the same here.
func byHandMoved(ask agent) (agent, error) {
	guarded, err := middleware.WrapFunc(ask).
		Retry(strategies.Retry{}).             // 3 more attempts, after 1 s, 2 s, 4 s
		CircuitBreaker(&strategies.Breaker{}). // 5 failures in a row, 30 s
		Timeout(30 * time.Second).
		Build()
	if err != nil {
		return nil, err
	}
	return guarded.Run, nil
}

// withFailsafe is a chain of failsafe-go with a stand-in.
func withFailsafe(ask, other agent) agent {
	type key struct{}
	executor := failsafe.With(
		fallback.NewWithFunc(func(exec failsafe.Execution[string]) (string, error) {
			return other(exec.Context(), exec.Context().Value(key{}).(string))
		}),
		retrypolicy.NewBuilder[string]().
			WithMaxRetries(3).
			WithBackoff(time.Second, 4*time.Second).
			AbortOnErrors(circuitbreaker.ErrOpen).
			Build(),
		circuitbreaker.NewBuilder[string]().
			WithFailureThreshold(5).
			WithDelay(30*time.Second).
			Build(),
		timeout.New[string](30*time.Second),
	)
	return func(ctx context.Context, question string) (string, error) {
		return executor.WithContext(context.WithValue(ctx, key{}, question)).
			GetWithExecution(func(exec failsafe.Execution[string]) (string, error) {
				return ask(exec.Context(), question)
			})
	}
}

// withFailsafeMoved is the same here.
func withFailsafeMoved(ask, other agent) (agent, error) {
	guarded, err := middleware.WrapFunc(ask).
		Fallback("other", middleware.Func(other)). // gets the request, too
		Retry(strategies.Retry{}).
		CircuitBreaker(&strategies.Breaker{}).
		Timeout(30 * time.Second).
		Build()
	if err != nil {
		return nil, err
	}
	return guarded.Run, nil
}

// apiError is how most SDKs say that a request failed.
type apiError struct {
	StatusCode int
	Code       string
	Header     http.Header
}

func (e *apiError) Error() string { return fmt.Sprint(e.StatusCode, " ", e.Code) }

// days are what one call meets: an error for ever, one for some calls, or one until
// some time has passed.
var days = []struct {
	name  string
	err   error
	calls int
	time  time.Duration
}{
	{"a connection that tears twice", errors.New("connection reset"), 2, 0},
	{"a key that has expired", &apiError{StatusCode: 401, Code: "invalid_api_key"}, 0, 0},
	{"a quota that has run out", &apiError{StatusCode: 429, Code: "insufficient_quota"}, 0, 0},
	{"a prompt that is too long", &apiError{StatusCode: 400, Code: "context_length_exceeded"}, 0, 0},
	{"a rate limit that asks for 8 s", &apiError{StatusCode: 429, Header: http.Header{"Retry-After": {"8"}}}, 0, 8 * time.Second},
}

// What one call comes to: who answered, how often the agent was called, how long it took.
const comesTo = `
                               | by hand           | the same here     | failsafe-go       | the same here
a connection that tears twice  | agent, 3, 3s      | agent, 3, 3s      | agent, 3, 3s      | agent, 3, 3s
a key that has expired         | nobody, 4, 7s     | nobody, 1, 0s     | other, 4, 7s      | other, 1, 0s
a quota that has run out       | nobody, 4, 7s     | nobody, 1, 0s     | other, 4, 7s      | other, 1, 0s
a prompt that is too long      | nobody, 4, 7s     | nobody, 1, 0s     | other, 4, 7s      | other, 1, 0s
a rate limit that asks for 8 s | nobody, 4, 7s     | agent, 2, 8s      | other, 4, 7s      | agent, 2, 8s
`

func TestWhatOneCallComesTo(t *testing.T) {
	other := func(context.Context, string) (string, error) { return "other", nil }
	ways := []func(agent) (agent, error){
		func(ask agent) (agent, error) { return byHand(ask), nil },
		byHandMoved,
		func(ask agent) (agent, error) { return withFailsafe(ask, other), nil },
		func(ask agent) (agent, error) { return withFailsafeMoved(ask, other) },
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%30s | %-17s | %-17s | %-17s | %s\n", "", "by hand", "the same here", "failsafe-go", "the same here")
	for _, day := range days {
		fmt.Fprintf(&b, "%-30s", day.name)
		for i, wrap := range ways {
			cell := ""
			synctest.Test(t, func(t *testing.T) {
				calls, began := 0, time.Now()
				call, err := wrap(func(context.Context, string) (string, error) {
					calls++
					over := day.calls > 0 && calls > day.calls || day.time > 0 && time.Since(began) >= day.time
					if !over {
						return "", day.err
					}
					return "agent", nil
				})
				if err != nil {
					t.Fatal(err)
				}
				who, err := call(t.Context(), "hello")
				if err != nil {
					who = "nobody"
				}
				cell = fmt.Sprintf("%s, %d, %v", who, calls, time.Since(began).Round(time.Second))
			})
			if i < len(ways)-1 {
				cell = fmt.Sprintf("%-17s", cell)
			}
			b.WriteString(" | " + cell)
		}
		b.WriteString("\n")
	}
	if b.String() != comesTo {
		t.Errorf("got:%s\nwant:%s", &b, comesTo)
	}
}
