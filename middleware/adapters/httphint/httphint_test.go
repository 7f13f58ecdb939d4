package httphint_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// provider is a server whose n-th request is answered by the n-th handler, and
// the last one repeats; and a client that is listened to.
type provider struct {
	url    string
	client *http.Client
	served atomic.Int64
}

func start(t *testing.T, answers ...http.HandlerFunc) *provider {
	t.Helper()
	p := &provider{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := int(p.served.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	base := &http.Transport{DisableKeepAlives: true} // or the transport repeats a request by itself
	p.url, p.client = server.URL, &http.Client{Transport: httphint.Transport{Base: base}}
	t.Cleanup(server.Close)
	return p
}

func says(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "well met")
	}
}

func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// errVague is all that the forgetful client says of a status that is no success.
var errVague = errors.New("the model did not answer")

// ask is a client as frameworks have them: status and headers are forgotten on
// the way to the error, and it asks again by itself, as often as it was told to.
func (p *provider) ask(again int) func(ctx context.Context, _ string) (string, error) {
	return func(ctx context.Context, _ string) (text string, err error) {
		for range again + 1 {
			if text, err = p.once(ctx, p.url); err == nil || ctx.Err() != nil {
				return text, err
			}
		}
		return "", err
	}
}

func (p *provider) once(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", errVague
	}
	return string(text), err
}

// under puts an agent under a layer alone.
func under(agent func(context.Context, string) (string, error), hidden func(context.Context, httphint.Seen)) middleware.Runner[string, string] {
	return middleware.Chain(middleware.Func(agent), middleware.Around[string, string](httphint.Layer(hidden)))
}

func TestClassAndWaitFromTheWire(t *testing.T) {
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, tc := range []struct {
		it     string
		answer http.HandlerFunc
		class  strategies.Class
		wait   time.Duration
	}{
		{"it knows a rate limit whose status was lost", says(429), strategies.ClassRateLimited, 0},
		{"it knows the wait in seconds", says(429, "Retry-After", "7"), strategies.ClassRateLimited, 7 * time.Second},
		{"it knows the wait in milliseconds, which goes first", says(429, "Retry-After", "2", "Retry-After-Ms", "1500"), strategies.ClassRateLimited, 1500 * time.Millisecond},
		{"it knows the wait by a date", says(429, "Retry-After", date), strategies.ClassRateLimited, time.Hour},
		{"it knows the wait of a server that is down", says(503, "Retry-After", "3"), strategies.ClassTransient, 3 * time.Second},
		{"it takes a wait that is none for none", says(503, "Retry-After", "soon"), strategies.ClassTransient, 0},
		{"it knows an overload", says(529), strategies.ClassOverloaded, 0},
		{"it knows a wrong key", says(401), strategies.ClassUnauthorized, 0},
		{"it knows a bad request", says(422), strategies.ClassBadRequest, 0},
		{"it knows a payment that is due", says(402), strategies.ClassQuotaExhausted, 0},
		{"it takes a bad gateway for transient", says(502), strategies.ClassTransient, 0},
		{"it takes a conflict for transient", says(409), strategies.ClassTransient, 0},
		{"it makes nothing of a success with a wait", says(202, "Retry-After", "7"), strategies.ClassTransient, 0},
		{"it makes nothing of no response", drops, strategies.ClassTransient, 0},
	} {
		t.Run(tc.it, func(t *testing.T) {
			t.Parallel()
			p := start(t, tc.answer)
			_, err := under(p.ask(0), nil).Run(t.Context(), "")
			got := strategies.Classify(err)
			expect(t, "class", got.Class, tc.class)
			if short := tc.wait - got.RetryAfter; short < 0 || short > time.Minute || short > 0 && tc.wait < time.Hour {
				t.Errorf("wait: got %v, want %v", got.RetryAfter, tc.wait) // a date is some time away when it is read
			}
		})
	}
}

