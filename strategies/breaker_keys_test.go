package strategies_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// A client turns ten keys by itself: what one of them is told is not told to all.
func TestBreakerOfAClientThatTurnsKeys(t *testing.T) {
	limit := func(after time.Duration) strategies.Verdict {
		v := strategies.VerdictOf(strategies.ClassRateLimited)
		v.RetryAfter = after
		return v
	}
	settle := func(t *testing.T, b *strategies.Breaker, v strategies.Verdict) time.Duration {
		t.Helper()
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		if v.Class == strategies.ClassUnclassified {
			p.Success()
			return 0
		}
		return p.Settle(v, errors.New("slow down"))
	}
	t.Run("one limit holds nothing, and the next attempt is made at once", func(t *testing.T) {
		b := &strategies.Breaker{Keys: 3}
		for range 10 {
			if held := settle(t, b, limit(time.Minute)); held != strategies.AtOnce || b.State() != strategies.StateClosed {
				t.Fatalf("held for %v, %v", held, b.State())
			}
			settle(t, b, strategies.Verdict{})
		}
	})
	t.Run("as many in a row as there are keys hold it, for the shortest hint", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Keys: 3}
			settle(t, b, limit(time.Minute))
			settle(t, b, limit(7*time.Second))
			if held := settle(t, b, limit(time.Hour)); held != 7*time.Second || b.RetryAfter() != 7*time.Second {
				t.Errorf("held for %v, %v", held, b.RetryAfter())
			}
			time.Sleep(7 * time.Second)
			if held := settle(t, b, limit(time.Minute)); held != strategies.AtOnce {
				t.Errorf("held for %v after one more", held)
			}
		})
	})
	t.Run("without Keys the first limit holds", func(t *testing.T) {
		b := &strategies.Breaker{}
		if held := settle(t, b, limit(time.Minute)); held != time.Minute {
			t.Errorf("held for %v", held)
		}
	})
	if err := (&strategies.Breaker{Keys: -1}).Validate(); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("a negative number: %v", err)
	}
}
