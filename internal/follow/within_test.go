package follow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/follow"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began := follow.NewBase(), time.Now()
		slow := func() (int, error) { time.Sleep(3 * time.Second); return 7, nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := follow.Within(ctx, b, slow); got != 0 || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%d, %v after %v: it must end with its context", got, err, time.Since(began))
		}
		b.Close()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("closed after %v: it must wait for what still runs", took)
		}
		if got, err := follow.Within(t.Context(), b, slow); got != 0 || err == nil {
			t.Errorf("of a closed one: %d, %v", got, err)
		}
		open := follow.NewBase()
		defer open.Close()
		for name, ctx := range map[string]context.Context{"that ends": t.Context(), "that does not": context.Background()} {
			if got, err := follow.Within(ctx, open, slow); got != 7 || err != nil {
				t.Errorf("with a context %s: %d, %v", name, got, err)
			}
		}
	})
}