// body answers with a status, headers and a text of its own.
func body(status int, text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// cut promises more than it sends.
func cut(status int, text string) http.HandlerFunc {
	return body(status, text, "Content-Length", "9999")
}

func TestTheBeginningOfABody(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for _, tc := range []struct {
		it     string
		answer http.HandlerFunc
		class  strategies.Class
		wait   time.Duration
		text   string
	}{
		{"tells a quota from a rate", body(429, `{"error":{"code":"insufficient_quota"}}`), strategies.ClassQuotaExhausted, 0, `{"error":{"code":"insufficient_quota"}}`},
		{"tells an overflow from a bad request", body(400, `{"error":{"message":"prompt is too long: 9310 tokens > 8192 maximum"}}`), strategies.ClassContextOverflow, 0, `{"error":{"message":"prompt is too long: 9310 tokens > 8192 maximum"}}`},
		{"tells a filter from a bad request", body(400, `{"error":{"code":"content_filter"}}`), strategies.ClassBlocked, 0, `{"error":{"code":"content_filter"}}`},
		{"finds a wait in a sentence", body(429, `{"error":{"message":"Please try again in 9m38s."}}`), strategies.ClassRateLimited, 578 * time.Second, `{"error":{"message":"Please try again in 9m38s."}}`},
		{"takes Amazon's 424 for what it is", body(424, `{"message":"The request failed"}`, "X-Amzn-Errortype", "ModelErrorException"), strategies.ClassTransient, 0, `{"message":"The request failed"}`},
		{"judges a body that was cut by its status", cut(429, `{"error":{"mess`), strategies.ClassRateLimited, 0, `{"error":{"mess`},
		{"judges a page by its status", body(502, "<html>quota exceeded</html>"), strategies.ClassTransient, 0, "<html>quota exceeded</html>"},
		{"puts back what is longer than a beginning", body(503, long), strategies.ClassTransient, 0, long},
		{"reads no body that is compressed", body(503, "\x1f\x8b", "Content-Encoding", "br"), strategies.ClassTransient, 0, "\x1f\x8b"},
		{"does with no body", body(429, ""), strategies.ClassRateLimited, 0, ""},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			t.Parallel()
			p, read := start(t, tc.answer), ""
			_, err := under(func(ctx context.Context, _ string) (string, error) {
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
				resp, err := p.client.Do(req)
				if err != nil {
					return "", err
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				read = string(text)
				return "", cmp.Or(err, errVague)
			}, nil).Run(t.Context(), "")
			got := strategies.Classify(err)
			expect(t, "class", got.Class, tc.class)
			expect(t, "wait", got.RetryAfter, tc.wait)
			expect(t, "what the client read", read, tc.text)
		})
	}
}

// coded is an error that still knows what happened.
type coded struct{ Code string }

func (e *coded) Error() string { return e.Code }

