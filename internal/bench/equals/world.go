package equals

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Refusal is an API's error, in the shape that SDKs give it.
type Refusal struct {
	StatusCode int
	Header     http.Header
}

func (e *Refusal) Error() string { return fmt.Sprint(e.StatusCode, " ", http.StatusText(e.StatusCode)) }

// Member is one of the equals, as its provider runs it.
type Member struct {
	Name   string
	Median time.Duration // of its answers, lognormal
	Even   bool          // all of them take that long
	Slow   float64       // times this; 0: 1
	Limit  int           // in each minute; 0: none
	Mute   bool          // it does not say when its limit is over
	Fails  func(call int) bool

	mu       sync.Mutex
	luck     *rand.Rand
	start    time.Time
	minute   int
	let      int
	Calls    int
	Refusals int
}

// Run answers, or refuses.
func (m *Member) Run(ctx context.Context, _ string) (string, error) {
	m.mu.Lock()
	m.Calls++
	at := time.Since(m.start)
	if minute := int(at / time.Minute); minute != m.minute {
		m.minute, m.let = minute, 0
	}
	takes := time.Duration(float64(m.Median) * math.Exp(0.3*m.luck.NormFloat64()) * max(m.Slow, 1))
	if m.Even {
		takes = m.Median
	}
	var err *Refusal
	switch m.let++; {
	case m.Limit > 0 && m.let > m.Limit, m.Limit < 0:
		err = &Refusal{StatusCode: 429, Header: http.Header{}}
		if !m.Mute {
			left := time.Duration(m.minute+1)*time.Minute - at
			err.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(left.Seconds()))))
		}
	case m.Fails != nil && m.Fails(m.Calls):
		err = &Refusal{StatusCode: 529}
	}
	if err != nil {
		takes = 100 * time.Millisecond
		m.Refusals++
	}
	m.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err != nil {
		return "", err
	}
	return m.Name, nil
}

// Ask is how a caller asks.
type Ask func(ctx context.Context, conversation string) (by string, err error)

// System is a way to share calls among equals.
type System struct {
	Name  string
	Build func(members []*Member) Ask
}

// Day is who calls whom.
type Day struct {
	Members  func() []*Member
	Rate     float64 // calls a second, a Poisson process
	Length   time.Duration
	Patience time.Duration
	Seed     uint64
}

// Result is what became of it.
type Result struct {
	Calls, Failed, Refusals int
	P50, P99, Max           time.Duration
	By                      []string // who answered, in the order of the calls
	Members                 []*Member
}

func (r Result) String() string {
	return fmt.Sprintf("%4d calls, %3d failed, %4d refusals, p50 %6v, p99 %6v, max %6v", r.Calls, r.Failed, r.Refusals,
		r.P50.Round(10*time.Millisecond), r.P99.Round(10*time.Millisecond), r.Max.Round(10*time.Millisecond))
}

func (d Day) members() []*Member {
	all := d.Members()
	for i, m := range all {
		m.start, m.luck = time.Now(), rand.New(rand.NewPCG(d.Seed, uint64(i)))
	}
	return all
}

// Start makes the members and whoever asks them.
func (d Day) Start(s System) Ask { return s.Build(d.members()) }

// Live lives through a day. It must be called within a testing/synctest bubble.
func (d Day) Live(s System) Result {
	members := d.members()
	ask := s.Build(members)
	luck := rand.New(rand.NewPCG(d.Seed, 1000))
	start := time.Now()
	var mu sync.Mutex
	var took []time.Duration
	r := Result{Members: members}
	var callers sync.WaitGroup
	for at := time.Duration(0); at < d.Length; at += time.Duration(luck.ExpFloat64() / d.Rate * float64(time.Second)) {
		time.Sleep(at - time.Since(start))
		r.Calls++
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), d.Patience)
			defer cancel()
			began := time.Now()
			by, err := ask(ctx, "")
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
			r.By = append(r.By, by)
			if err != nil {
				r.Failed++
			}
		})
	}
	callers.Wait()
	for _, m := range members {
		r.Refusals += m.Refusals
	}
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[min(int(q*float64(len(took))), len(took)-1)] }
	r.P50, r.P99, r.Max = at(0.5), at(0.99), at(1)
	return r
}
