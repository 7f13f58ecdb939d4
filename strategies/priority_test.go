package strategies_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

var priorities = []strategies.Priority{strategies.PriorityBatch, strategies.PriorityNormal, strategies.PriorityInteractive}

func TestPriority(t *testing.T) {
	for _, p := range priorities {
		text, err := json.Marshal(p)
		var back strategies.Priority
		if err != nil || json.Unmarshal(text, &back) != nil || back != p {
			t.Errorf("%v is written as %s, and read as %v", p, text, back)
		}
	}
	if got := fmt.Sprint(strategies.Priority(-9), strategies.Priority(9)); got != "batch interactive" {
		t.Errorf("got %s", got)
	}
	var p strategies.Priority
	if p.UnmarshalText([]byte("VIP")) == nil {
		t.Error("read a priority that there is not")
	}
}

// queued is one who waits, as the model has it.
type queued struct {
	id       int
	priority strategies.Priority
	cancel   context.CancelFunc
	bound    int // by when it must have its turn
}

// queue is the model: a plain list, oldest first.
type queue struct {
	waiting []*queued
	passed  int
}

// next takes out whose turn it is: the most urgent, of them the oldest, but the
// oldest of all after seven turns that passed it over.
func (q *queue) next() *queued {
	at := 0
	if q.passed < 7 {
		for i, w := range q.waiting {
			if w.priority > q.waiting[at].priority {
				at = i
			}
		}
	}
	if q.passed++; at == 0 {
		q.passed = 0
	}
	w := q.waiting[at]
	q.drop(at)
	return w
}

func (q *queue) drop(at int) {
	if q.waiting = slices.Delete(q.waiting, at, at+1); len(q.waiting) == 0 {
		q.passed = 0
	}
}

// turns is a limit that gives one turn when it is told to.
type turns struct {
	acquire func(ctx context.Context, p strategies.Priority) error
	next    func()
	waiting func() int
}

// The order is that of the model, with any who come and go: by priority, then in
// order, and nobody is passed over for ever. Who goes leaves nothing behind.
func TestTurnsAreInOrder(t *testing.T) {
	for name, limit := range map[string]func() turns{
		"pace": func() turns {
			p := &strategies.Pace{RequestsPerMinute: 60, Burst: sec, MaxWait: 24 * time.Hour}
			return turns{
				func(ctx context.Context, priority strategies.Priority) error {
					_, err := p.Acquire(ctx, priority, 0)
					return err
				},
				func() { time.Sleep(sec) }, p.Waiting,
			}
		},
		"bulkhead": func() turns {
			b := &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: 24 * time.Hour}
			var last atomic.Int32
			return turns{
				func(ctx context.Context, priority strategies.Priority) error {
					err := b.AcquireAs(ctx, priority)
					if err == nil {
						last.Store(int32(priority))
					}
					return err
				},
				func() { b.ReleaseAs(strategies.Priority(last.Load())) }, b.Waiting,
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(150) {
				synctest.Test(t, func(t *testing.T) { ordered(t, limit(), rand.New(rand.NewPCG(seed, 0))) })
			}
		})
	}
}

func ordered(t *testing.T, limit turns, r *rand.Rand) {
	if err := limit.acquire(t.Context(), strategies.PriorityNormal); err != nil {
		t.Fatal(err)
	}
	model, ids := queue{}, 0
	var mu sync.Mutex
	var order []int
	done := func() []int {
		mu.Lock()
		defer mu.Unlock()
		return order
	}
	come := func() {
		ctx, cancel := context.WithCancel(t.Context())
		ids++
		w := &queued{ids, priorities[r.IntN(3)], cancel, len(done()) + 8*(len(model.waiting)+1)}
		if r.IntN(3) > 0 {
			w.priority = strategies.PriorityInteractive // so that there is somebody to be passed over for
		}
		model.waiting = append(model.waiting, w)
		go func() {
			defer cancel()
			if limit.acquire(ctx, w.priority) == nil {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, w.id)
			}
		}()
		synctest.Wait()
	}
	for step := range 60 {
		for range r.IntN(3) {
			if step < 40 {
				come()
			}
		}
		if n := len(model.waiting); n > 0 && r.IntN(5) == 0 {
			at := r.IntN(n)
			model.waiting[at].cancel()
			model.drop(at)
			synctest.Wait()
		}
		if limit.waiting() != len(model.waiting) {
			t.Fatalf("%d wait, in the model %d", limit.waiting(), len(model.waiting))
		}
		if len(model.waiting) == 0 {
			come() // a turn that nobody takes would be there at once for the next
		}
		want, before := model.next(), len(done())
		limit.next()
		synctest.Wait()
		served := done()
		if len(served) != before+1 || served[before] != want.id {
			t.Fatalf("%v were served, then it was the turn of %d", served[before:], want.id)
		}
		if len(served) > want.bound {
			t.Fatalf("it was passed over for too long: turn %d, at most %d", len(served), want.bound)
		}
	}
	for _, w := range model.waiting {
		w.cancel()
	}
	synctest.Wait()
	if limit.waiting() != 0 {
		t.Errorf("%d still wait", limit.waiting())
	}
}