func TestWhoIsBelieved(t *testing.T) {
	pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("approve?"))
	for _, tc := range []struct {
		it    string
		err   error
		class strategies.Class
		wait  time.Duration
	}{
		{"it believes a code before the status", &coded{"insufficient_quota"}, strategies.ClassQuotaExhausted, time.Second},
		{"it believes a class before the status", strategies.WithClass(strategies.ClassContextOverflow, errVague), strategies.ClassContextOverflow, time.Second},
		{"it believes a class that says transient", strategies.WithClass(strategies.ClassTransient, errVague), strategies.ClassTransient, time.Second},
		{"it believes the status where the error says nothing", errVague, strategies.ClassRateLimited, time.Second},
		{"it believes the status where the answer broke off", io.ErrUnexpectedEOF, strategies.ClassRateLimited, time.Second},
		{"it takes the longer one of two waits", strategies.WithRetryAfter(time.Minute, errVague), strategies.ClassRateLimited, time.Minute},
		{"it shortens no wait", strategies.WithRetryAfter(time.Millisecond, errVague), strategies.ClassRateLimited, time.Second},
		{"it leaves an interrupt as it is", pause, strategies.ClassInterrupt, 0},
	} {
		t.Run(tc.it, func(t *testing.T) {
			t.Parallel()
			p := start(t, says(429, "Retry-After", "1"))
			_, err := under(func(ctx context.Context, _ string) (string, error) {
				_, _ = p.once(ctx, p.url)
				return "", tc.err
			}, nil).Run(t.Context(), "")
			got := strategies.Classify(err)
			expect(t, "class", got.Class, tc.class)
			expect(t, "wait", got.RetryAfter, tc.wait)
			expect(t, "text", err.Error(), tc.err.Error())
			expect(t, "is the agent's own error", errors.Is(err, tc.err), true)
			expect(t, "is the very same", err == tc.err, tc.class == strategies.ClassInterrupt)
		})
	}
	t.Run("it can be looked into", func(t *testing.T) {
		p := start(t, says(503, "Retry-After", "2"))
		_, err := under(p.ask(0), nil).Run(t.Context(), "")
		hint, ok := errors.AsType[*httphint.Error](err)
		if !ok {
			t.Fatalf("got %T: %v", err, err)
		}
		expect(t, "seen", hint.Seen, httphint.Seen{Requests: 1, Status: 503, RetryAfter: 2 * time.Second, Class: strategies.ClassTransient})
	})
	t.Run("it adds nothing to what went well in the end", func(t *testing.T) {
		p := start(t, says(503), says(200))
		answer, err := under(p.ask(1), nil).Run(t.Context(), "")
		expect(t, "answer", answer, "well met")
		expect(t, "error", err, nil)
	})
	t.Run("it adds nothing where a success was misunderstood", func(t *testing.T) {
		p := start(t, says(503), says(204))
		_, err := under(p.ask(1), nil).Run(t.Context(), "")
		expect(t, "is the very same", err == errVague, true)
	})
	t.Run("it forgets a status when a later request gets no response", func(t *testing.T) {
		p := start(t, says(429, "Retry-After", "9"), drops)
		_, err := under(p.ask(1), nil).Run(t.Context(), "")
		if _, ok := errors.AsType[*httphint.Error](err); ok {
			t.Errorf("got the hint of an older response: %v", strategies.Classify(err))
		}
		expect(t, "wait", strategies.Classify(err).RetryAfter, 0)
	})
}

func TestRequestsReallySent(t *testing.T) {
	t.Run("it makes 12 requests where 4 were asked for an event an attempt", func(t *testing.T) {
		p := start(t, says(503))
		var events middlewaretest.Recorder
		guarded, err := middleware.WrapFunc(p.ask(2)).Named("bard").
			Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
			Around(middleware.StageAgent, httphint.Layer(httphint.Hidden(&events, "bard"))).
			Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := guarded.Run(t.Context(), ""); !errors.Is(err, errVague) {
			t.Errorf("got %v", err)
		}
		expect(t, "requests", p.served.Load(), 12)
		expect(t, "events", events.String(), `hidden_requests bard attempt=1 detail="3 requests where 1 was asked for: switch off the retries below"
hidden_requests bard attempt=2 detail="3 requests where 1 was asked for: switch off the retries below"
hidden_requests bard attempt=3 detail="3 requests where 1 was asked for: switch off the retries below"
hidden_requests bard attempt=4 detail="3 requests where 1 was asked for: switch off the retries below"
`)
	})
	t.Run("it says so when it went well, too", func(t *testing.T) {
		p := start(t, drops, says(503), says(200))
		var told []httphint.Seen
		_, err := under(p.ask(2), func(_ context.Context, seen httphint.Seen) { told = append(told, seen) }).Run(t.Context(), "")
		expect(t, "error", err, nil)
		expect(t, "told", told, []httphint.Seen{{Requests: 3, Status: 200}})
	})
	t.Run("it says nothing of a single request", func(t *testing.T) {
		p := start(t, says(503))
		_, _ = under(p.ask(0), func(context.Context, httphint.Seen) { t.Error("told of one request") }).Run(t.Context(), "")
		expect(t, "requests", p.served.Load(), 1)
	})
	t.Run("it takes a redirect for the same request", func(t *testing.T) {
		moved := func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		}
		p := start(t, moved, moved, says(200))
		ctx, hint := httphint.With(t.Context())
		if _, err := p.once(ctx, p.url); err != nil {
			t.Fatal(err)
		}
		expect(t, "served", p.served.Load(), 3)
		expect(t, "seen", hint.Seen(), httphint.Seen{Requests: 1, Status: 200})
	})
	t.Run("it has nobody to tell without an observer", func(t *testing.T) {
		expect(t, "is nil", httphint.Hidden(nil, "bard") == nil, true)
	})
	t.Run("it tells a hint further up of the requests of an agent below", func(t *testing.T) {
		p := start(t, says(503))
		inner := under(p.ask(1), nil)
		ctx, hint := httphint.With(t.Context())
		_, _ = inner.Run(ctx, "")
		_, _ = inner.Run(ctx, "")
		expect(t, "seen", hint.Seen(), httphint.Seen{Requests: 4, Status: 503, Class: strategies.ClassTransient})
	})
	t.Run("it does without a hint", func(t *testing.T) {
		p := start(t, says(200))
		answer, err := p.once(t.Context(), p.url)
		expect(t, "answer", answer, "well met")
		expect(t, "error", err, nil)
		expect(t, "hint", httphint.From(t.Context()) == nil, true)
	})
}

