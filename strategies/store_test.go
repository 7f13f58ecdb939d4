package strategies_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func TestAStoreErrorIsWhatItSaysAndWhatTheEngineSaid(t *testing.T) {
	cause := errors.New("connection refused")
	err := error(&strategies.StoreError{Op: "put", Key: "lease/a", Err: strategies.ErrUnavailable, Cause: cause})
	if !errors.Is(err, strategies.ErrUnavailable) || !errors.Is(err, cause) || errors.Is(err, strategies.ErrConflict) {
		t.Errorf("%v is not what it should be", err)
	}
	if got, want := err.Error(), `understudy: the store is unavailable: put "lease/a": connection refused`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&strategies.StoreError{Op: "now", Err: strategies.ErrUnavailable}).Error(), "understudy: the store is unavailable: now"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	late := &strategies.StoreError{Op: "get", Key: "a", Err: strategies.ErrUnavailable, Cause: context.DeadlineExceeded}
	if !errors.Is(late, context.DeadlineExceeded) {
		t.Error("the context's error is out of reach")
	}
}

func TestWritesThatNoStoreTakes(t *testing.T) {
	for name, tc := range map[string]struct {
		w    strategies.Write
		want error
	}{
		"a write":               {strategies.Write{Key: "a", Value: []byte("b"), TTL: time.Second}, nil},
		"no key":                {strategies.Write{}, strategies.ErrConfig},
		"a key that is no text": {strategies.Write{Key: "a\xff"}, strategies.ErrConfig},
		"the longest key":       {strategies.Write{Key: strings.Repeat("k", strategies.MaxStoreKey)}, nil},
		"a longer one":          {strategies.Write{Key: strings.Repeat("k", strategies.MaxStoreKey+1)}, strategies.ErrTooLarge},
		"the largest value":     {strategies.Write{Key: "a", Value: make([]byte, strategies.MaxStoreValue)}, nil},
		"a larger one":          {strategies.Write{Key: "a", Value: make([]byte, strategies.MaxStoreValue+1)}, strategies.ErrTooLarge},
		"a negative time":       {strategies.Write{Key: "a", TTL: -time.Second}, strategies.ErrConfig},
		"a time without a unit": {strategies.Write{Key: "a", TTL: 30}, strategies.ErrConfig},
		"a time that is over":   {strategies.Write{Key: "a", TTL: time.Microsecond}, strategies.ErrConfig},
		"the shortest time":     {strategies.Write{Key: "a", TTL: time.Millisecond}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.w.Validate(); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	if err := strategies.CheckStorePrefix(""); err != nil {
		t.Errorf("the empty prefix: %v", err)
	}
}

func TestAChangeHasAName(t *testing.T) {
	for kind, want := range map[strategies.ChangeKind]string{
		strategies.ChangePut: "put", strategies.ChangeGone: "gone", strategies.ChangeCurrent: "current", strategies.ChangeLost: "lost",
		0: "unknown", 9: "unknown",
	} {
		if got := kind.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
