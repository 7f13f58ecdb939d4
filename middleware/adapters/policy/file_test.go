package policy_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/policy"
	"github.com/understudy-go/understudy/strategies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errSick = errors.New("the agent is sick")

// house is a file that can be written, with what was told of it.
type house struct {
	t    *testing.T
	path string
	file *policy.File
	mu   sync.Mutex
	told []policy.Change
}

func open(t *testing.T, text string) *house {
	t.Helper()
	h := &house{t: t, path: filepath.Join(t.TempDir(), "policy.yaml")}
	h.write(text)
	file, err := policy.Open(h.path, policy.Options{Told: func(c policy.Change) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = append(h.told, c)
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.file = file
	return h
}

func (h *house) write(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) reload(text string) {
	h.t.Helper()
	h.write(text)
	if err := h.file.Reload(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.told) == 0 {
		return ""
	}
	return fmt.Sprint(len(h.told), " ", strings.ReplaceAll(h.told[len(h.told)-1].String(), h.path, "policy.yaml"))
}

func same[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

type builder = middleware.Builder[string, string]

func guard(t *testing.T, h *house, agent string, run func(ctx context.Context, req string) (string, error)) *middleware.Guarded[string, string] {
	t.Helper()
	g, err := policy.Guard(h.file, agent, func(*policy.Recipe) *builder { return middleware.WrapFunc(run) })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func moody(_ context.Context, req string) (string, error) {
	if strings.HasPrefix(req, "fail") {
		return "", errSick
	}
	return "yes", nil
}

func TestReload(t *testing.T) {
	t.Run("it gives all agents new settings, and keeps what they know", func(t *testing.T) {
		h := open(t, "defaults:\n  circuit_breaker: {failures: 2}\nagents:\n  a: {}\n  b: {circuit_breaker: {failures: 1}}\n")
		a, b, c := guard(t, h, "a", moody), guard(t, h, "b", moody), guard(t, h, "c", moody)
		for _, g := range []*middleware.Guarded[string, string]{a, b, c} {
			_, _ = g.Run(t.Context(), "fail")
		}
		same(t, "b", b.Health().Breaker, strategies.StateOpen)
		h.reload("defaults:\n  circuit_breaker: {failures: 3}\n  retry: {max_retries: 1, backoff: [0s]}\n")
		same(t, "told", h.last(), "1 policy.yaml holds now for [a b c]")
		same(t, "b", b.Health().Breaker, strategies.StateOpen)
		same(t, "a's failures", a.Health().Failures, 1)
		_, _ = a.Run(t.Context(), "fail")
		same(t, "a: three failures in all", a.Health().Breaker, strategies.StateOpen)
		same(t, "c: who is in no file has a breaker of its own", c.Health().Breaker, strategies.StateClosed)
		same(t, "name", a.Name(), "a")
	})
	t.Run("it keeps the old policy of a broken file, and says so once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, "agents:\n  a: {timeout: 1s}\n")
			g := guard(t, h, "a", func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() })
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { h.file.Watch(ctx, 0); close(ended) }()
			takes := func(want time.Duration) {
				t.Helper()
				start := time.Now()
				if _, err := g.Run(t.Context(), "x"); err == nil {
					t.Error("no error")
				}
				same(t, "timeout", time.Since(start), want)
			}
			time.Sleep(time.Minute)
			same(t, "told of nothing", h.last(), "")
			h.write("agents:\n  a: {timeout: 2}\n")
			time.Sleep(time.Minute)
			same(t, "told", h.last(), "1 policy.yaml was not taken, the old policy stays: policy.yaml:2:16: agents.a.timeout: has no unit: write 2s for seconds, or 2ms for milliseconds")
			takes(time.Second)
			if err := os.Remove(h.path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			same(t, "told of a file that is gone", h.last(), "2 policy.yaml was not taken, the old policy stays: open policy.yaml: no such file or directory")
			takes(time.Second)
			h.write("agents:\n  a: {timeout: 2s}\n")
			time.Sleep(time.Minute)
			same(t, "told", h.last(), "3 policy.yaml holds now for [a]")
			takes(2 * time.Second)
			cancel()
			<-ended
		})
	})
	t.Run("it is all or nothing: what one agent cannot have, none gets", func(t *testing.T) {
		h := open(t, "agents: {}\n")
		a := guard(t, h, "a", moody)
		b, err := policy.Guard(h.file, "b", func(*policy.Recipe) *builder { return middleware.WrapFunc(moody).Timeout(time.Minute) })
		if err != nil {
			t.Fatal(err)
		}
		h.write("defaults: {timeout: 3s}\n")
		err = h.file.Reload()
		if err == nil || !strings.Contains(err.Error(), `agent "b": understudy: Timeout is set twice`) {
			t.Fatalf("error %v", err)
		}
		for _, g := range []*middleware.Guarded[string, string]{a, b} {
			same(t, "bounded", g.Explain().Bounded, g == b)
		}
	})
	t.Run("it lets those who share a breaker share it, before and after", func(t *testing.T) {
		text := "defaults:\n  circuit_breaker: {share: openai, failures: %d}\n  retry: {backoff: [0s], max_retries: 1, budget: {share: all, capacity: 10}}\nagents: {a: {}, b: {}, c: {circuit_breaker: {share: other}, retry: {budget: {share: none}}}}\n"
		h := open(t, fmt.Sprintf(text, 3))
		a, b, c := guard(t, h, "a", moody), guard(t, h, "b", moody), guard(t, h, "c", moody)
		_, _ = a.Run(t.Context(), "fail")
		h.reload(fmt.Sprintf(text, 4))
		h.reload(fmt.Sprintf(text, 4)) // and once more
		_, _ = b.Run(t.Context(), "fail")
		same(t, "a", a.Health().Breaker, strategies.StateOpen)
		same(t, "c", c.Health().Breaker, strategies.StateClosed)
		h.reload("defaults:\n  circuit_breaker: {share: openai}\n")
		same(t, "c shares it now", c.Health().Breaker, strategies.StateOpen)
	})
	t.Run("it has streams and keys too", func(t *testing.T) {
		h := open(t, "agents:\n  a: {circuit_breaker: {failures: 1}, keys: {most: 5}}\n")
		by := func(req string) string { return req[len(req)-1:] }
		g, err := policy.GuardStream(h.file, "a", func(r *policy.Recipe) *middleware.StreamBuilder[string, string] {
			return middleware.WrapStreamFunc(func(ctx context.Context, req string) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) { yield(moody(ctx, req)) }
			}).By(by, *r.Keys)
		})
		if err != nil {
			t.Fatal(err)
		}
		read := func(req string) error { _, err := middleware.Collect(g.Stream(t.Context(), req)); return err }
		_ = read("fail 1")
		h.reload("agents:\n  a: {circuit_breaker: {failures: 2}, keys: {most: 6}}\n")
		if err := read("sing 1"); !errors.Is(err, strategies.ErrRejected) {
			t.Errorf("its breaker is closed: %v", err)
		}
		if err := read("sing 2"); err != nil {
			t.Error(err)
		}
		h.write("agents: {}\n") // no keys, which the function relies on
		if err := h.file.Reload(); err == nil {
			t.Error("a panic of the function is no error")
		}
	})
	t.Run("it refuses nothing at all", func(t *testing.T) {
		h := open(t, "agents: {}\n")
		_, one := policy.Guard[string, string](h.file, "a", nil)
		_, two := policy.GuardStream[string, string](nil, "a", nil)
		_, three := policy.Guard(h.file, "a", func(*policy.Recipe) *builder { return middleware.Wrap[string, string](nil) })
		_, four := policy.Guard(h.file, "a", func(*policy.Recipe) *builder { panic("at home") })
		_, five := policy.Open(h.path+"x", policy.Options{})
		if one == nil || two == nil || three == nil || four == nil || five == nil {
			t.Error(one, two, three, four, five)
		}
		h.write(strings.Repeat("#", 1<<20) + "\n")
		if _, err := policy.Open(h.path, policy.Options{}); err == nil {
			t.Error("no bound")
		}
	})
}

