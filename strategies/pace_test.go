package strategies_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// limited is what a provider says that counts.
func limited(wait time.Duration) strategies.Verdict {
	return strategies.Verdict{Class: strategies.ClassRateLimited, RetryAfter: wait}
}

func TestPace(t *testing.T) {
	bubble := func(it string, f func(t *testing.T)) {
		t.Run("it "+it, func(t *testing.T) { synctest.Test(t, f) })
	}
	const normal = strategies.PriorityNormal
	turn := func(t *testing.T, p *strategies.Pace, tokens int) (strategies.PaceTurn, time.Duration) {
		t.Helper()
		begin := time.Now()
		at, err := p.Acquire(t.Context(), normal, tokens)
		if err != nil {
			t.Fatalf("no turn: %v", err)
		}
		return at, time.Since(begin)
	}
	waits := func(t *testing.T, p *strategies.Pace, tokens int, want time.Duration) {
		t.Helper()
		if _, waited := turn(t, p, tokens); waited != want {
			t.Errorf("waited %v, want %v", waited, want)
		}
	}
	refused := func(t *testing.T, ctx context.Context, p *strategies.Pace, want time.Duration) {
		t.Helper()
		begin := time.Now()
		_, err := p.Acquire(ctx, normal, 0)
		late, ok := errors.AsType[*strategies.PaceError](err)
		if !ok || late.Wait != want || time.Since(begin) != 0 {
			t.Errorf("got %v after %v, want it to have waited %v", err, time.Since(begin), want)
		}
	}

	bubble("lets a burst through, and then so many a minute", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60}
		for range 6 {
			waits(t, p, 0, 0)
		}
		for range 3 {
			waits(t, p, 0, sec)
		}
		time.Sleep(time.Hour)
		for range 6 {
			waits(t, p, 0, 0)
		}
		waits(t, p, 0, sec)
	})
	bubble("holds no more than a burst after a rest, what it has handed out included", func(t *testing.T) {
		for spent := range 40 {
			p := &strategies.Pace{RequestsPerMinute: 600, TokensPerMinute: 600, NoWait: true}
			for range spent {
				waits(t, p, 0, 0)
			}
			time.Sleep(time.Hour)
			n := 0
			for ; n < 100; n++ {
				if _, err := p.Acquire(t.Context(), normal, 0); err != nil {
					break
				}
			}
			if n > 60 || n < 45 {
				t.Errorf("%d at once, after %d and a rest", n, spent)
			}
		}
	})
	bubble("refuses who is overtaken, as soon as its turn would be too late", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60, Burst: sec}
		waits(t, p, 0, 0)
		var after time.Duration
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 3*sec)
			defer cancel()
			begin := time.Now()
			_, err := p.Acquire(ctx, strategies.PriorityBatch, 0)
			if after = time.Since(begin); !errors.Is(err, strategies.ErrRejected) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}()
		for range 3 {
			time.Sleep(sec / 10)
			go func() { _, _ = p.Acquire(t.Context(), strategies.PriorityInteractive, 0) }()
		}
		time.Sleep(10 * sec)
		synctest.Wait()
		if after != 3*sec/10 {
			t.Errorf("refused after %v", after)
		}
	})
	bubble("counts tokens, of the largest requests too", func(t *testing.T) {
		p := &strategies.Pace{TokensPerMinute: 6000} // 600 at once, 100 a second
		waits(t, p, 500, 0)
		waits(t, p, 200, sec)
		waits(t, p, 2000, 6*sec) // when the bucket is full
		waits(t, p, 100, 15*sec) // and it is paid for by those who come later
		p.Correct(-100)          // it used none
		waits(t, p, 100, 0)
		p.Correct(900)
		waits(t, p, 100, 10*sec)
		waits(t, p, 0, 0)
	})
	bubble("refuses at once what would come too late", func(t *testing.T) {
		p := &strategies.Pace{Name: "plan", RequestsPerMinute: 60, Burst: sec, MaxWait: 2 * sec}
		waits(t, p, 0, 0)
		short, cancel := context.WithTimeout(t.Context(), sec)
		defer cancel()
		refused(t, short, p, sec)
		for range 2 {
			go func() { _, _ = p.Acquire(t.Context(), normal, 0) }()
			synctest.Wait()
		}
		refused(t, t.Context(), p, 3*sec)
		if p.Waiting() != 2 {
			t.Errorf("%d wait", p.Waiting())
		}
		time.Sleep(2 * sec)
		refused(t, contextThatEnded(t), p, sec)
		none := &strategies.Pace{RequestsPerMinute: 60, Burst: sec, NoWait: true}
		waits(t, none, 0, 0)
		refused(t, t.Context(), none, sec)
		time.Sleep(sec)
		waits(t, none, 0, 0)
	})
	bubble("leaves nothing of one who goes", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60, Burst: sec}
		waits(t, p, 0, 0)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(sec/2, func() { cancel(errBoom) })
		if _, err := p.Acquire(ctx, normal, 0); !errors.Is(err, errBoom) || !errors.Is(err, strategies.ErrRejected) {
			t.Errorf("got %v", err)
		}
		if p.Waiting() != 0 {
			t.Errorf("%d wait", p.Waiting())
		}
		waits(t, p, 0, sec/2)
	})
	bubble("lowers its rate at a limit, once for all under way, and comes back", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 600, TokensPerMinute: 6000}
		var turns []strategies.PaceTurn
		for range 5 {
			at, _ := turn(t, p, 0)
			turns = append(turns, at)
		}
		rate := func(want float64) {
			t.Helper()
			if r, tokens := p.Rate(); math.Abs(r-want) > 1e-9 || math.Abs(tokens-10*want) > 1e-8 {
				t.Errorf("%v calls and %v tokens a minute, want %v and %v", r, tokens, want, 10*want)
			}
		}
		rate(600)
		for _, at := range turns {
			at.Settle(limited(0))
		}
		rate(420)
		at, _ := turn(t, p, 0)
		at.Settle(strategies.Verdict{Class: strategies.ClassOverloaded})
		rate(420)
		at.Settle(limited(0))
		rate(294)
		time.Sleep(time.Minute)
		rate(354)
		time.Sleep(4 * time.Minute)
		rate(594)
		time.Sleep(time.Hour)
		rate(600)
		for range 50 {
			at, _ = turn(t, p, 0)
			at.Settle(limited(0))
		}
		rate(60)
	})
	bubble("holds all for as long as the provider says, and refuses who cannot wait", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60, MaxWait: 20 * sec}
		at, _ := turn(t, p, 0)
		done := make(chan error)
		for range 5 {
			turn(t, p, 0)
		}
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*sec)
			defer cancel()
			begin := time.Now()
			_, err := p.Acquire(ctx, normal, 0)
			if time.Since(begin) != 0 {
				t.Errorf("it was refused after %v", time.Since(begin))
			}
			done <- err
		}()
		synctest.Wait()
		at.Settle(limited(10 * sec))
		if err := <-done; !errors.Is(err, strategies.ErrRejected) {
			t.Errorf("got %v", err)
		}
		waits(t, p, 0, 10*sec)
	})
	bubble("keeps a reserve for persons", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60, TokensPerMinute: 600, Reserve: 2 * sec, NoWait: true}
		for range 4 {
			waits(t, p, 10, 0)
		}
		refused(t, t.Context(), p, sec)
		for range 2 {
			if _, err := p.Acquire(t.Context(), strategies.PriorityInteractive, 10); err != nil {
				t.Error(err)
			}
		}
	})
	bubble("gives back a turn that was not used", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60, TokensPerMinute: 600, Burst: sec}
		at, _ := turn(t, p, 10)
		at.Return(10)
		waits(t, p, 10, 0)
		strategies.PaceTurn{}.Return(1)
		strategies.PaceTurn{}.Settle(limited(sec))
	})
	bubble("answers each call with what is wrong with its settings", func(t *testing.T) {
		p := &strategies.Pace{}
		for range 2 {
			_, err := p.Acquire(t.Context(), normal, 1)
			wantSetting(t, err, "Pace.RequestsPerMinute")
		}
		p.Learn(http.Header{"Retry-After": {"1"}}, time.Now())
		p.Correct(3)
		if r, tokens := p.Rate(); r != 0 || tokens != 0 || p.Waiting() != 0 {
			t.Error("it has a rate")
		}
	})
}

