package strategies_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// An agent that asks again by itself returns all that it heard, the oldest first.
func TestNoHintIsMadeShorterByAnother(t *testing.T) {
	said := func(d time.Duration) error { return strategies.WithRetryAfter(d, errors.New("429")) }
	for _, tc := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"the longest of those joined", errors.Join(said(time.Second), said(50*time.Second)), 50 * time.Second},
		{"in any order", errors.Join(said(50*time.Second), said(time.Second)), 50 * time.Second},
		{"also when the first one has none", errors.Join(errors.New("reset"), said(time.Second)), time.Second},
		{"also of two that are joined inside", fmt.Errorf("%w; %w", errors.Join(said(1), said(3*time.Second)), said(2*time.Second)), 3 * time.Second},
		{"but the word of whoever joined them outranks them", strategies.WithRetryAfter(2*time.Second, errors.Join(said(time.Second), said(time.Minute))), 2 * time.Second},
		{"none of none", errors.Join(errors.New("a"), errors.New("b")), 0},
		{"the latest attempt of a recovery", &strategies.RecoveryError{Attempts: []strategies.Attempt{{Err: said(time.Minute)}, {Err: said(time.Second)}}}, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strategies.Classify(tc.err).RetryAfter; got != tc.want {
				t.Errorf("the hint is %v, want %v", got, tc.want)
			}
		})
	}
}

// A hint may concern one key only: then nobody else is kept waiting.
func TestAHintOfOneKeyHoldsNobodyElse(t *testing.T) {
	limited := func(why string) error {
		return strategies.WithClass(strategies.ClassRateLimited, strategies.WithRetryAfter(time.Minute, errors.New(why)))
	}
	classifier := &strategies.Classifier{HoldsBreaker: func(err error) bool {
		if err.Error() == "evil" {
			panic("no answer")
		}
		return err.Error() != "this user"
	}}
	for why, want := range map[string]strategies.State{
		"this user": strategies.StateClosed, "all of you": strategies.StateHeld, "evil": strategies.StateHeld,
	} {
		t.Run(why, func(t *testing.T) {
			b := &strategies.Breaker{}
			permit, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			v := classifier.Classify(limited(why))
			permit.Settle(v, limited(why))
			if b.State() != want || v.RetryAfter != time.Minute {
				t.Errorf("the breaker is %v, the hint %v; want %v, and 1m0s", b.State(), v.RetryAfter, want)
			}
		})
	}
}
