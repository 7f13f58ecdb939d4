package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func soonHedged() *strategies.Hedge {
	return &strategies.Hedge{After: time.Second, MaxRatio: 1, ReadOnly: true}
}

func wraps(scripts ...script) *streamBuilder { return middleware.WrapStream(voices(scripts...)) }

func TestStreamHedge(t *testing.T) {
	const sec = time.Second
	for _, tc := range []struct {
		it    string
		chain func() *streamBuilder
		seen  string
		after time.Duration // until the loop has ended
		by    string
	}{
		{"a quick first chunk asks nobody else", func() *streamBuilder {
			return wraps(script{sec / 2, "a", 5 * sec, "b"}).Fallback("sage", voices(script{"s"}))
		}, "a b end", 5*sec + sec/2, "agent"},
		{"a slow one asks a stand-in too, and the first chunk decides", func() *streamBuilder {
			return wraps(script{time.Hour, "late"}).Fallback("sage", voices(script{sec, "s", sec, "t"}))
		}, "s t end", 3 * sec, "sage"},
		{"the agent may still be first", func() *streamBuilder {
			return wraps(script{2 * sec, "a", "b"}).Fallback("sage", voices(script{time.Hour, "s"}))
		}, "a b end", 2 * sec, "agent"},
		{"without a stand-in it is asked itself once more", func() *streamBuilder {
			return wraps(script{time.Hour, "late"}, script{sec, "a"})
		}, "a end", 2 * sec, "agent"},
		{"a first chunk that says nothing does not decide", func() *streamBuilder {
			return wraps(script{"(hm)", time.Hour, "late"}).Fallback("sage", voices(script{"(role)", sec, "s"})).
				Commit(func(c string) bool { return c[0] != '(' })
		}, "(role) s end", 2 * sec, "sage"},
		{"a buffered answer decides when it is whole", func() *streamBuilder {
			return wraps(script{"a", 9 * sec, "b"}).Fallback("sage", voices(script{sec, "s", sec, "t"})).Buffer(10)
		}, "s t end", 3 * sec, "sage"},
		{"a second that fails leaves the first its time", func() *streamBuilder {
			return wraps(script{5 * sec, "a"}).Fallback("sage", voices(script{errGone}))
		}, "a end", 5 * sec, "agent"},
		{"a first that fails leaves the second its time", func() *streamBuilder {
			return wraps(script{2 * sec, errSick}).Fallback("sage", voices(script{3 * sec, "s"}))
		}, "s end", 4 * sec, "sage"},
		{"if both fail, the others stand in, and neither is asked again", func() *streamBuilder {
			return wraps(script{2 * sec, errSick}).Fallback("sage", voices(script{2 * sec, errGone}, script{"again"})).Fallback("third", voices(script{"x"}))
		}, "x end", 3 * sec, "third"},
		{"one whose breaker is open is not asked", func() *streamBuilder {
			b := &strategies.Breaker{}
			b.Isolate()
			return wraps(script{3 * sec, "a"}).Fallback("sage", streaming(t, wraps(script{"s"}).Named("sage").CircuitBreaker(b)))
		}, "a end", 3 * sec, "agent"},
		{"a guarded stand-in speaks by its own rules", func() *streamBuilder {
			own := wraps(script{"s", sec, "."}).Named("sage").Complete(ends)
			return wraps(script{time.Hour}).Fallback("sage", streaming(t, own))
		}, "s . end", 2 * sec, "sage"},
		{"it is retried in its own lane", func() *streamBuilder {
			return wraps(script{2 * sec, errSick}, script{sec, "a"}).Retry(promptly).Fallback("sage", voices(script{time.Hour}))
		}, "a end", 3 * sec, "agent"},
		{"a winner that is cut off is final", func() *streamBuilder {
			return wraps(script{time.Hour}).Fallback("sage", voices(script{"s", errLine})).Fallback("third", voices(script{"x"}))
		}, "s !cut_off", sec, ""},
		{"a winner that is cut off is taken back where readers can", func() *streamBuilder {
			return wraps(script{time.Hour}).Fallback("sage", voices(script{"s", errLine})).Fallback("third", voices(script{"x"})).Restart(marks)
		}, "s <erase s> x end", sec, "third"},
		{"and continued where that was asked for, from all that was sent", func() *streamBuilder {
			return wraps(script{time.Hour}, script{2 * sec, "b", errLine}, script{"c"}).Fallback("sage", voices(script{"s", errLine}, script{time.Hour})).
				Continue(2, func(_ context.Context, _ string, sent []string) (string, bool) { return strings.Join(sent, "+"), true })
		}, "s b c end", 3 * sec, "agent"},
		{"a panic is one's own", func() *streamBuilder {
			return wraps(script{3 * sec, "a"}).Fallback("sage", voices(script{func() { panic("no") }}))
		}, "a end", 3 * sec, "agent"},
		{"so is a goroutine that ends", func() *streamBuilder {
			return wraps(script{3 * sec, "a"}).Fallback("sage", voices(script{func() { runtime.Goexit() }}))
		}, "a end", 3 * sec, "agent"},
		{"a word too many changes nothing", func() *streamBuilder {
			deaf := func(yield func(string, error) bool) {
				for range 10 {
					yield("deaf", nil)
				}
			}
			return wraps(script{sec, "a"}).Fallback("sage", voices(script{deaf}))
		}, "", sec, ""},
	} {
		t.Run(tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				stream, outcome := streaming(t, tc.chain().Hedge(soonHedged())).Outcome(t.Context(), "")
				seen, _ := hear(stream)
				if tc.seen == "" { // either may be first, but one voice is heard
					if seen != "a end" && seen != strings.Repeat("deaf ", 10)+"end" {
						t.Errorf("heard %q", seen)
					}
					return
				}
				expect(t, "heard", seen, tc.seen)
				expect(t, "after", time.Since(start), tc.after)
				expect(t, "served by", outcome().ServedBy, tc.by)
			})
		})
	}
	t.Run("the loser is told to stop at the first chunk, and its cost is booked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stopped := make(chan time.Duration, 1)
			start := time.Now()
			slow := middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					<-ctx.Done()
					stopped <- time.Since(start)
					time.Sleep(time.Second) // it takes its time to end
					middleware.CallOf(ctx).Spent(strategies.Usage{TokensOut: 7})
					yield("", ctx.Err())
				}
			})
			stream, outcome := streaming(t, middleware.WrapStream(slow).Fallback("sage", voices(script{time.Second, "s", time.Minute, "t"})).Hedge(soonHedged())).Outcome(t.Context(), "")
			seen, _ := hear(stream)
			expect(t, "heard", seen, "s t end")
			expect(t, "stopped after", <-stopped, 2*time.Second)
			expect(t, "cost", outcome().Usage, strategies.Usage{Calls: 2, TokensOut: 7})
		})
	})
	t.Run("the stream waits for a loser that takes longer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var ended atomic.Bool
			slow := middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
				return func(func(string, error) bool) { <-ctx.Done(); time.Sleep(time.Minute); ended.Store(true) }
			})
			seen, _ := hear(streaming(t, middleware.WrapStream(slow).Fallback("sage", voices(script{"s"})).Hedge(soonHedged())).Stream(t.Context(), ""))
			expect(t, "heard", seen, "s end")
			expect(t, "ended", ended.Load(), true)
		})
	})
	t.Run("the one that lost is nobody's failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			g := streaming(t, wraps(script{stalled{}}).CircuitBreaker(b).Retry(promptly).Fallback("sage", voices(script{"s"})).Hedge(soonHedged()))
			for range 5 {
				seen, _ := hear(g.Stream(t.Context(), ""))
				expect(t, "heard", seen, "s end")
			}
			expect(t, "breaker", b.State(), strategies.StateClosed)
			expect(t, "failures", g.Health().Failures, 0)
		})
	})
	t.Run("an agent whose breaker is suspicious is not asked twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1, OpenFor: time.Minute}
			agent := voices(script{errSick}, script{5 * time.Second, "a"})
			g := streaming(t, middleware.WrapStream(agent).CircuitBreaker(b).Hedge(soonHedged()))
			_, _ = hear(g.Stream(t.Context(), ""))
			time.Sleep(2 * time.Minute)
			seen, _ := hear(g.Stream(t.Context(), ""))
			expect(t, "heard", seen, "a end")
			expect(t, "calls", agent.called(), 2)
		})
	})
	t.Run("second streams are bounded by a ratio", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sage := voices(script{"s"})
			g := streaming(t, wraps(script{2 * time.Second, "a"}).Fallback("sage", sage).
				Hedge(&strategies.Hedge{After: time.Second, MaxRatio: 0.05, ReadOnly: true}))
			for range 1000 {
				_, _ = hear(g.Stream(t.Context(), ""))
			}
			if n := sage.called(); n < 49 || n > 60 {
				t.Errorf("%d of 1000 streams were asked for twice", n)
			}
		})
	})
	t.Run("it learns how long a first chunk takes, not the whole", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			agent := middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
				lines := script{time.Second, "a", time.Minute, "b"}
				if n.Add(1)%20 == 0 {
					lines = script{time.Hour, "late"}
				}
				return func(yield func(string, error) bool) { recite(ctx, lines, yield) }
			})
			g := streaming(t, middleware.WrapStream(agent).Fallback("sage", voices(script{time.Second, "s"})).Hedge(&strategies.Hedge{MaxRatio: 1, ReadOnly: true}))
			for i := range 100 {
				start, first := time.Now(), time.Duration(0)
				for range g.Stream(t.Context(), "") {
					first = time.Since(start)
					break
				}
				if i > 40 && first > 3*time.Second {
					t.Fatalf("stream %d spoke after %v", i, first)
				}
			}
		})
	})
	t.Run("a reader who leaves ends both", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stream, outcome := streaming(t, wraps(script{time.Hour}).Fallback("sage", voices(script{"s", time.Hour, "t"})).Hedge(soonHedged())).Outcome(t.Context(), "")
			for range stream {
				break
			}
			o := outcome()
			expect(t, "left", o.Left, true)
			expect(t, "chunks", o.Chunks, 1)
		})
	})
	t.Run("a panic in the loop's body passes through", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			g := streaming(t, wraps(script{time.Hour}).CircuitBreaker(b).Fallback("sage", voices(script{"s", "t"})).Degrade(strategies.LevelMinimal, voices(script{"less"})).Hedge(soonHedged()))
			defer func() {
				expect(t, "panic", recover(), any("mine"))
				expect(t, "breaker", b.State(), strategies.StateClosed)
			}()
			for range g.Stream(t.Context(), "") {
				panic("mine")
			}
		})
	})
	t.Run("a caller who gives up ends both", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := hear(streaming(t, wraps(script{stalled{}}).Fallback("sage", voices(script{stalled{}})).Hedge(soonHedged())).Stream(ctx, ""))
			expect(t, "ended by the caller", errors.Is(err, context.DeadlineExceeded), true)
		})
	})
	t.Run("it refuses what may not be asked twice", func(t *testing.T) {
		_, err := wraps(script{"a"}).Hedge(&strategies.Hedge{}).Build()
		expectIs(t, err, strategies.ErrConfig)
	})
	t.Run("Explain counts the second", func(t *testing.T) {
		expect(t, "calls", streaming(t, wraps(script{"a"}).Hedge(soonHedged())).Explain().Calls, 2)
	})
}

