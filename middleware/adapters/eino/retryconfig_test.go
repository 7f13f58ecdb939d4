package eino_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudwego/eino-ext/components/model/openai"
	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

func config(t *testing.T, policy strategies.Retry) *adk.ModelRetryConfig {
	t.Helper()
	c, err := eino.RetryConfig(policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRetryConfig(t *testing.T) {
	t.Parallel()
	const answer = "A stranger, says narrator"
	down := endpoint.Plan{Down: map[string][]endpoint.Outage{"narrator": {{}}}}
	for it, tt := range map[string]struct {
		plan     endpoint.Plan
		requests int
		class    strategies.Class // of the error; 0: none
		spent    bool
	}{
		"retries a 503":                          {script(endpoint.Status(503)), 2, 0, false},
		"does not retry an exhausted quota":      {script(endpoint.Quota()), 1, strategies.ClassQuotaExhausted, false},
		"does not retry a context overflow":      {script(endpoint.ContextOverflow()), 1, strategies.ClassContextOverflow, false},
		"does not retry what a filter stopped":   {script(endpoint.ContentFilter()), 1, strategies.ClassBlocked, false},
		"retries an empty answer":                {script(endpoint.Empty()), 2, 0, false},
		"retries one empty answer after another": {script(endpoint.Empty(), endpoint.Empty(), endpoint.Empty(), endpoint.Empty()), 3, strategies.ClassInvalidAnswer, true},
		"retries as often as it is told":         {down, 4, strategies.ClassTransient, true},
		"retries a stream cut after its words":   {script(endpoint.CutAfter(2)), 2, 0, false},
		"retries after what the provider asks":   {script(endpoint.RateLimit(20 * time.Millisecond)), 2, 0, false},
		"does not wait longer than is allowed":   {script(endpoint.RateLimit(2 * time.Minute)), 1, strategies.ClassRateLimited, false},
	} {
		for name, streaming := range map[string]bool{"": false, ", streaming": true} {
			t.Run("it "+it+name, func(t *testing.T) {
				server := play(t, tt.plan)
				agent, err := runner(t.Context(), connect(t, server, "narrator"), streaming, config(t, soon), nil, eino.Hints())
				if err != nil {
					t.Fatal(err)
				}
				got, err := last(agent.Query(t.Context(), "Who is there?"))
				if tt.class == 0 && (err != nil || got.Content != answer) {
					t.Errorf("got %v, %v", got, err)
				}
				if tt.class != 0 && strategies.Classify(err).Class != tt.class || errors.Is(err, adk.ErrExceedMaxRetries) != tt.spent {
					t.Errorf("got %v", err)
				}
				if _, found := errors.AsType[*sdk.APIError](err); tt.class != 0 && tt.class != strategies.ClassBlocked && tt.class != strategies.ClassInvalidAnswer && !found {
					t.Errorf("the provider's error is not in %v", err)
				}
				conformance.Requests(t, "narrator", server.Requests("narrator"), tt.requests)
			})
		}
	}
}

func TestRetryDecision(t *testing.T) {
	t.Parallel()
	failed := func(n int, err error) *adk.RetryContext { return &adk.RetryContext{RetryAttempt: n, Err: err} }
	t.Run("it waits as long as the provider asks, and not less than the schedule", func(t *testing.T) {
		server := play(t, script(endpoint.RateLimit(7*time.Second)))
		ctx, _, err := eino.Hints().BeforeModelRewriteState(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL()+"/chat/completions", strings.NewReader(`{"model":"narrator","messages":[{"role":"user","content":"Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := httphint.Transport{}.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if d := config(t, soon).ShouldRetry(ctx, failed(1, errors.New("no idea"))); !d.Retry || d.Backoff != 7*time.Second || d.RejectReason != "rate_limited" {
			t.Errorf("got %+v", d)
		}
		slow := config(t, strategies.Retry{Backoff: strategies.Delays{time.Second, 9 * time.Second}})
		if d := slow.ShouldRetry(ctx, failed(2, errors.New("no idea"))); d.Backoff != 9*time.Second {
			t.Errorf("got %+v", d)
		}
		if d := slow.BackoffFunc(ctx, 1); d != 0 {
			t.Errorf("a delay of 0 becomes %v", d)
		}
	})
	t.Run("it leaves interrupts and good answers alone", func(t *testing.T) {
		for _, r := range []*adk.RetryContext{
			failed(1, compose.Interrupt(t.Context(), "may I?")), {RetryAttempt: 1, OutputMessage: schema.AssistantMessage("Hello", nil)},
		} {
			if d := config(t, soon).ShouldRetry(t.Context(), r); d != nil {
				t.Errorf("got %+v", d)
			}
		}
	})
	t.Run("it does not begin what cannot end before the deadline, or after it", func(t *testing.T) {
		hurried, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		long := config(t, strategies.Retry{Backoff: strategies.Delays{time.Hour}})
		if d := long.ShouldRetry(hurried, failed(1, errors.New("no idea"))); d != nil {
			t.Errorf("got %+v", d)
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		if d := config(t, soon).ShouldRetry(left, failed(1, errors.New("no idea"))); d != nil {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("it pays from the budget, and a success pays back", func(t *testing.T) {
		budget := &strategies.Budget{Capacity: 5}
		policy := soon
		policy.Budget = budget
		c := config(t, policy)
		if d := c.ShouldRetry(t.Context(), failed(1, errors.New("no idea"))); !d.Retry || budget.Left() != 0 {
			t.Errorf("got %+v, %d left", d, budget.Left())
		}
		if d := c.ShouldRetry(t.Context(), failed(1, errors.New("no idea"))); d != nil {
			t.Errorf("got %+v from an empty budget", d)
		}
		c.ShouldRetry(t.Context(), &adk.RetryContext{RetryAttempt: 1, OutputMessage: schema.AssistantMessage("Hello", nil)})
		if budget.Left() != 1 {
			t.Errorf("%d left after a success", budget.Left())
		}
	})
	t.Run("it asks the classifier it is given", func(t *testing.T) {
		never := &strategies.Classifier{Rules: []strategies.Rule{func(error) strategies.Class { return strategies.ClassBlocked }}}
		c, err := eino.RetryConfig(soon, never)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.ShouldRetry(t.Context(), failed(1, errors.New("no idea"))); d != nil {
			t.Errorf("got %+v", d)
		}
	})
}