func contextThatEnded(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestPaceLearns(t *testing.T) {
	for _, tt := range []struct {
		it      string
		header  http.Header
		wait    time.Duration // of a call that comes next
		calls   float64
		tokens  float64
		settled bool
	}{
		{"nothing of what it does not know", http.Header{"X-Ratelimit-Limit-Requests": {"1"}, "Content-Type": {"3"}}, 0, 600, 6000, true},
		{"that little is left", http.Header{"X-Ratelimit-Remaining-Requests": {"0"}, "X-Ratelimit-Reset-Requests": {"60s"}}, sec / 10, 600, 6000, true},
		{"that few tokens are left", http.Header{"Anthropic-Ratelimit-Input-Tokens-Remaining": {"0"}}, sec, 600, 6000, true},
		{"that the plan is smaller", http.Header{"Anthropic-Ratelimit-Requests-Limit": {"50"}, "Anthropic-Ratelimit-Tokens-Limit": {"30000"}}, 0, 50, 6000, false},
		{"to wait until a window ends", http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"17"}}, 17 * sec, 600, 6000, true},
		{"to wait until a moment of the server's clock", http.Header{
			"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"1893456005"}, "Date": {time.Unix(1893456000, 0).UTC().Format(http.TimeFormat)}}, 5 * sec, 600, 6000, true},
		{"to wait as long as it is told", http.Header{"Retry-After": {"9"}}, 9 * sec, 600, 6000, true},
		{"not to believe in more than an hour", http.Header{"Retry-After": {"999999"}}, time.Hour, 600, 6000, true},
		{"nothing from nonsense", http.Header{"Anthropic-Ratelimit-Requests-Limit": {"-3"}, "X-Ratelimit-Remaining": {"NaN"}, "X-Ratelimit-Remaining-Tokens": {}}, 0, 600, 6000, true},
	} {
		t.Run("it learns "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &strategies.Pace{RequestsPerMinute: 600, TokensPerMinute: 6000, MaxWait: 2 * time.Hour}
				p.Learn(tt.header, time.Now())
				if calls, tokens := p.Rate(); math.Abs(calls-tt.calls) > 1e-9 || tokens != tt.tokens {
					t.Errorf("%v calls and %v tokens a minute", calls, tokens)
				}
				begin := time.Now()
				if _, err := p.Acquire(t.Context(), strategies.PriorityNormal, 100); err != nil || time.Since(begin) != tt.wait {
					t.Errorf("%v after %v, want %v", err, time.Since(begin), tt.wait)
				}
				time.Sleep(11 * time.Minute) // what is not said again is forgotten
				if calls, _ := p.Rate(); calls != 600 {
					t.Errorf("%v calls a minute in the end", calls)
				}
			})
		})
	}
}

