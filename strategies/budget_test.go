package strategies_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/strategies"
)

func TestBudget(t *testing.T) {
	t.Run("it has about a hundred retries in hand", func(t *testing.T) {
		var b strategies.Budget
		n := 0
		for b.Take(strategies.ClassTransient) {
			n++
		}
		if n != 100 || b.Left() != 0 {
			t.Errorf("%d retries, %d tokens left", n, b.Left())
		}
	})
	t.Run("it has half as many after timeouts", func(t *testing.T) {
		var b strategies.Budget
		n := 0
		for b.Take(strategies.ClassTimeout) {
			n++
		}
		if n != 50 {
			t.Errorf("%d retries", n)
		}
	})
	t.Run("it lets one call in five retry in the long run", func(t *testing.T) {
		b := strategies.Budget{Capacity: 5}
		retries := 0
		for range 1000 {
			b.Success()
			if b.Take(strategies.ClassTransient) {
				retries++
			}
		}
		if retries != 200 {
			t.Errorf("%d retries in 1000 calls", retries)
		}
	})
	t.Run("it is never more than full", func(t *testing.T) {
		b := strategies.Budget{Capacity: 10, Refund: math.MaxInt}
		b.Success()
		b.Take(strategies.ClassTransient)
		b.Success()
		b.Success()
		if b.Left() != 10 {
			t.Errorf("%d tokens", b.Left())
		}
	})
	t.Run("it refuses what costs more than it can hold, and keeps its tokens", func(t *testing.T) {
		b := strategies.Budget{TimeoutCost: math.MaxInt}
		if !b.Take(strategies.ClassTransient) {
			t.Fatal("a retry was refused")
		}
		if b.Take(strategies.ClassTimeout) || b.Left() != 495 {
			t.Errorf("%d tokens left", b.Left())
		}
	})
	t.Run("it does not overflow at the largest size", func(t *testing.T) {
		b := strategies.Budget{Capacity: math.MaxInt, RetryCost: math.MaxInt}
		if !b.Take(strategies.ClassTransient) || b.Take(strategies.ClassTransient) || b.Left() != 0 {
			t.Errorf("%d tokens left", b.Left())
		}
	})
}

func TestBudgetValidate(t *testing.T) {
	for _, tt := range []struct {
		it      string
		budget  *strategies.Budget
		setting string
	}{
		{"accepts the zero value", &strategies.Budget{}, ""},
		{"accepts a bucket for one retry", &strategies.Budget{Capacity: 5}, ""},
		{"refuses a negative capacity", &strategies.Budget{Capacity: -1}, "Budget.Capacity"},
		{"refuses a retry that pays", &strategies.Budget{RetryCost: -1}, "Budget.RetryCost"},
		{"refuses a timeout that pays", &strategies.Budget{TimeoutCost: -1}, "Budget.TimeoutCost"},
		{"refuses a success that costs", &strategies.Budget{Refund: -1}, "Budget.Refund"},
		{"refuses a bucket too small for one retry", &strategies.Budget{Capacity: 4}, "Budget.Capacity"},
		{"refuses a retry too dear for the bucket", &strategies.Budget{RetryCost: 501}, "Budget.Capacity"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) { wantSetting(t, tt.budget.Validate(), tt.setting) })
	}
}

// A plain counter is the model: whatever valid numbers a bucket has.
func TestBudgetIsABucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.IntRange(1, 40), rapid.SampledFrom([]int{math.MaxInt, math.MaxInt - 1, math.MaxInt / 2}))
		b := &strategies.Budget{
			Capacity: number.Draw(t, "capacity"), RetryCost: number.Draw(t, "retry"),
			TimeoutCost: number.Draw(t, "timeout"), Refund: number.Draw(t, "refund"),
		}
		if b.Validate() != nil {
			t.SkipNow()
		}
		left := b.Capacity
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			class, cost := strategies.ClassTransient, b.RetryCost
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				b.Success()
				if left += min(b.Refund, b.Capacity-left); b.Left() != left {
					t.Fatalf("%d tokens after a success, want %d", b.Left(), left)
				}
				continue
			case 1:
				class, cost = strategies.ClassTimeout, b.TimeoutCost
			}
			want := cost <= left
			if want {
				left -= cost
			}
			if got := b.Take(class); got != want || b.Left() != left {
				t.Fatalf("Take is %v with %d left, want %v with %d", got, b.Left(), want, left)
			}
		}
	})
}

// What was taken and not put back is missing, however many take at a time.
func TestBudgetConserves(t *testing.T) {
	b := &strategies.Budget{Capacity: 1_000_000}
	var taken, back atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5000 {
				switch rand.IntN(3) {
				case 0:
					if b.Take(strategies.ClassTransient) {
						taken.Add(5)
					}
				case 1:
					if b.Take(strategies.ClassTimeout) {
						taken.Add(10)
					}
				default:
					// Never beyond full, where a refund is lost by design.
					if b.Take(strategies.ClassTransient) {
						taken.Add(5)
						b.Success()
						back.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	if want := 1_000_000 - taken.Load() + back.Load(); int64(b.Left()) != want || taken.Load() == 0 {
		t.Errorf("%d tokens left, want %d", b.Left(), want)
	}
}

func TestBudgetIsNeverOverdrawn(t *testing.T) {
	b := &strategies.Budget{Capacity: 52}
	var granted atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 100 {
				if b.Take(strategies.ClassTransient) {
					granted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if granted.Load() != 10 || b.Left() != 2 {
		t.Errorf("%d retries granted with %d tokens left, want 10 with 2", granted.Load(), b.Left())
	}
}
