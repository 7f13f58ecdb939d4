package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type streamMember = middleware.StreamMember[string, string]

func streamPool(t testing.TB, s middleware.PoolSettings[string], members ...streamMember) *middleware.PoolStreamAgent[string, string] {
	t.Helper()
	p, err := middleware.PoolStream(s, members...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// breakersOf are the states of all members.
func breakersOf(p *middleware.PoolStreamAgent[string, string]) string {
	var all []string
	for _, m := range p.Health() {
		all = append(all, m.Breaker.String())
	}
	return strings.Join(all, " ")
}

func TestPoolStream(t *testing.T) {
	limited := strategies.WithRetryAfter(20*time.Second, ofClass(strategies.ClassRateLimited))
	cut := errors.New("connection reset")
	for _, tc := range []struct {
		it       string
		first    script
		with     func(*streamBuilder)
		sources  string
		seen     string
		fails    bool
		breakers string
		after    time.Duration
	}{
		{it: "asks another member for what fails before the first chunk", first: script{errSick},
			sources: "second:2", seen: "ho . end", breakers: "open closed"},
		{it: "does not wait for one that is limited", first: script{limited},
			sources: "second:2", seen: "ho . end", breakers: "held closed"},
		{it: "asks another for what fails before the commit, and says nothing of it", first: script{" ", errSick},
			with:    func(b *streamBuilder) { b.Commit(func(c string) bool { return strings.TrimSpace(c) != "" }) },
			sources: "second:2", seen: "ho . end", breakers: "open closed"},
		{it: "books what fails after the commit on the member, and it is final", first: script{"hi", cut},
			sources: "first:1", seen: "hi !cut_off", fails: true, breakers: "open closed"},
		{it: "books a stream without its end on the member", first: script{"hi"},
			with:    func(b *streamBuilder) { b.Complete(period) },
			sources: "first:1", seen: "hi !cut_off", fails: true, breakers: "closed closed"},
		{it: "books a first chunk that is late on the member", first: script{stalled{}},
			with:    func(b *streamBuilder) { b.Timeout(5 * time.Second) },
			sources: "second:2", seen: "ho . end", breakers: "open closed", after: 5 * time.Second},
		{it: "books a silence on the member", first: script{"hi", stalled{}},
			with:    func(b *streamBuilder) { b.Timeout(5 * time.Second).Idle(4 * time.Second) },
			sources: "first:1", seen: "hi !cut_off", fails: true, breakers: "open closed", after: 5 * time.Second},
		{it: "begins again with another, with Restart", first: script{"hi", cut},
			with:    func(b *streamBuilder) { b.Restart(marks) },
			sources: "second:2", seen: "hi <erase hi> ho . end", breakers: "open closed"},
		{it: "goes on with another, with Continue", first: script{"hi ", cut},
			with: func(b *streamBuilder) {
				b.Continue(1, func(_ context.Context, req string, _ []string) (string, bool) { return req, true })
			},
			sources: "first:1 second:2", seen: "hi  ho . end", breakers: "open closed"},
		{it: "books a panic on the member", first: script{func() { panic("no") }},
			sources: "first:0", seen: "!panic", fails: true, breakers: "open closed"},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one := &strategies.Breaker{Failures: 1, NoJitter: true}
				p := streamPool(t, inOrder(), streamMember{Name: "first", Agent: voices(tc.first), Breaker: one}, streamMember{Name: "second", Agent: voices(script{"ho", "."})})
				b := middleware.WrapStream(p).Retry(promptly)
				if tc.with != nil {
					tc.with(b)
				}
				start := time.Now()
				stream, outcome := streaming(t, b).Outcome(t.Context(), "hi")
				seen, err := hear(stream)
				expect(t, "seen", seen, tc.seen)
				expect(t, "fails", err != nil, tc.fails)
				expect(t, "breakers", breakersOf(p), tc.breakers)
				var sources []string
				for _, s := range outcome().Sources {
					sources = append(sources, fmt.Sprintf("%s:%d", s.Agent, s.Chunks))
				}
				if tc.sources != "first:0" {
					expect(t, "sources", strings.Join(sources, " "), tc.sources)
				}
				expect(t, "in flight", p.Health()[0].InFlight+p.Health()[1].InFlight, 0)
				if took := time.Since(start).Round(time.Second); took != tc.after {
					t.Errorf("it took %v, want %v", took, tc.after)
				}
			})
		})
	}
	t.Run("a reader who leaves says nothing about the member, which keeps the conversation", func(t *testing.T) {
		one := &strategies.Breaker{Failures: 1}
		s := middleware.PoolSettings[string]{Stay: func(string) string { return "chat" }}
		p := streamPool(t, s, streamMember{Name: "a", Agent: voices(script{"ho", "ho", "."}), Breaker: one}, streamMember{Name: "b", Agent: voices(script{"ho", "ho", "."})})
		g := streaming(t, middleware.WrapStream(p))
		for range 20 {
			for range g.Stream(t.Context(), "") {
				break
			}
		}
		expect(t, "breakers", breakersOf(p), "closed closed")
		if a, b := p.Health()[0].Asked, p.Health()[1].Asked; a*b != 0 {
			t.Errorf("%d and %d: the voice changed", a, b)
		}
	})
	t.Run("latency is the time until the commit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := streamPool(t, inOrder(), streamMember{Name: "a", Agent: voices(script{" ", 2 * time.Second, "ho", time.Minute, "."})})
			g := streaming(t, middleware.WrapStream(p).Commit(func(c string) bool { return c != " " }))
			_, _ = hear(g.Stream(t.Context(), ""))
			took := p.Health()[0].Latency
			p2 := streamPool(t, inOrder(), streamMember{Name: "a", Agent: voices(script{" ", 2 * time.Second, "ho", time.Minute, "."})})
			_, _ = hear(p2.Stream(t.Context(), ""))
			expect(t, "latency without a rule", p2.Health()[0].Latency, 1)
			expect(t, "latency", took, 2*time.Second)
		})
	})
	t.Run("one that comes back has proved itself when it speaks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{NoJitter: true, Failures: 1, OpenFor: 10 * time.Second}
			long := voices(script{errSick}, script{time.Second, "ho", time.Hour, "."})
			p := streamPool(t, inOrder(), streamMember{Name: "a", Agent: long, Breaker: b}, streamMember{Name: "b", Agent: voices(script{"b", "."})})
			g := streaming(t, middleware.WrapStream(p))
			_, _ = hear(g.Stream(t.Context(), ""))
			time.Sleep(10*time.Second + 1)
			var all sync.WaitGroup
			all.Go(func() { _, _ = hear(g.Stream(t.Context(), "")) })
			synctest.Wait()
			_, _ = hear(g.Stream(t.Context(), ""))
			expect(t, "asked while the first call is under way", long.called(), 2)
			expect(t, "the other", p.Health()[1].Asked, 1)
			time.Sleep(2 * time.Second)
			for range 3 {
				all.Go(func() { _, _ = hear(g.Stream(t.Context(), "")) })
				synctest.Wait()
			}
			expect(t, "asked after it has spoken, for a share", long.called(), 3)
			all.Wait()
		})
	})
	t.Run("nobody is left behind by a goroutine that ends, nor by a reader that panics", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		p := streamPool(t, inOrder(), streamMember{Name: "a", Breaker: b, Agent: voices(script{func() { runtime.Goexit() }})})
		var all sync.WaitGroup
		all.Go(func() { _, _ = hear(p.Stream(t.Context(), "")) })
		all.Wait()
		expect(t, "breaker", b.State(), strategies.StateOpen)
		p = streamPool(t, inOrder(), streamMember{Name: "a", Agent: voices(script{"ho"})})
		func() {
			defer func() { _ = recover() }()
			for range p.Stream(t.Context(), "") {
				panic("the reader's own")
			}
		}()
		expect(t, "breakers", breakersOf(p), "closed")
		expect(t, "in flight", p.Health()[0].InFlight, 0)
	})
	t.Run("all are held: it waits for the first that comes back, and goes on to a stand-in if that does not fit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			one := &strategies.Breaker{NoJitter: true}
			one.Hold(3*time.Second, errSick)
			p := streamPool(t, inOrder(), streamMember{Name: "a", Agent: voices(script{"ho", "."}), Breaker: one})
			g := streaming(t, middleware.WrapStream(p).Fallback("other", voices(script{"other", "."})))
			start := time.Now()
			seen, _ := hear(g.Stream(t.Context(), ""))
			expect(t, "seen", seen, "ho . end")
			expect(t, "after", time.Since(start).Round(time.Millisecond), 3*time.Second)
			one.Hold(time.Hour, errSick)
			seen, _ = hear(g.Stream(t.Context(), ""))
			expect(t, "seen", seen, "other . end")
		})
	})
	t.Run("a member may be guarded: its own layers are in force, and its retries are not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sick := voices(script{stalled{}})
			inner := streaming(t, middleware.WrapStream(sick).Named("inner").Retry(promptly).CircuitBreaker(&strategies.Breaker{Failures: 1, NoJitter: true}).Timeout(2*time.Second))
			p := streamPool(t, inOrder(), streamMember{Name: "first", Agent: inner}, streamMember{Name: "second", Agent: voices(script{"ho", "."})})
			start := time.Now()
			stream, outcome := streaming(t, middleware.WrapStream(p).Retry(promptly)).Outcome(t.Context(), "")
			seen, _ := hear(stream)
			expect(t, "seen", seen, "ho . end")
			expect(t, "by", outcome().ServedBy, "second")
			expect(t, "after", time.Since(start).Round(time.Second), 2*time.Second)
			expect(t, "asked", sick.called(), 1)
			expect(t, "breakers", breakersOf(p), "open closed")
		})
	})
	t.Run("a pool stands in for another agent", func(t *testing.T) {
		p := streamPool(t, inOrder(), streamMember{Name: "a", Agent: voices(script{errSick}), Breaker: &strategies.Breaker{Failures: 2}}, streamMember{Name: "b", Agent: voices(script{"ho", "."})})
		g := streaming(t, middleware.WrapStream(voices(script{errSick})).Fallback("backup", p))
		_, _ = hear(g.Stream(t.Context(), ""))
		_, _ = hear(g.Stream(t.Context(), ""))
		seen, err := hear(g.Stream(t.Context(), ""))
		expect(t, "seen", seen, "ho . end")
		expect(t, "error", err, nil)
	})
	for name, members := range map[string][]streamMember{
		"no member": nil, "a nil agent": {{Name: "a"}}, "a nameless one": {{Agent: voices(script{"."})}},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			_, err := middleware.PoolStream(inOrder(), members...)
			expectIs(t, err, strategies.ErrConfig)
		})
	}
	t.Run("one that was not built says so", func(t *testing.T) {
		_, err := hear((*middleware.PoolStreamAgent[string, string])(nil).Stream(t.Context(), ""))
		expectIs(t, err, strategies.ErrConfig)
	})
}

// What a pool costs a healthy stream, beside one without.
func TestPoolStreamAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	agent := counting(3)
	p, err := middleware.PoolStream(middleware.PoolSettings[string]{}, middleware.StreamMember[string, int]{Name: "a", Agent: agent}, middleware.StreamMember[string, int]{Name: "b", Agent: agent})
	if err != nil {
		t.Fatal(err)
	}
	allocations := func(agent middleware.Streamer[string, int]) float64 {
		g, err := middleware.WrapStream(agent).Build()
		if err != nil {
			t.Fatal(err)
		}
		read := func(stream iter.Seq2[int, error]) { _, _ = sum(stream) }
		return testing.AllocsPerRun(100, func() { read(g.Stream(t.Context(), "")) })
	}
	if plain, pooled := allocations(agent), allocations(p); pooled > plain {
		t.Errorf("%v allocations, and %v without the pool", pooled, plain)
	}
}