// A thousand calls a second for a minute, and a new file every quarter of one: no call is
// lost, and no count, no hold, no slot. Time is virtual.
func TestReloadUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := func(n int) string {
			return fmt.Sprintf("defaults:\n  timeout: %ds\n  circuit_breaker: {failures: %d, open_for: %ds}\n  bulkhead: {max_concurrent: %d, max_wait: 5s}\n  pace: {requests_per_minute: %d, burst: 20s, max_wait: 10s}\n  usage_limits: {calls: %d}\nagents: {a: {}, held: {}}\n",
				20+n%3, 901, 60+n%2, 900+n%7, 90_000+n%5, 9+n%2)
		}
		h := open(t, text(0))
		var made, slow atomic.Int64
		a := guard(t, h, "a", func(ctx context.Context, req string) (string, error) {
			made.Add(1)
			select {
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
				slow.Add(1)
				return "", ctx.Err()
			}
			return req, nil
		})
		held := guard(t, h, "held", func(context.Context, string) (string, error) {
			return "", strategies.WithRetryAfter(2*time.Minute, strategies.WithClass(strategies.ClassRateLimited, errSick))
		})
		_, _ = held.Run(t.Context(), "x")
		var group sync.WaitGroup
		var answered atomic.Int64
		const seconds, each = 60, 1000
		for n := range seconds * each {
			if n%250 == 0 {
				h.reload(text(n / 250))
			}
			group.Go(func() {
				req := fmt.Sprint(n)
				answer, err := a.Run(t.Context(), req)
				if err != nil || answer != req {
					t.Errorf("call %d: %q, %v", n, answer, err)
					return
				}
				answered.Add(1)
			})
			time.Sleep(time.Second / each)
		}
		group.Wait()
		same(t, "answered", answered.Load(), seconds*each)
		same(t, "calls made", made.Load(), seconds*each)
		same(t, "reloads", len(h.told), seconds*4)
		health := a.Health()
		same(t, "in flight and waiting", health.InFlight+health.Waiting, 0)
		if _, err := held.Run(t.Context(), "x"); !errors.Is(err, strategies.ErrRejected) || held.Health().RetryAfter < 55*time.Second {
			t.Errorf("the hold is lost: %v, %v", err, held.Health().RetryAfter)
		}
	})
}