// In no time are there more than its share of the rate and the burst, whoever comes,
// goes, and runs into a limit; what is learned is never above what was configured,
// and it comes back.
func TestPaceNeverLetsMoreThrough(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) { bounded(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func bounded(t *testing.T, r *rand.Rand) {
	p := &strategies.Pace{
		RequestsPerMinute: 1 + r.IntN(3000), TokensPerMinute: 1000 + r.IntN(1_000_000),
		Burst: time.Duration(1+r.IntN(60)) * sec, MaxWait: time.Duration(1+r.IntN(100)) * sec,
	}
	p.Reserve = time.Duration(r.Int64N(int64(p.Burst)))
	type grant struct {
		at     time.Time
		tokens int
	}
	var mu sync.Mutex
	var grants []grant
	var all sync.WaitGroup
	largest, refused := 0, 0
	for range 100 + r.IntN(200) {
		time.Sleep(time.Duration(r.ExpFloat64() * float64(time.Minute) / float64(p.RequestsPerMinute) / 2))
		tokens := r.IntN(2 * p.TokensPerMinute / p.RequestsPerMinute)
		if r.IntN(20) == 0 {
			tokens = r.IntN(p.TokensPerMinute)
		}
		largest = max(largest, tokens)
		priority, patience, limit := priorities[r.IntN(3)], time.Duration(r.ExpFloat64()*float64(20*sec)), r.IntN(60) == 0
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			turn, err := p.Acquire(ctx, priority, tokens)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused++
				return
			}
			grants = append(grants, grant{time.Now(), tokens})
			if limit {
				turn.Settle(limited(time.Duration(tokens%3) * sec))
			}
		})
		if r.IntN(20) > 0 {
			continue
		}
		if calls, used := p.Rate(); calls > float64(p.RequestsPerMinute)+1e-6 || used > float64(p.TokensPerMinute)+1e-6 {
			t.Fatalf("the rate is %v and %v", calls, used)
		}
	}
	all.Wait()
	share := func(perMinute int, d time.Duration) float64 { return float64(perMinute) * d.Minutes() }
	calls, tokens := max(1, share(p.RequestsPerMinute, p.Burst)), share(p.TokensPerMinute, p.Burst)+float64(largest)
	for i := range grants {
		used := 0
		for j, g := range grants[i:] {
			used += g.tokens
			d := g.at.Sub(grants[i].at)
			if most := calls + share(p.RequestsPerMinute, d); float64(j+1) > most+0.001 {
				t.Fatalf("%v: %d calls in %v, at most %v", p, j+1, d, most)
			}
			if most := tokens + share(p.TokensPerMinute, d); float64(used) > most+0.001 {
				t.Fatalf("%v: %d tokens in %v, at most %v", p, used, d, most)
			}
		}
	}
	time.Sleep(10 * time.Minute)
	if calls, used := p.Rate(); p.Waiting() != 0 || math.Abs(calls-float64(p.RequestsPerMinute)) > 1e-6 || math.Abs(used-float64(p.TokensPerMinute)) > 1e-6 {
		t.Fatalf("in the end %d wait, and the rate is %v and %v", p.Waiting(), calls, used)
	}
}

// A person came behind a nightly batch, and waited until all of it was done.
func TestAPersonDoesNotWaitBehindABatch(t *testing.T) {
	for _, tt := range []struct {
		it       string
		reserve  int
		priority strategies.Priority
		want     time.Duration
	}{
		{"waits for all of it, if nobody says that it is a person", 0, strategies.PriorityBatch, 125 * sec},
		{"has the next slot", 0, strategies.PriorityInteractive, sec},
		{"has a slot at once, where one is kept", 1, strategies.PriorityInteractive, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &strategies.Bulkhead{MaxConcurrent: 4 + tt.reserve, MaxWait: time.Hour, Reserve: tt.reserve}
				var all sync.WaitGroup
				for range 500 {
					all.Go(func() {
						if err := b.AcquireAs(t.Context(), strategies.PriorityBatch); err != nil {
							t.Error(err)
							return
						}
						defer b.ReleaseAs(strategies.PriorityBatch)
						time.Sleep(sec)
					})
				}
				synctest.Wait()
				begin := time.Now()
				if err := b.AcquireAs(t.Context(), tt.priority); err != nil || time.Since(begin) != tt.want {
					t.Errorf("%v after %v, want %v", err, time.Since(begin), tt.want)
				}
				b.ReleaseAs(tt.priority)
				all.Wait()
				if b.InFlight() != 0 || b.Waiting() != 0 {
					t.Errorf("%d in flight, %d waiting", b.InFlight(), b.Waiting())
				}
			})
		})
	}
}

// Whose slots are all taken keeps nobody from those that are kept for others, however
// often it was passed over.
func TestReservedSlotsAreNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 2, Reserve: 1, MaxWait: time.Hour}
		var all sync.WaitGroup
		var batch time.Duration
		begin := time.Now()
		come := func(p strategies.Priority, d time.Duration) {
			all.Go(func() {
				if err := b.AcquireAs(t.Context(), p); err != nil {
					t.Error(err)
					return
				}
				if p == strategies.PriorityBatch {
					batch = time.Since(begin)
				}
				time.Sleep(d)
				b.ReleaseAs(p)
			})
			synctest.Wait()
		}
		come(strategies.PriorityNormal, 100*sec)
		come(strategies.PriorityInteractive, sec)
		come(strategies.PriorityBatch, 0)
		for range 20 {
			come(strategies.PriorityInteractive, sec)
		}
		time.Sleep(21 * sec)
		synctest.Wait()
		if b.Waiting() != 1 || b.InFlight() != 1 {
			t.Errorf("%d wait and %d are in flight: the persons had a slot", b.Waiting(), b.InFlight())
		}
		all.Wait()
		if batch != 100*sec || b.Waiting() != 0 || b.InFlight() != 0 {
			t.Errorf("the batch went on after %v; %d wait, %d are in flight", batch, b.Waiting(), b.InFlight())
		}
	})
}