func TestTransport(t *testing.T) {
	t.Run("it sends by the default transport", func(t *testing.T) {
		server := httptest.NewServer(says(200))
		t.Cleanup(server.Close)
		ctx, hint := httphint.With(t.Context())
		client := &http.Client{Transport: httphint.Transport{}}
		if _, err := (&provider{client: client}).once(ctx, server.URL); err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections()
		expect(t, "seen", hint.Seen(), httphint.Seen{Requests: 1, Status: 200})
	})
	t.Run("it passes on that idle connections are to be closed", func(t *testing.T) {
		base := &closer{}
		(&http.Client{Transport: httphint.Transport{Base: base}}).CloseIdleConnections()
		expect(t, "closed", base.closed, 1)
		(&http.Client{Transport: httphint.Transport{Base: httphint.Transport{Base: roundTrip(nil)}}}).CloseIdleConnections() // nobody to tell: must not panic
	})
	t.Run("it counts a request while it is still under way", func(t *testing.T) {
		ctx, hint := httphint.With(t.Context())
		var during httphint.Seen
		client := &http.Client{Transport: httphint.Transport{Base: roundTrip(func(*http.Request) (*http.Response, error) {
			during = hint.Seen()
			return nil, io.EOF
		})}}
		_, _ = (&provider{client: client}).once(ctx, "http://provider.example")
		expect(t, "seen", during, httphint.Seen{Requests: 1})
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestAttemptsSideBySide(t *testing.T) {
	t.Run("it keeps the hints of concurrent attempts apart", func(t *testing.T) {
		p := start(t, func(w http.ResponseWriter, r *http.Request) {
			says(429, "Retry-After", r.URL.Query().Get("wait"))(w, r)
		})
		runner := under(func(ctx context.Context, wait string) (string, error) { return p.once(ctx, p.url+"?wait="+wait) }, nil)
		var calls sync.WaitGroup
		for i := range 20 {
			wait := time.Duration(i+1) * time.Second
			calls.Go(func() {
				_, err := runner.Run(t.Context(), wait.String()[:len(wait.String())-1])
				expect(t, "wait", strategies.Classify(err).RetryAfter, wait)
			})
		}
		calls.Wait()
	})
	t.Run("it counts requests that one attempt sends side by side", func(t *testing.T) {
		p := start(t, says(200))
		ctx, hint := httphint.With(t.Context())
		var requests sync.WaitGroup
		for range 20 {
			requests.Go(func() { _, _ = p.once(ctx, p.url) })
		}
		requests.Wait()
		expect(t, "seen", hint.Seen(), httphint.Seen{Requests: 20, Status: 200})
	})
	t.Run("it lets an attempt that was left behind write to its own hint only", func(t *testing.T) {
		back, release := make(chan httphint.Seen, 1), make(chan struct{})
		p := start(t, says(503), says(429, "Retry-After", "3600")) // the one left behind comes second
		agent := func(ctx context.Context, _ string) (string, error) {
			if middleware.CallOf(ctx).Attempt() > 1 {
				defer close(release) // only now does the first one go on
				return p.once(ctx, p.url)
			}
			<-release
			_, err := p.once(context.WithoutCancel(ctx), p.url)
			back <- httphint.From(ctx).Seen()
			return "", err
		}
		guarded, err := middleware.WrapFunc(agent).
			Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Millisecond}}).
			HardTimeout(50*time.Millisecond, 2).
			Around(middleware.StageAgent, httphint.Layer(nil)).
			Build()
		if err != nil {
			t.Fatal(err)
		}
		_, err = guarded.Run(t.Context(), "")
		expect(t, "seen by the one left behind", <-back, httphint.Seen{Requests: 1, Status: 429, RetryAfter: time.Hour, Class: strategies.ClassRateLimited})
		hint, ok := errors.AsType[*httphint.Error](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		expect(t, "seen by the one that took its place", hint.Seen, httphint.Seen{Requests: 1, Status: 503, Class: strategies.ClassTransient})
	})
}

func TestStreams(t *testing.T) {
	tell := func(p *provider) middleware.Streamer[string, string] {
		return middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				text, err := p.once(ctx, p.url)
				yield(text, err)
			}
		})
	}
	t.Run("it waits as long as the provider asked before it asks again", func(t *testing.T) {
		p := start(t, says(429, "Retry-After-Ms", "5"), says(200))
		var events middlewaretest.Recorder
		guarded, err := middleware.WrapStream(tell(p)).
			Retry(strategies.Retry{Backoff: strategies.Delays{time.Microsecond}}).
			Around(middleware.StageAgent, httphint.Layer(httphint.Hidden(&events, "bard"))).
			Observe(&events).
			Build()
		if err != nil {
			t.Fatal(err)
		}
		chunks, err := middleware.Collect(guarded.Stream(t.Context(), ""))
		expect(t, "chunks", chunks, []string{"well met"})
		expect(t, "error", err, nil)
		expect(t, "requests", p.served.Load(), 2)
		expect(t, "events", events.Kinds(), []middleware.EventKind{middleware.EventAttemptFailed, middleware.EventRetryScheduled, middleware.EventRecovered})
		expect(t, "class", events.Events()[0].Class, strategies.ClassRateLimited)
		expect(t, "delay", events.Events()[1].Delay, 5*time.Millisecond)
	})
	t.Run("it leaves a stream alone that its reader has left", func(t *testing.T) {
		p := start(t, says(200))
		var events middlewaretest.Recorder
		scraping := middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for range tell(p).Stream(ctx, "") { // one good request, and then a bad one
				}
				start(t, says(404)).visit(ctx)
				yield("well met", nil)
			}
		})
		guarded, err := middleware.WrapStream(scraping).
			Retry(strategies.Retry{}).
			Around(middleware.StageAgent, httphint.Layer(nil)).
			Observe(&events).
			Build()
		if err != nil {
			t.Fatal(err)
		}
		for chunk, err := range guarded.Stream(t.Context(), "") {
			expect(t, "chunk", chunk, "well met")
			expect(t, "error", err, nil)
			break
		}
		expect(t, "events", events.String(), "")
	})
}

