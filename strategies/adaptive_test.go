package strategies_test

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// ownModel works on all its calls at once. Beyond what it bears each call takes the
// longer the more there are: at a power of 1 its throughput stays, above it falls.
type ownModel struct {
	mu    sync.Mutex
	bears float64
	power float64
	calls int
	rng   *rand.Rand
}

// call takes its time in slices, each at the speed of its moment.
func (m *ownModel) call(ctx context.Context, median time.Duration, sigma float64) bool {
	m.mu.Lock()
	left := float64(median) * math.Exp(sigma*m.rng.NormFloat64())
	m.calls++
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.calls--
	}()
	const slice = 50 * time.Millisecond
	for left > 0 {
		m.mu.Lock()
		speed := math.Pow(min(1, m.bears/float64(m.calls)), m.power)
		m.mu.Unlock()
		time.Sleep(slice)
		left -= speed * float64(slice)
		if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// asked is what many clients get of a model in a time, of what it could give, and
// how many slots there are at the end of it.
func asked(b *strategies.Bulkhead, m *ownModel, clients int, sigma float64, warm, during time.Duration) (share float64, slots int) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var mu sync.Mutex
	start, answers := time.Now(), 0
	for i := range clients {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 37 * time.Millisecond)
			for ctx.Err() == nil {
				if b.Acquire(ctx) != nil {
					return
				}
				began := time.Now()
				ok := m.call(ctx, time.Second, sigma)
				if ok {
					b.Settle(time.Since(began), strategies.Verdict{})
				}
				b.Release()
				if ok && time.Since(start) > warm {
					mu.Lock()
					answers++
					mu.Unlock()
				}
			}
		})
	}
	time.Sleep(warm + during)
	slots = b.Limit()
	cancel()
	all.Wait()
	best := m.bears * during.Seconds() / math.Exp(sigma*sigma/2)
	return float64(answers) / best, slots
}

func TestBulkheadAdapts(t *testing.T) {
	for _, tc := range []struct {
		it           string
		bears, power float64
		sigma        float64
		least        float64 // of what it could answer
	}{
		{"finds what a small model bears", 4, 2, 0.2, 0.7},
		{"finds it although answers vary much", 8, 2, 0.5, 0.7},
		{"finds what a large one bears", 24, 1.5, 0.3, 0.75},
		{"does not close slots in which more is answered", 200, 1, 0.3, 0.2}, // 64 of 200
		{"may have as many as it likes of one that is not slowed down", 16, 1, 0.3, 0.85},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &strategies.Bulkhead{MaxConcurrent: 64, Adaptive: true, MaxWait: time.Hour}
				m := &ownModel{bears: tc.bears, power: tc.power, rng: rand.New(rand.NewPCG(1, 2))}
				share, slots := asked(b, m, 80, tc.sigma, 10*time.Minute, 20*time.Minute)
				t.Logf("%.2f of what it could answer, with %d slots", share, slots)
				if share < tc.least {
					t.Errorf("%.2f of what it could answer, with %d slots", share, slots)
				}
			})
		})
	}
	t.Run("it follows a model that changes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Bulkhead{MaxConcurrent: 64, Adaptive: true, MaxWait: time.Hour}
			m := &ownModel{bears: 20, power: 2, rng: rand.New(rand.NewPCG(1, 2))}
			for _, bears := range []float64{20, 5, 20} {
				m.bears = bears
				if share, slots := asked(b, m, 80, 0.3, 15*time.Minute, 15*time.Minute); share < 0.7 {
					t.Errorf("bears %v: %.2f of what it could answer, with %d slots", bears, share, slots)
				}
			}
		})
	})
	adapting := func() *strategies.Bulkhead {
		return &strategies.Bulkhead{MaxConcurrent: 40, Adaptive: true, MaxWait: time.Minute, Reserve: 20}
	}
	t.Run("slots that nobody needs tell nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := adapting()
			first := b.Limit()
			for range 1000 {
				_ = b.Acquire(t.Context())
				time.Sleep(time.Second)
				b.Settle(time.Second, strategies.Verdict{})
				b.Release()
			}
			if b.Limit() != first {
				t.Errorf("%d slots, at first %d", b.Limit(), first)
			}
		})
	})
	t.Run("a timeout closes three in ten, once for all who were under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Bulkhead{MaxConcurrent: 64, Adaptive: true}
			if b.Limit() != 4 || b.Used() {
				t.Errorf("%d slots at first", b.Limit())
			}
			_ = b.Acquire(t.Context())
			for _, want := range []int{2, 1, 1} { // 4 at first
				time.Sleep(time.Hour)
				for range 5 { // they have begun before each other's end
					b.Settle(time.Minute, strategies.VerdictOf(strategies.ClassTimeout))
				}
				if b.Limit() != want {
					t.Errorf("%d slots, want %d", b.Limit(), want)
				}
			}
			for _, c := range []strategies.Class{strategies.ClassCanceled, strategies.ClassBadRequest, strategies.ClassTransient} {
				time.Sleep(time.Hour)
				before := b.Limit()
				for range 100 {
					b.Settle(time.Minute, strategies.VerdictOf(c))
				}
				if b.Limit() != before {
					t.Errorf("%v: %d slots, then %d", c, before, b.Limit())
				}
			}
		})
	})
	t.Run("who waits gets a slot that opens, and the interactive their share", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := adapting() // 4 at first, half of them reserved
			var waits sync.WaitGroup
			for range 2 {
				if err := b.Acquire(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			waits.Go(func() {
				if err := b.Acquire(t.Context()); err != nil {
					t.Errorf("no slot: %v", err)
				}
			})
			synctest.Wait()
			if b.Waiting() != 1 || b.InFlight() != 2 {
				t.Errorf("%d wait for the reserved, %d in flight", b.Waiting(), b.InFlight())
			}
			for range 40 { // two looks: the first says what is light
				time.Sleep(time.Second)
				b.Settle(time.Second/2, strategies.Verdict{})
			}
			waits.Wait()
			if b.InFlight() != 3 || b.Limit() < 6 {
				t.Errorf("%d in flight, %d slots", b.InFlight(), b.Limit())
			}
		})
	})
	t.Run("without it nothing changes", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 7}
		for range 100 {
			b.Settle(time.Hour, strategies.VerdictOf(strategies.ClassTimeout))
		}
		if b.Limit() != 7 {
			t.Errorf("%d slots", b.Limit())
		}
	})
}

