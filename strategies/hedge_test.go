package strategies_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func TestHedgeUsesUpWhatItMay(t *testing.T) {
	const calls = 20_000
	for _, ratio := range []float64{0, 0.02, 0.05} {
		rng := rand.New(rand.NewPCG(1, 2))
		h := &strategies.Hedge{MaxRatio: ratio}
		if ratio == 0.02 {
			h.Quantile = 0.98
		}
		second, stuck, alone := 0, 0, 0
		for range calls {
			after, ok := h.Begin()
			took := time.Duration(2e9 * math.Exp(0.4*rng.NormFloat64()))
			isStuck := rng.IntN(100) == 0
			if isStuck {
				took *= 20
				stuck++
			}
			switch {
			case !ok || took <= after:
				if isStuck {
					alone++
				}
			case h.Take():
				second++
				took = after + time.Second
			case isStuck:
				alone++
			}
			h.Answered(took)
		}
		if ratio == 0 {
			ratio = 0.05
		}
		if most := int(ratio*calls) + 5; second > most || second < most*9/10 {
			t.Errorf("ratio %v: %d second calls, %d may be made", ratio, second, most)
		}
		if alone*50 > stuck {
			t.Errorf("ratio %v: %d of %d that are stuck have no second", ratio, alone, stuck)
		}
	}
}