func (p *provider) visit(ctx context.Context) { _, _ = p.once(ctx, p.url) }

// What a client sends in secret costs as much as what it was asked for; what agents
// below have reported themselves is not charged twice.
func TestHiddenRequestsAreCharged(t *testing.T) {
	p := start(t, says(503))
	layer := httphint.Layer(nil)
	inner := middleware.Must(middleware.WrapFunc(p.ask(2)).Named("inner").Around(middleware.StageAgent, layer).Build())
	for _, tc := range []struct {
		it    string
		agent func(context.Context, string) (string, error)
		calls int
	}{
		{"it charges three requests as three calls", p.ask(2), 3},
		{"it charges one as one", p.ask(0), 1},
		{"it charges an agent that sends none", func(context.Context, string) (string, error) { return "", errVague }, 1},
		{"it leaves the requests of an agent below to that", inner.Run, 1 + 3},
		{"it charges its own beside those", func(ctx context.Context, q string) (string, error) {
			_, _ = inner.Run(ctx, q)
			return p.ask(1)(ctx, q)
		}, 3 + 2},
	} {
		t.Run(tc.it, func(t *testing.T) {
			outer := middleware.Must(middleware.WrapFunc(tc.agent).Named("outer").Around(middleware.StageAgent, layer).Build())
			expect(t, "calls", outer.Outcome(t.Context(), "").Usage.Calls, tc.calls)
		})
	}
}