// Whatever headers say: the rate is never more than was configured, nor nothing, no
// wait is longer than an hour's hold and its turn, and the pace comes back.
func FuzzPaceLearn(f *testing.F) {
	f.Add("X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1e300")
	f.Add("Anthropic-Ratelimit-Requests-Limit", "1e-9", "Retry-After", "-1")
	f.Add("Anthropic-Ratelimit-Tokens-Limit", "0x1p-2", "Anthropic-Ratelimit-Tokens-Remaining", "inf")
	f.Add("Ratelimit-Remaining", "0", "Ratelimit-Reset", "Wed, 21 Oct 2099 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, name, value, name2, value2 string) {
		synctest.Test(t, func(t *testing.T) {
			p := &strategies.Pace{RequestsPerMinute: 60, TokensPerMinute: 6000, MaxWait: 2 * time.Hour}
			p.Learn(http.Header{name: {value}, name2: {value2}}, time.Now())
			if calls, tokens := p.Rate(); !(calls > 0 && calls <= 60) || !(tokens > 0 && tokens <= 6000) {
				t.Errorf("%v calls and %v tokens a minute", calls, tokens)
			}
			begin := time.Now()
			if _, err := p.Acquire(t.Context(), strategies.PriorityNormal, 10); err != nil || time.Since(begin) > time.Hour+11*time.Minute {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			time.Sleep(11 * time.Minute)
			if calls, tokens := p.Rate(); calls != 60 || tokens != 6000 {
				t.Errorf("it did not come back: %v calls and %v tokens a minute", calls, tokens)
			}
		})
	})
}

