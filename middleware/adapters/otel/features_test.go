package otel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/middleware/adapters/otel"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

func built(t *testing.T, b *middleware.Builder[string, string]) *middleware.Guarded[string, string] {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (s *studio) wrap(t *testing.T, name string, b *middleware.Builder[string, string]) *middleware.Guarded[string, string] {
	t.Helper()
	return built(t, otel.Instrument(b, name, s.Telemetry))
}

// names draws the spans without what they say.
func (s *studio) names() string {
	var lines []string
	for line := range strings.Lines(s.tree()) {
		if !strings.Contains(line, "●") {
			name, _, _ := strings.Cut(line, " (")
			lines = append(lines, name)
		}
	}
	return strings.Join(lines, "\n")
}

func TestSpansOfSeveralAgents(t *testing.T) {
	t.Run("it puts a stand-in with layers of its own under the call it saves", func(t *testing.T) {
		s := open(t)
		sage := s.wrap(t, "sage", middleware.Wrap(middlewaretest.Script(says())).Named("sage").Retry(strategies.Retry{}))
		_, _ = s.wrap(t, "bard", bard(sick()).Fallback("sage", sage)).Run(t.Context(), secret)
		expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard\n    attempt sage")
	})
	t.Run("it puts an agent that is called by another one under its attempt, and counts anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t)
			scribe := s.wrap(t, "scribe", middleware.Wrap(middlewaretest.Script(says())).Named("scribe"))
			calls := 0
			_, err := s.wrap(t, "bard", middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				if calls++; calls == 1 {
					return "", errSick
				}
				return scribe.Run(ctx, req)
			}).Named("bard").Retry(strategies.Retry{})).Run(t.Context(), secret)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard\n    attempt bard\n        invoke_agent scribe\n            attempt scribe")
			if tree := s.tree(); !strings.Contains(tree, "            attempt scribe (internal, 0s) gen_ai.agent.name=scribe understudy.attempt=1 ") {
				t.Errorf("got %s", tree)
			}
		})
	})
	t.Run("it is the parent of what the agent writes", func(t *testing.T) {
		s := open(t)
		tracer := s.provider.Tracer("the agent's own")
		_, _ = s.wrap(t, "bard", middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			_, span := tracer.Start(ctx, "chat gpt")
			span.End()
			return answer, nil
		})).Run(t.Context(), secret)
		expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard\n        chat gpt")
	})
}

func TestRequests(t *testing.T) {
	s, n := open(t), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: httphint.Transport{Base: &http.Transport{DisableKeepAlives: true}}}
	observer := s.Observer("bard")
	_, err := s.wrap(t, "bard", middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		for range 3 {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				return "", err
			}
			resp, err := client.Do(req)
			if err != nil {
				return "", err
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return answer, nil
			}
		}
		return "", errSick
	}).Named("bard").Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Around(middleware.StageAgent, httphint.Layer(httphint.Hidden(observer, "bard")))).Run(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	tree := s.tree()
	for _, want := range []string{
		"● understudy.hidden_requests gen_ai.agent.name=bard understudy.attempt=1\n",
		" error.type=transient gen_ai.agent.name=bard http.response.status_code=503 understudy.attempt=1 understudy.level=full understudy.requests=3\n",
		" gen_ai.agent.name=bard http.response.status_code=200 understudy.attempt=2 understudy.level=full understudy.requests=1\n",
	} {
		if !strings.Contains(tree, want) {
			t.Errorf("no %q in\n%s", want, tree)
		}
	}
	if metrics := s.metrics(t); !strings.Contains(metrics, "understudy.requests 4 gen_ai.agent.name=bard\n") {
		t.Errorf("got\n%s", metrics)
	}
}

