package strategies_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/strategies"
)

func joined(t testing.TB, s *strategies.Spread, weights ...float64) *strategies.Spread {
	t.Helper()
	if err := s.Join(weights...); err != nil {
		t.Fatal(err)
	}
	return s
}

func among(members ...int) *strategies.Among {
	var a strategies.Among
	for _, i := range members {
		a.Add(i)
	}
	return &a
}

func TestSpread(t *testing.T) {
	t.Run("shares follow weights, whatever their number, and whoever else is out", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			weights := rapid.SliceOfN(rapid.Float64Range(1, 5), 2, 12).Draw(t, "weights")
			s := &strategies.Spread{Seed: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "seed")}
			if err := s.Join(weights...); err != nil {
				t.Fatal(err)
			}
			var may strategies.Among
			total := 0.0
			for i, w := range weights {
				if i < 2 || rapid.Bool().Draw(t, "in") {
					may.Add(i)
					total += w
				}
			}
			const calls = 6000
			asked := make([]int, len(weights))
			for n := range calls {
				now := time.Duration(n) * 20 * time.Millisecond
				i := s.Choose(&may, now)
				asked[i]++
				s.Began(i, now)
				s.Answered(i, now, time.Second)
			}
			for i, w := range weights {
				want := w / total
				if !may.Has(i) {
					want = 0
				}
				got := float64(asked[i]) / calls
				if sigma := math.Sqrt(want * (1 - want) / calls); math.Abs(got-want) > 4*sigma+0.04*want {
					t.Errorf("member %d of weight %.2f has %.4f of the calls, want %.4f; %v of %v", i, w, got, want, asked, weights)
				}
			}
		})
	})
	t.Run("equals are asked evenly, minute by minute", func(t *testing.T) {
		s := joined(t, &strategies.Spread{Seed: 5}, 1, 1, 1)
		for minute := range 10 {
			var asked [3]int
			for n := range 150 {
				now := time.Duration(minute)*time.Minute + time.Duration(n)*400*time.Millisecond
				i := s.Choose(among(0, 1, 2), now)
				asked[i]++
				s.Began(i, now)
				s.Answered(i, now, time.Second)
			}
			for _, n := range asked {
				if n < 44 || n > 56 {
					t.Errorf("minute %d: %v", minute, asked)
				}
			}
		}
	})
	t.Run("one that nobody knows is tried, and not by all at once", func(t *testing.T) {
		s := joined(t, &strategies.Spread{Seed: 1}, 1, 1)
		s.Began(0, 0)
		s.Answered(0, time.Second, time.Second)
		var asked [2]int
		for n := range 20 {
			now := time.Second + time.Duration(n)*time.Millisecond
			i := s.Choose(among(0, 1), now)
			asked[i]++
			s.Began(i, now) // and nothing ends
		}
		if asked[0] < 7 || asked[1] < 7 {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("one that is silent is as slow as it has been silent", func(t *testing.T) {
		s := joined(t, &strategies.Spread{Seed: 1}, 1, 1)
		for i := range 2 {
			s.Began(i, 0)
			s.Answered(i, time.Second, time.Second)
		}
		s.Began(0, time.Second)
		s.Began(1, 20*time.Second)
		s.Began(1, 20*time.Second)
		for range 20 {
			if i := s.Choose(among(0, 1), 21*time.Second); i != 1 {
				t.Fatal("it asked the one that has not answered for 20 s")
			}
		}
	})
	t.Run("less room is less preferred, and none hardly ever", func(t *testing.T) {
		slots := &strategies.Bulkhead{MaxConcurrent: 10}
		s := joined(t, &strategies.Spread{Seed: 1}, 1, 1)
		s.Within(0, slots)
		share := func() (n int) {
			for range 100 {
				if s.Choose(among(0, 1), 0) == 0 {
					n++
				}
			}
			return n
		}
		for taken, most := range map[int]int{7: 100, 9: 0, 10: 0} {
			for range taken {
				_ = slots.Acquire(t.Context())
			}
			if n := share(); n > most || most > 0 && n < 30 {
				t.Errorf("with %d of 10 taken it has %d of 100", taken, n)
			}
			for range taken {
				slots.Release()
			}
		}
	})
	t.Run("a latency that was met long ago counts less", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := joined(t, &strategies.Spread{Seed: 1}, 1)
			s.Began(0, 0)
			s.Answered(0, s.Now(), 10*time.Second)
			time.Sleep(2 * time.Minute)
			if l := s.Load(0).Latency; l < 4*time.Second || l > 6*time.Second {
				t.Errorf("latency %v after two minutes", l)
			}
			s.Began(0, s.Now())
			if l := s.Load(0).Latency; l != 10*time.Second {
				t.Errorf("latency %v while a call finds out", l)
			}
			s.Answered(0, s.Now(), time.Second)
			if l := s.Load(0).Latency; l > 2*time.Second {
				t.Errorf("latency %v after a new answer", l)
			}
		})
	})
	t.Run("the same seed chooses the same", func(t *testing.T) {
		choose := func() (all string) {
			s := joined(t, &strategies.Spread{Seed: 9}, 1, 2, 3)
			for n := range 50 {
				all += fmt.Sprint(s.Choose(among(0, 1, 2), time.Duration(n)))
			}
			return all
		}
		if a, b := choose(), choose(); a != b {
			t.Errorf("%s and %s", a, b)
		}
	})
	t.Run("of none it chooses nobody, of one that one", func(t *testing.T) {
		s := joined(t, &strategies.Spread{}, make1s(200)...)
		if i := s.Choose(among(), 0); i != -1 {
			t.Errorf("chose %d of none", i)
		}
		for _, i := range []int{0, 63, 64, 130, 199} {
			if got := s.Choose(among(i), 0); got != i {
				t.Errorf("chose %d, want %d", got, i)
			}
			if got := s.Choose(among(i, 5), 0); got != i && got != 5 {
				t.Errorf("chose %d of %d and 5", got, i)
			}
		}
	})
	for name, weights := range map[string][]float64{"no members": nil, "too many": make1s(257), "a weight of 0": {1, 0}, "one of NaN": {math.NaN()}, "an infinite one": {math.Inf(1)}} {
		t.Run("it refuses "+name, func(t *testing.T) {
			if err := new(strategies.Spread).Join(weights...); err == nil {
				t.Error("no error")
			}
		})
	}
}

func make1s(n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = 1
	}
	return all
}

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := &strategies.Pace{RequestsPerMinute: 60, Burst: 10 * time.Second}
		for taken, want := range []float64{1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0} {
			if room := pace.Room(); math.Abs(room-want) > 1e-9 {
				t.Errorf("%v is left after %d of 10, want %v", room, taken, want)
			}
			if _, err := pace.Acquire(t.Context(), strategies.PriorityNormal, 0); err != nil {
				t.Fatal(err)
			}
		}
		slots := &strategies.Bulkhead{MaxConcurrent: 4}
		_ = slots.Acquire(t.Context())
		if room := slots.Room(); room != 0.75 {
			t.Errorf("%v is left of 4 slots", room)
		}
		for name, room := range map[string]float64{"pace": (&strategies.Pace{}).Room(), "bulkhead": (&strategies.Bulkhead{}).Room()} {
			if room != 0 {
				t.Errorf("a %s that makes no sense has room %v", name, room)
			}
		}
	})
}