// Failures while files change: each is counted.
func TestReloadLosesNoCount(t *testing.T) {
	text := func(n int) string {
		return fmt.Sprintf("agents: {a: {circuit_breaker: {failures: 401, open_for: %ds}}}\n", 30+n%3)
	}
	h := open(t, text(0))
	g := guard(t, h, "a", moody)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 100 {
				_, _ = g.Run(t.Context(), "fail")
			}
		})
	}
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	for n := 0; ; n++ {
		h.reload(text(n))
		select {
		case <-ended:
			same(t, "failures", g.Health().Failures, 400)
			same(t, "state", g.Health().Breaker, strategies.StateClosed)
			_, _ = g.Run(t.Context(), "fail")
			same(t, "state", g.Health().Breaker, strategies.StateOpen)
			return
		default:
		}
	}
}

func TestShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const inForce = "agents:\n  a: {circuit_breaker: {failures: 5}, timeout: 30s, retry: {max_retries: 1, backoff: [0s]}}\n"
		h := open(t, inForce)
		g := guard(t, h, "a", func(_ context.Context, req string) (string, error) {
			if req == "slow" {
				time.Sleep(10 * time.Second)
			}
			if req == "blocked" {
				return "", strategies.WithClass(strategies.ClassBlocked, errSick)
			}
			return moody(t.Context(), req)
		})
		same(t, "no shadow", h.file.Shadows() == nil, true)
		h.reload("shadow: true\nagents:\n  a: {circuit_breaker: {failures: 2}, timeout: 5s, retry: {max_retries: 3, backoff: [0s]}, classes: {blocked: {retry: true}}, bulkhead: {max_concurrent: 1}, pace: {requests_per_minute: 600}}\n")
		same(t, "told", h.last(), "1 policy.yaml is judged by, and not acted on, for [a]")
		run := func(req string) { _, _ = g.Run(t.Context(), req) }
		run("slow")
		run("blocked")
		run("sing")
		run("fail") // two attempts: its breaker opens
		run("sing")
		s := h.file.Shadows()["a"]
		same(t, "shadow", fmt.Sprintf("%+v", s), "{Attempts:6 Refused:1 Made:0 TimedOut:1 Judged:map[blocked → blocked:1] Retried:2 Abandoned:0}")
		same(t, "in force", g.Health().Breaker, strategies.StateClosed)
		same(t, "its policy", *h.file.Policy().Recipe("a").Timeout, 30*time.Second)
		h.reload(strings.Replace(inForce, "failures: 5", "failures: 2", 1))
		same(t, "no shadow any more", h.file.Shadows() == nil, true)
		run("fail")
		same(t, "in force", g.Health().Breaker, strategies.StateOpen)
	})
	t.Run("a first file may be one", func(t *testing.T) {
		h := open(t, "shadow: true\nagents: {a: {timeout: 1s, circuit_breaker: {failures: 1}}}\n")
		g := guard(t, h, "a", moody)
		same(t, "bounded", g.Explain().Bounded, false)
		_, _ = g.Run(t.Context(), "fail")
		_, _ = g.Run(t.Context(), "sing")
		same(t, "refused", h.file.Shadows()["a"].Refused, 1)
	})
}