func TestWhoLeaves(t *testing.T) {
	t.Run("it takes a caller who left for no error of the span's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _ = s.wrap(t, "bard", bard(middlewaretest.Hang()).Retry(strategies.Retry{})).Run(ctx, secret)
			for _, span := range s.spans.Ended() {
				if span.Status().Code != codes.Unset || !strings.Contains(show(span.Attributes()), "error.type=canceled") {
					t.Errorf("%s: %v%s", span.Name(), span.Status(), show(span.Attributes()))
				}
			}
			if n := len(s.spans.Ended()); n != 2 {
				t.Errorf("%d spans", n)
			}
		})
	})
	t.Run("it ends its spans when the reader of a stream panics", func(t *testing.T) {
		s := open(t)
		guarded, err := otel.Instrument(middleware.WrapStream(middleware.Chunks[string]("once", "upon")).Named("bard"), "bard", s.Telemetry).Build()
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			for range guarded.Stream(t.Context(), "") {
				panic("the reader's own")
			}
		}()
		expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard")
		if tree := s.tree(); strings.Count(tree, "understudy.interrupted=true") != 2 || strings.Contains(tree, "Error") {
			t.Errorf("got %s", tree)
		}
	})
	t.Run("it ends them when the agent ends its goroutine", func(t *testing.T) {
		s := open(t)
		guarded := s.wrap(t, "bard", bard(middlewaretest.Goexit()))
		var calls sync.WaitGroup
		calls.Go(func() { _, _ = guarded.Run(t.Context(), "") })
		calls.Wait()
		expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard")
	})
}

