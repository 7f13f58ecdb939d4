package eino_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

var soon = strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}

// recovered plays a plan to every way in which eino calls a model, and fails the
// test unless each of them gets this answer at this level, with exactly so many
// requests per model.
func recovered(t *testing.T, plan endpoint.Plan, settings func(b *eino.Builder, ask func(string) model.ToolCallingChatModel), want string, level strategies.Level, requests map[string]int) {
	t.Helper()
	for name, ask := range ways() {
		t.Run(name, func(t *testing.T) {
			server := play(t, plan)
			got, err := ask(t.Context(), connect(t, server, "narrator"), func(b *eino.Builder) {
				settings(b.Named("narrator"), func(model string) model.ToolCallingChatModel { return connect(t, server, model) })
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Content != want || eino.Level(got) != level {
				t.Errorf("got %q at level %v, want %q at %v", got.Content, eino.Level(got), want, level)
			}
			total := 0
			for model, n := range requests {
				conformance.Requests(t, model, server.Requests(model), n)
				total += n
			}
			conformance.Requests(t, "all models", server.Total(), total)
		})
	}
}

func script(faults ...endpoint.Fault) endpoint.Plan {
	return endpoint.Plan{Script: map[string][]endpoint.Fault{"narrator": faults}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	type asker = func(string) model.ToolCallingChatModel
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: func(t *testing.T) {
			recovered(t, script(endpoint.Status(503)), func(b *eino.Builder, _ asker) { b.Retry(soon) },
				"A stranger, says narrator", strategies.LevelFull, map[string]int{"narrator": 2})
		},
		conformance.RateLimitHonoured: func(t *testing.T) {
			const wait = 30 * time.Millisecond
			delays := make(chan time.Duration, 8)
			watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventRetryScheduled {
					delays <- e.Delay
				}
			})
			recovered(t, script(endpoint.RateLimit(wait)), func(b *eino.Builder, _ asker) { b.Retry(soon).Observe(watch) },
				"A stranger, says narrator", strategies.LevelFull, map[string]int{"narrator": 2})
			if len(delays) != len(ways()) {
				t.Errorf("%d retries for %d calls", len(delays), len(ways()))
			}
			for close(delays); ; {
				delay, more := <-delays
				if !more {
					return
				}
				if delay < wait {
					t.Errorf("it waited %v where the provider asked for %v", delay, wait)
				}
			}
		},
		conformance.QuotaGoesOn: func(t *testing.T) {
			recovered(t, script(endpoint.Quota()), func(b *eino.Builder, ask asker) {
				b.Retry(soon).Fallback("archivist", eino.StandIn(ask("archivist")))
			}, "A stranger, says archivist", strategies.LevelFull, map[string]int{"narrator": 1, "archivist": 1})
		},
		conformance.OverflowToLarger: func(t *testing.T) {
			recovered(t, script(endpoint.ContextOverflow()), func(b *eino.Builder, ask asker) {
				b.Retry(soon).FallbackVia("large window", eino.StandIn(ask("archivist")), eino.With(model.WithModel("large")))
			}, "A stranger, says large", strategies.LevelFull, map[string]int{"narrator": 1, "large": 1})
		},
		conformance.HangTimesOut: func(t *testing.T) {
			recovered(t, script(endpoint.Hang()), func(b *eino.Builder, _ asker) { b.Retry(soon).Timeout(500 * time.Millisecond) },
				"A stranger, says narrator", strategies.LevelFull, map[string]int{"narrator": 2})
		},
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: func(t *testing.T) {
			plan := endpoint.Plan{Down: map[string][]endpoint.Outage{
				"narrator": {{Fault: endpoint.Overloaded()}}, "archivist": {{Fault: endpoint.Drop()}},
			}}
			recovered(t, plan, func(b *eino.Builder, ask asker) {
				b.Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
					Fallback("archivist", eino.StandIn(ask("archivist"))).
					Degrade(strategies.LevelReduced, eino.Reply("The innkeeper shrugs."))
			}, "The innkeeper shrugs.", strategies.LevelReduced, map[string]int{"narrator": 3, "archivist": 1})
		},
	}, nil)
}

func streamCut(t *testing.T) {
	const answer = "A stranger, says narrator"
	for it, tt := range map[string]struct {
		fault    endpoint.Fault
		want     string
		requests int
		class    strategies.Class // of the failure behind; 0: none
	}{
		"retries one cut before its first chunk":    {endpoint.CutBeforeFirst(), answer, 2, 0},
		"retries one cut after its role chunk":      {endpoint.CutAfter(0), answer, 2, 0},
		"retries one that ended after its role":     {endpoint.CleanEOFAfter(0), answer, 2, 0},
		"retries one without any event":             {endpoint.CleanEOFBefore(), answer, 2, 0},
		"retries an error before the first token":   {endpoint.ErrorEventAfter(0), answer, 2, 0},
		"retries one that is empty to its very end": {endpoint.Empty(), answer, 2, 0},
		"ends one cut after its first token":        {endpoint.CutAfter(2), "A stranger, ", 1, strategies.ClassTransient},
		"ends one that ended before its marker":     {endpoint.CleanEOFAfter(2), "A stranger, ", 1, strategies.ClassInvalidAnswer},
		"ends one with an error after two tokens":   {endpoint.ErrorEventAfter(2), "A stranger, ", 1, strategies.ClassTransient},
		"ends one whose tokens ran out":             {endpoint.Truncated(), "A stranger,", 1, strategies.ClassInvalidAnswer},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server := play(t, script(tt.fault))
			guarded, err := eino.Wrap(connect(t, server, "narrator"), func(b *eino.Builder) {
				b.Named("narrator").Complete(eino.Ends).Validate(eino.NotTruncated).Retry(soon)
			})
			if err != nil {
				t.Fatal(err)
			}
			reader, err := guarded.Stream(t.Context(), question)
			if err != nil {
				t.Fatal(err)
			}
			got, err := drain(reader)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			cut, isCut := errors.AsType[*strategies.StreamError](err)
			switch {
			case tt.class == 0 && err != nil:
				t.Errorf("got %v", err)
			case tt.class != 0 && (!isCut || strategies.Classify(cut.Err).Class != tt.class):
				t.Errorf("got error %v, want %v behind it", err, tt.class)
			case isCut:
				if sent, _ := middleware.Sent[*schema.Message](err); joined(sent) != tt.want {
					t.Errorf("the error says that %q was sent", joined(sent))
				}
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), tt.requests)
		})
	}
}