func TestBulkheadAdaptsForMany(t *testing.T) {
	b := &strategies.Bulkhead{MaxConcurrent: 16, Adaptive: true, MaxWait: time.Minute}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for j := range 200 {
				p := strategies.Priority(i%3 - 1)
				if err := b.AcquireAs(t.Context(), p); err != nil {
					t.Error(err)
					return
				}
				v := strategies.Verdict{}
				if j%50 == 0 {
					v = strategies.VerdictOf(strategies.ClassOverloaded)
				}
				b.Settle(time.Duration(1+i*j), v)
				b.ReleaseAs(p)
			}
		})
	}
	all.Wait()
	if b.InFlight() != 0 || b.Waiting() != 0 || b.Limit() < 1 || b.Limit() > 16 {
		t.Errorf("%d in flight, %d waiting, %d slots", b.InFlight(), b.Waiting(), b.Limit())
	}
}

func TestBulkheadAdaptiveSettings(t *testing.T) {
	t.Run("they change while it is in use", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 6}
		for range 6 {
			if err := b.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i, step := range []struct {
			to   *strategies.Bulkhead
			want int
		}{
			{&strategies.Bulkhead{MaxConcurrent: 20, Adaptive: true}, 4},
			{&strategies.Bulkhead{MaxConcurrent: 3, Adaptive: true}, 3},
			{&strategies.Bulkhead{MaxConcurrent: 20, Adaptive: true}, 3},
			{&strategies.Bulkhead{MaxConcurrent: 9}, 9},
		} {
			if err := b.Update(step.to); err != nil {
				t.Fatal(err)
			}
			if b.Limit() != step.want || b.Adapts() != (i < 3) || b.Anew().Adaptive != (i < 3) {
				t.Errorf("%v: %d slots, adapts %v, want %d", step.to, b.Limit(), b.Adapts(), step.want)
			}
			if err := b.Acquire(t.Context()); (err == nil) != (step.want > 6) {
				t.Errorf("%v: a seventh slot: %v", step.to, err)
			}
		}
	})
	if err := (&strategies.Bulkhead{MaxConcurrent: 1, Adaptive: true}).Validate(); err == nil {
		t.Error("one slot that adapts is accepted")
	}
	b := &strategies.Bulkhead{MaxConcurrent: 64, Adaptive: true, MaxWait: time.Second}
	if got, want := b.String(), "up to 64 at a time, as many as it bears, waits 1s for a slot"; got != want {
		t.Errorf("described as %q, want %q", got, want)
	}
}