// The class of an attempt is what the layers take it for, and they ask whose
// limit it was that ended a context.
func TestWhoseLimitItWas(t *testing.T) {
	for _, tt := range []struct {
		it    string
		limit func(b *middleware.Builder[string, string])
		want  string
	}{
		{"takes the limit of the attempt for its timeout", func(b *middleware.Builder[string, string]) { b.Timeout(time.Second) }, "timeout"},
		{"takes the deadline of the call for its timeout", func(b *middleware.Builder[string, string]) { b.Deadline(time.Second) }, "timeout"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				sage := s.wrap(t, "sage", middleware.Wrap(middlewaretest.Script(middlewaretest.Hang())).Named("sage").Timeout(time.Hour))
				b := middleware.WrapFunc(func(ctx context.Context, req string) (string, error) { return sage.Run(ctx, req) }).Named("bard")
				tt.limit(b)
				_, _ = s.wrap(t, "bard", b).Run(t.Context(), secret)
				got := map[string]string{}
				for _, span := range s.spans.Ended() {
					for _, a := range span.Attributes() {
						if a.Key == "error.type" {
							got[span.Name()] = a.Value.AsString()
						}
					}
				}
				// sage's caller left it, whatever that one's reason was.
				want := map[string]string{"attempt sage": "canceled", "invoke_agent sage": "canceled", "attempt bard": tt.want, "invoke_agent bard": tt.want}
				if !maps.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestCallID(t *testing.T) {
	t.Run("it is in the call's span and in each of its events, as in a log", func(t *testing.T) {
		s, ids := open(t), []string(nil)
		log := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) { ids = append(ids, e.Call) })
		_, _ = s.wrap(t, "bard", bard(sick(), says()).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Observe(log)).Run(t.Context(), secret)
		var got []string
		add := func(attributes []attribute.KeyValue) {
			for _, a := range attributes {
				if a.Key == "understudy.call" {
					got = append(got, a.Value.AsString())
				}
			}
		}
		for _, span := range s.spans.Ended() {
			add(span.Attributes())
			for _, e := range span.Events() {
				add(e.Attributes)
			}
		}
		if len(ids) != 3 || ids[0] == "" || !slices.Equal(got, append(ids, ids[0])) {
			t.Errorf("got %q, the log has %q", got, ids)
		}
		var data metricdata.ResourceMetrics
		if err := s.reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprint(data); strings.Contains(text, ids[0]) || strings.Contains(text, "understudy.call") {
			t.Errorf("a metric has it: %s", text)
		}
	})
}

func TestCallIDStays(t *testing.T) {
	t.Run("it is not taken away by the event of an adapter, which has none", func(t *testing.T) {
		s := open(t)
		b := otel.Instrument(bard(sick()), "bard", s.Telemetry)
		b.Around(middleware.StageObserve, func(ctx context.Context, next func(context.Context) error) error {
			err := next(ctx)
			s.Observer("bard").Observe(ctx, middleware.Event{Kind: middleware.EventHiddenRequests})
			return err
		})
		_, _ = built(t, b).Run(t.Context(), secret)
		spans := s.spans.Ended()
		if call := spans[len(spans)-1]; !slices.ContainsFunc(call.Attributes(), func(a attribute.KeyValue) bool { return a.Key == "understudy.call" }) {
			t.Errorf("%s has no id", call.Name())
		}
	})
}

func TestSettings(t *testing.T) {
	t.Run("it instruments settings that two chains have in common", func(t *testing.T) {
		s := open(t)
		common := otel.Instrument(new(middleware.Settings).Named("bard"), "bard", s.Telemetry)
		whole := built(t, middleware.Wrap(middlewaretest.Script(says())).With(common))
		streamed, err := middleware.WrapStream(middleware.Chunks[string]("once", "upon")).With(common).Build()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = whole.Run(t.Context(), secret)
		_, _ = middleware.Collect(streamed.Stream(t.Context(), secret))
		expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard\ninvoke_agent bard\n    attempt bard")
	})
}

func TestBreakerState(t *testing.T) {
	s, b := open(t), &strategies.Breaker{}
	s.wrap(t, "bard", bard(says()).CircuitBreaker(b))
	s.wrap(t, "sage", middleware.Wrap(middlewaretest.Script(says())).Named("sage").CircuitBreaker(b)) // shared
	expect(t, "before a change", s.metrics(t), "")
	b.Isolate()
	expect(t, "isolated", s.metrics(t), `understudy.breaker.state 1 gen_ai.agent.name=bard understudy.breaker.state=isolated
understudy.breaker.state 1 gen_ai.agent.name=sage understudy.breaker.state=isolated
`)
	b.Reset()
	expect(t, "reset", s.metrics(t), `understudy.breaker.state 1 gen_ai.agent.name=bard understudy.breaker.state=closed
understudy.breaker.state 1 gen_ai.agent.name=sage understudy.breaker.state=closed
`)
	b.Hold(time.Hour, strategies.WithClass(strategies.ClassRateLimited, errSick))
	if got := s.metrics(t); !strings.Contains(got, "gen_ai.agent.name=bard understudy.breaker.state=held\n") {
		t.Errorf("held: got\n%s", got)
	}
}

// Whatever callers, people and providers come up with, there are no more series.
func TestSeriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := open(t), 0
		guarded := s.wrap(t, "bard", middleware.WrapFunc(func(context.Context, string) (string, error) {
			n++
			return "", strategies.WithClass(strategies.Classes()[n%3], fmt.Errorf("error %d", n))
		}).Named("bard").Retry(strategies.Retry{MaxRetries: 2}).
			Intervene(middleware.Intervention{Ask: asking(func() strategies.Decision {
				return strategies.Decision{Action: strategies.ActionAnswer, Value: fmt.Sprint(n), By: fmt.Sprint("person ", n), Reason: fmt.Sprint(n)}
			})}))
		count := func() int { return strings.Count(s.metrics(t), "\n") }
		run := func(times int) {
			for i := range times {
				_, _ = guarded.Run(t.Context(), fmt.Sprint("request ", i))
			}
		}
		run(100)
		before := count()
		run(1000)
		if after := count(); after != before || before > 20 {
			t.Errorf("%d series after 100 calls, %d after 1,100", before, after)
		}
	})
}

func TestDurationIsTheSpans(t *testing.T) {
	s := open(t) // in real time, where both would differ if each took its own
	_, _ = s.wrap(t, "bard", bard(says())).Run(t.Context(), secret)
	var data metricdata.ResourceMetrics
	if err := s.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
			sums[m.Name] = h.DataPoints[0].Sum
		}
	}
	for _, span := range s.spans.Ended() {
		name := map[bool]string{true: "gen_ai.invoke_agent.duration", false: "understudy.attempt.duration"}[strings.HasPrefix(span.Name(), "invoke")]
		if took := span.EndTime().Sub(span.StartTime()).Seconds(); took != sums[name] {
			t.Errorf("%s took %v, %s says %v", span.Name(), took, name, sums[name])
		}
	}
}

