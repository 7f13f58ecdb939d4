package strategies_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// settled settles one call with a failure of a class and its hint.
func settled(t *testing.T, b *strategies.Breaker, class strategies.Class, hint time.Duration) {
	t.Helper()
	p, err := b.Allow()
	if err != nil {
		t.Fatalf("no permit: %v", err)
	}
	v := strategies.VerdictOf(class)
	v.RetryAfter = hint
	p.Settle(v, errBoom)
}

func TestPermitSettle(t *testing.T) {
	for _, tt := range []struct {
		it    string
		class strategies.Class
		hint  time.Duration
		state strategies.State
		left  time.Duration
	}{
		{"books what trips as a failure", strategies.ClassOverloaded, 0, strategies.StateOpen, 30 * time.Second},
		{"opens for its own time whatever a failure asks for", strategies.ClassOverloaded, time.Hour, strategies.StateOpen, 30 * time.Second},
		{"books what does not trip as nothing", strategies.ClassInvalidAnswer, 0, strategies.StateClosed, 0},
		{"holds for everybody what a rate limit asks for", strategies.ClassRateLimited, 7 * time.Second, strategies.StateHeld, 7 * time.Second},
		{"holds a rate limit without a time for a second", strategies.ClassRateLimited, 0, strategies.StateHeld, time.Second},
		{"holds nobody for longer than an hour", strategies.ClassRateLimited, 366 * 24 * time.Hour, strategies.StateHeld, time.Hour},
		{"holds an exhausted quota for a day at most", strategies.ClassQuotaExhausted, 366 * 24 * time.Hour, strategies.StateHeld, 24 * time.Hour},
		{"holds an exhausted quota until its time", strategies.ClassQuotaExhausted, time.Hour, strategies.StateHeld, time.Hour},
		{"holds an exhausted quota without a time for a minute", strategies.ClassQuotaExhausted, 0, strategies.StateHeld, time.Minute},
		{"holds nothing for a hint of another class", strategies.ClassBlocked, time.Hour, strategies.StateClosed, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &strategies.Breaker{Failures: 1, NoJitter: true}
				settled(t, b, tt.class, tt.hint)
				if b.State() != tt.state || b.RetryAfter() != tt.left {
					t.Errorf("it is %v for %v, want %v for %v", b.State(), b.RetryAfter(), tt.state, tt.left)
				}
			})
		})
	}
	t.Run("it books no error as a success", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 2}
		settled(t, b, strategies.ClassTransient, 0)
		p, _ := b.Allow()
		p.Settle(strategies.Verdict{}, nil)
		settled(t, b, strategies.ClassTransient, 0)
		if b.State() != strategies.StateClosed {
			t.Errorf("it is %v", b.State())
		}
	})
	t.Run("it tells those who are refused what the hold is for", func(t *testing.T) {
		b := &strategies.Breaker{}
		settled(t, b, strategies.ClassQuotaExhausted, 0)
		if _, err := b.Allow(); strategies.Classify(err).Class != strategies.ClassQuotaExhausted {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it holds what a user's row holds", func(t *testing.T) {
		b := &strategies.Breaker{}
		p, _ := b.Allow()
		p.Settle(strategies.Verdict{Class: strategies.ClassOverloaded, Holds: true, RetryAfter: time.Minute}, errBoom)
		if b.State() != strategies.StateHeld {
			t.Errorf("it is %v", b.State())
		}
	})
}

// The memory of a quota is the breaker's: all who share it find the same.
func TestQuotaMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{}
		find := func(want time.Duration) {
			t.Helper()
			settled(t, b, strategies.ClassQuotaExhausted, 0)
			if got := b.RetryAfter(); got != want {
				t.Errorf("held for %v, want %v", got, want)
			}
			time.Sleep(b.RetryAfter())
		}
		for _, want := range []time.Duration{1, 2, 4, 5, 5} {
			find(want * time.Minute)
		}
		time.Sleep(5*time.Minute + 1) // well for longer than it was held
		find(time.Minute)
		find(2 * time.Minute)
		b.Reset()
		find(time.Minute)
	})
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{}
		first, _ := b.Allow()
		second, _ := b.Allow()
		quota := strategies.VerdictOf(strategies.ClassQuotaExhausted)
		first.Settle(quota, errBoom)
		time.Sleep(20 * time.Second)
		second.Settle(quota, errBoom) // it was under way: no news
		if got := b.RetryAfter(); got != 40*time.Second {
			t.Errorf("held for %v", got)
		}
	})
}

func BenchmarkBreaker(b *testing.B) {
	var breaker strategies.Breaker
	b.Run("healthy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, _ := breaker.Allow()
			p.Success()
		}
	})
	b.Run("open", func(b *testing.B) {
		var open strategies.Breaker
		open.Isolate()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = open.Allow()
		}
	})
}