// Whatever the two say and however they end, a reader hears one voice: a prefix of
// what one of them said, without a word of the other, and one end. Nobody is left
// behind, which the bubble sees.
func TestStreamHedgeOneVoice(t *testing.T) {
	const seeds = 3000
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 13))
			speak := func(who string) script {
				var lines script
				for i := range r.IntN(4) {
					if r.IntN(2) == 0 {
						lines = append(lines, time.Duration(r.IntN(4))*time.Second)
					}
					lines = append(lines, fmt.Sprint(who, i))
				}
				switch r.IntN(5) {
				case 0:
					lines = append(lines, errLine)
				case 1:
					lines = append(lines, stalled{})
				case 2:
					lines = append(lines, func() { panic("no") })
				}
				return lines
			}
			b := wraps(speak("a"), speak("b"), speak("c")).Fallback("sage", voices(speak("s"), speak("t"))).Hedge(soonHedged())
			if r.IntN(2) == 0 {
				b.Retry(promptly)
			}
			if r.IntN(2) == 0 {
				b.Timeout(time.Duration(1+r.IntN(5)) * time.Second).Idle(5 * time.Second)
			}
			leaves := r.IntN(8)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(60))*time.Second)
			defer cancel()
			stream, outcome := streaming(t, b).Outcome(ctx, "")
			var heard []string
			over := 0
			for chunk, err := range stream {
				if err != nil {
					over++
					continue
				}
				if over > 0 {
					t.Fatalf("seed %d: heard %q after the end", seed, chunk)
				}
				if heard = append(heard, chunk); len(heard) == leaves {
					break
				}
			}
			for i, chunk := range heard {
				if want := fmt.Sprint(heard[0][:1], i); chunk != want {
					t.Fatalf("seed %d: heard %q", seed, heard)
				}
			}
			if o := outcome(); o.Chunks != len(heard) || over > 1 {
				t.Fatalf("seed %d: heard %q, %d ends, outcome %+v", seed, heard, over, o)
			}
		})
	}
}

func TestStreamHedgeManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := streaming(t, wraps(script{3 * time.Second, "a"}).Fallback("sage", voices(script{time.Second, "s", "t"})).Hedge(soonHedged()))
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				if seen, _ := hear(g.Stream(t.Context(), "")); seen != "s t end" && seen != "a end" {
					t.Error(seen)
				}
			})
		}
		all.Wait()
	})
}

func BenchmarkStreamHedge(b *testing.B) {
	for name, hedge := range map[string]*strategies.Hedge{"without": nil, "with": {After: time.Hour, ReadOnly: true}} {
		also := func(s *middleware.StreamBuilder[string, int]) {
			if hedge != nil {
				s.Hedge(hedge)
			}
		}
		b.Run("chunk/"+name, func(b *testing.B) {
			g := counted(b, b.N, also)
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := sum(g.Stream(b.Context(), "")); err != nil {
				b.Fatal(err)
			}
		})
		b.Run("open/"+name, func(b *testing.B) {
			g := counted(b, 1, also)
			b.ReportAllocs()
			for b.Loop() {
				g.Stream(b.Context(), "")(listens)
			}
		})
	}
}
