package middleware_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// counting is the barest agent: n chunks, no clock, no allocation.
func counting(n int) middleware.Streamer[string, int] {
	said := func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
	return middleware.StreamFunc(func(context.Context, string) iter.Seq2[int, error] { return said })
}

type guardedCount = middleware.GuardedStream[string, int]

// counted is an agent in the usual layers.
func counted(t testing.TB, n int, also func(*middleware.StreamBuilder[string, int])) *guardedCount {
	t.Helper()
	b := middleware.WrapStream(counting(n)).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).
		Fallback("sage", counting(n)).Degrade(strategies.LevelMinimal, counting(n))
	if also != nil {
		also(b)
	}
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func withIdle(b *middleware.StreamBuilder[string, int]) { b.Idle(time.Minute) }

func sum(stream iter.Seq2[int, error]) (total int, last error) {
	for n, err := range stream {
		total, last = total+n, err
	}
	return total, last
}

// BenchmarkStreamChunk is the price of a chunk: bare, in the layers, and with
// the idle clock.
func BenchmarkStreamChunk(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		sum(counting(b.N).Stream(b.Context(), ""))
	})
	for name, also := range map[string]func(*middleware.StreamBuilder[string, int]){"guarded": nil, "guarded with idle": withIdle} {
		b.Run(name, func(b *testing.B) {
			g := counted(b, b.N, also)
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := sum(g.Stream(b.Context(), "")); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkStreamOpen is the price of a stream of one chunk beside the same
// chain around an agent that answers at once.
func BenchmarkStreamOpen(b *testing.B) {
	ctx := b.Context()
	b.Run("bare stream", func(b *testing.B) {
		agent := counting(1)
		b.ReportAllocs()
		for b.Loop() {
			sum(agent.Stream(ctx, ""))
		}
	})
	for name, timeout := range map[string]time.Duration{"": 0, " with timeout": time.Minute} {
		unary, stream := openings(b, timeout)
		b.Run("unary chain"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				unary(ctx)
			}
		})
		b.Run("stream chain"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				stream(ctx)
			}
		})
	}
}

func listens(int, error) bool { return true }

// openings are one call each of the same chain around an agent that answers and
// around one that streams.
func openings(t testing.TB, timeout time.Duration) (unary, stream func(context.Context)) {
	answers := middleware.Func(func(context.Context, string) (int, error) { return 1, nil })
	b := middleware.Wrap(answers).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).
		Fallback("sage", middleware.Func(func(context.Context, string) (int, error) { return 1, nil })).Degrade(strategies.LevelMinimal, answers)
	if timeout > 0 {
		b.Timeout(timeout)
	}
	g := built(t, b)
	s := counted(t, 1, func(b *middleware.StreamBuilder[string, int]) {
		if timeout > 0 {
			b.Timeout(timeout)
		}
	})
	unary = func(ctx context.Context) { _, _ = g.Run(ctx, "") }
	stream = func(ctx context.Context) { s.Stream(ctx, "")(listens) } // a loop's body is a closure of the reader's own
	return unary, stream
}

// The budget: nothing a chunk, and at most three allocations a stream.
func TestStreamAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	const long = 20_000
	for name, also := range map[string]func(*middleware.StreamBuilder[string, int]){
		"": nil, "idle": withIdle,
		"rules": func(b *middleware.StreamBuilder[string, int]) {
			b.Validate(func(context.Context, string, int) error { return nil }).Complete(func(n int) bool { return n >= 0 })
		},
	} {
		short, twice := counted(t, long, also), counted(t, 2*long, also)
		read := func(g *guardedCount) float64 {
			return testing.AllocsPerRun(20, func() { sum(g.Stream(t.Context(), "")) })
		}
		if a, b := read(short), read(twice); b-a >= 1 {
			t.Errorf("%s: %d more chunks cost %v allocations, want none", name, long, b-a)
		}
	}
	for _, timeout := range []time.Duration{0, time.Minute} {
		unary, stream := openings(t, timeout)
		base := testing.AllocsPerRun(500, func() { unary(t.Context()) })
		got := testing.AllocsPerRun(500, func() { stream(t.Context()) })
		if got > base+3 {
			t.Errorf("opening a stream (timeout %v) costs %v allocations, the same call in the unary chain %v: want at most 3 more", timeout, got, base)
		}
	}
}

// A stream of a million chunks needs no more memory than one of a few thousand.
func TestStreamInConstantMemory(t *testing.T) {
	grows := func(n int) uint64 {
		g := counted(t, n, withIdle)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		total, err := sum(g.Stream(t.Context(), ""))
		runtime.ReadMemStats(&after)
		expectIs(t, err, nil)
		expect(t, "the sum of all chunks", total, n*(n-1)/2)
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := grows(5_000), grows(1_000_000)
	// 64 KiB is for what the runtime does beside; a chunk that was kept would show as 8 MB.
	if many > few+64<<10 {
		t.Errorf("a million chunks allocated %d bytes, five thousand %d", many, few)
	}
	t.Run("but a buffer has a limit", func(t *testing.T) {
		g := counted(t, 1_000_000, func(b *middleware.StreamBuilder[string, int]) { b.Buffer(1000) })
		_, err := sum(g.Stream(t.Context(), ""))
		expect(t, "class", recoveryOf(t, err).Class, strategies.ClassContextOverflow)
	})
}

// One guarded agent serves any number of readers at a time.
func TestStreamManyReaders(t *testing.T) {
	const readers, chunks = 1000, 50
	slots := &strategies.Bulkhead{MaxConcurrent: readers}
	g := counted(t, chunks, func(b *middleware.StreamBuilder[string, int]) {
		b.Bulkhead(slots).Timeout(time.Minute).Idle(time.Minute).Validate(func(context.Context, string, int) error { return nil })
	})
	var all sync.WaitGroup
	begin := make(chan struct{})
	errs := make(chan error, readers)
	for i := range readers {
		all.Go(func() {
			<-begin
			stream, outcome := g.Outcome(t.Context(), "tell")
			switch total, err := sum(stream); {
			case err != nil:
				errs <- err
			case total != chunks*(chunks-1)/2 || outcome().Chunks != chunks:
				errs <- fmt.Errorf("reader %d heard %d, %+v", i, total, outcome())
			}
		})
	}
	close(begin)
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	expect(t, "slots taken", slots.InFlight(), 0)
}