func TestPaceValidate(t *testing.T) {
	for _, tt := range []struct {
		it      string
		pace    *strategies.Pace
		setting string
	}{
		{"accepts calls alone", &strategies.Pace{RequestsPerMinute: 1}, ""},
		{"accepts tokens alone", &strategies.Pace{TokensPerMinute: 1}, ""},
		{"refuses the zero value, for nobody knows your plan", &strategies.Pace{}, "Pace.RequestsPerMinute"},
		{"refuses what is negative", &strategies.Pace{RequestsPerMinute: 1, TokensPerMinute: -1}, "Pace.TokensPerMinute"},
		{"refuses what no plan allows", &strategies.Pace{TokensPerMinute: math.MaxInt}, "Pace.RequestsPerMinute"},
		{"refuses a burst without a unit", &strategies.Pace{RequestsPerMinute: 60, Burst: 10}, "Pace.Burst"},
		{"refuses a burst of hours", &strategies.Pace{RequestsPerMinute: 60, Burst: time.Hour}, "Pace.Burst"},
		{"refuses a reserve of all", &strategies.Pace{RequestsPerMinute: 60, Reserve: 6 * sec}, "Pace.Reserve"},
		{"refuses a negative wait", &strategies.Pace{RequestsPerMinute: 60, MaxWait: -sec}, "Pace.MaxWait"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) { wantSetting(t, tt.pace.Validate(), tt.setting) })
	}
}

func TestPaceString(t *testing.T) {
	for want, p := range map[string]*strategies.Pace{
		"60 calls and 1 token a minute, waits up to 1m0s for a turn": {RequestsPerMinute: 60, TokensPerMinute: 1},
		"1 call a minute, waits up to 3s for a turn":                 {RequestsPerMinute: 1, MaxWait: 3 * sec},
		"5 tokens a minute, waits for no turn":                       {TokensPerMinute: 5, NoWait: true},
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What a call costs while turns are plenty: the bucket is filled as fast as it is
// emptied here, and a quarter of what is there is handed out at a time.
func BenchmarkPace(b *testing.B) {
	p := &strategies.Pace{RequestsPerMinute: math.MaxInt32, TokensPerMinute: 1 << 39}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Acquire(ctx, strategies.PriorityNormal, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPaceRenewed is what a call costs that finds no credit, because all that is
// left is the reserve.
func BenchmarkPaceRenewed(b *testing.B) {
	p := &strategies.Pace{RequestsPerMinute: math.MaxInt32, TokensPerMinute: 1 << 39, Reserve: 6*sec - 1}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Acquire(ctx, strategies.PriorityInteractive, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBulkhead(b *testing.B) {
	slots := &strategies.Bulkhead{MaxConcurrent: 4}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if slots.Acquire(ctx) == nil {
			slots.Release()
		}
	}
}