func TestConcurrentCalls(t *testing.T) {
	s := open(t)
	guarded := s.wrap(t, "bard", bard(sick(), says()).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Fallback("sage", middlewaretest.Script(says())))
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() { _, _ = guarded.Run(t.Context(), secret) })
	}
	calls.Wait()
	if got := s.metrics(t); !strings.Contains(got, "understudy.failures 1 error.type=transient gen_ai.agent.name=bard understudy.served_by=bard\n") {
		t.Errorf("got\n%s", got)
	}
	if n := len(s.spans.Ended()); n != 101 {
		t.Errorf("%d spans, want 50 calls and 51 attempts", n)
	}
}

func TestOptions(t *testing.T) {
	t.Run("it writes to the global providers", func(t *testing.T) {
		s := open(t)
		api.SetTracerProvider(s.provider)
		t.Cleanup(func() { api.SetTracerProvider(nooptrace.NewTracerProvider()) })
		telemetry, err := otel.New(otel.Options{MeterProvider: noopmetric.NewMeterProvider()})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = built(t, otel.Instrument(bard(says()), "bard", telemetry)).Run(t.Context(), "")
		expect(t, "spans", s.names(), "invoke_agent bard\n    attempt bard")
	})
	t.Run("it asks the classifier that the layers ask", func(t *testing.T) {
		s := open(t)
		mine := &strategies.Classifier{Rules: []strategies.Rule{func(error) strategies.Class { return strategies.ClassBlocked }}}
		telemetry, err := otel.New(otel.Options{TracerProvider: s.provider, MeterProvider: noopmetric.NewMeterProvider(), Classifier: mine})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = built(t, otel.Instrument(bard(sick()).Classifier(mine), "bard", telemetry)).Run(t.Context(), "")
		for _, span := range s.spans.Ended() {
			if !strings.Contains(show(span.Attributes()), "error.type=blocked") {
				t.Errorf("%s:%s", span.Name(), show(span.Attributes()))
			}
		}
	})
	t.Run("it lets Build refuse what is missing", func(t *testing.T) {
		if _, err := otel.Instrument(bard(says()), "bard", nil).Build(); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it counts by its observer alone, without spans", func(t *testing.T) {
		s := open(t)
		_, _ = built(t, bard(sick()).Observe(s.Observer("bard")).Fallback("sage", middlewaretest.Script(says()))).Run(t.Context(), "")
		expect(t, "spans", s.names(), "")
		expect(t, "metrics", s.metrics(t), `understudy.failures 1 error.type=transient gen_ai.agent.name=bard understudy.served_by=bard
understudy.recoveries 1 gen_ai.agent.name=bard understudy.level=full understudy.served_by=sage understudy.strategy=fallback
`)
	})
}

func TestWhatIsNoAttempt(t *testing.T) {
	t.Run("it writes none where the bulkhead refuses", func(t *testing.T) {
		s, slots := open(t), &strategies.Bulkhead{MaxConcurrent: 1}
		if err := slots.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer slots.Release()
		_, _ = s.wrap(t, "bard", bard(says()).Bulkhead(slots)).Run(t.Context(), secret)
		expect(t, "spans", s.names(), "invoke_agent bard")
	})
	t.Run("it says what level was asked for, also where nothing failed", func(t *testing.T) {
		s, ladder := open(t), &strategies.Ladder{}
		ladder.Degrade(strategies.LevelReduced, "by hand")
		_, _ = s.wrap(t, "bard", bard(says()).Ladder(ladder).Degrade(strategies.LevelReduced, middlewaretest.Script(says()))).Run(t.Context(), secret)
		if got := s.tree(); strings.Count(got, "understudy.level=reduced") != 2 || !strings.Contains(got, "understudy.strategy=none") {
			t.Errorf("got %s", got)
		}
	})
}
