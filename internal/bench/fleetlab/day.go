package fleetlab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/farstore"
)

const (
	callers = 4
	period  = 10 * time.Second // of a caller, on average

	rested     = time.Minute // from here the fleet is at rest
	outage     = 2 * time.Minute
	opened     = 25 * time.Second // into the outage: no breaker has tried again yet
	outageEnd  = outage + 5*time.Minute
	limited    = outageEnd + 3*time.Minute
	limitedEnd = limited + retryAfter
	dayEnd     = limitedEnd + 30*time.Second
	retryAfter = 30 * time.Second
)

// Day is what is wrong with the store.
type Day struct {
	Name    string
	Latency time.Duration
	Loss    float64       // share of operations whose question or answer is lost
	Cut     float64       // share of replicas that do not reach it, from the outage on
	Away    bool          // nobody does
	Ahead   time.Duration // its clock
	Rollout bool          // each replica is replaced during the outage
	Drains  bool          // what is under way when the outage begins is answered, and not cut off
}

// Days are those that are lived through.
func Days() []Day {
	const near, far = 5 * time.Millisecond, 60 * time.Millisecond
	return []Day{
		{Name: "near", Latency: near},
		{Name: "far", Latency: far},
		{Name: "lossy", Latency: near, Loss: 0.05},
		{Name: "parted", Latency: near, Cut: 0.3},
		{Name: "away", Latency: near, Away: true},
		{Name: "skewed", Latency: near, Ahead: 2 * time.Hour},
		{Name: "rollout", Latency: near, Rollout: true},
		{Name: "draining", Latency: near, Drains: true},
	}
}

// Row is what was measured.
type Row struct {
	Day      string
	System   string
	Replicas int

	Opening int           // calls to the dead provider in the first 25 s
	Outage  int           // and in the rest of its five minutes
	Back    time.Duration // from its end until calls are let through as before
	Limited int           // requests that began after the first 429 was received
	Waited  time.Duration // the longest that a call waited for leave
	Rest    float64       // operations of the store a second and replica, at rest
	Trouble float64       // and during the outage
}

// provider is the upstream.
type provider struct {
	began  time.Time
	drains bool

	mu     sync.Mutex
	row    *Row
	told   time.Time       // when the first 429 was received
	served []time.Duration // after the outage
}

func (p *provider) ask() error {
	at := time.Since(p.began)
	p.mu.Lock()
	switch {
	case at >= outage && at < outage+opened:
		p.row.Opening++
	case at >= outage+opened && at < outageEnd:
		p.row.Outage++
	case at >= limited && at < limitedEnd && !p.told.IsZero():
		p.row.Limited++
	case at >= outageEnd && at < limited:
		p.served = append(p.served, at-outageEnd)
	}
	p.mu.Unlock()
	switch {
	case at >= outage && at < outageEnd:
		time.Sleep(20 * time.Millisecond)
		return &statusError{StatusCode: http.StatusServiceUnavailable}
	case at >= limited && at < limitedEnd:
		time.Sleep(20 * time.Millisecond)
		p.mu.Lock()
		if p.told.IsZero() {
			p.told = time.Now()
		}
		p.mu.Unlock()
		return &statusError{http.StatusTooManyRequests, http.Header{"Retry-After": {fmt.Sprint(int(retryAfter.Seconds()))}}}
	}
	const takes = time.Second
	if left := outage - at; !p.drains && left > 0 && left < takes {
		time.Sleep(left)
		return &statusError{StatusCode: http.StatusBadGateway}
	}
	time.Sleep(takes)
	return nil
}

// back is when the provider is called as often as a well one again: the end of the first
// ten seconds with half as many calls as are usual.
func (p *provider) back(replicas int) time.Duration {
	usual := float64(replicas*callers) * (10 * time.Second).Seconds() / period.Seconds()
	for i, from := range p.served {
		n := 0
		for _, at := range p.served[i:] {
			if at >= from+10*time.Second {
				break
			}
			n++
		}
		if float64(n) >= usual/2 {
			return from
		}
	}
	return -1
}

// Live lives through a day.
func Live(t *testing.T, d Day, s System, replicas int) (row Row) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { row = live(t, d, s, replicas) })
	return row
}

func live(t *testing.T, d Day, s System, replicas int) Row {
	t.Helper()
	row := Row{Day: d.Name, System: s.Name, Replicas: replicas}
	ctx, cancel := context.WithCancel(context.Background())
	cloud := &farstore.Cloud{Ahead: d.Ahead}
	p := &provider{began: time.Now(), drains: d.Drains, row: &row}
	rnd := rand.New(rand.NewPCG(uint64(replicas), 15))
	var all []*place
	var busy sync.WaitGroup
	for i := range replicas {
		pl := &place{i: i, s: s, wire: cloud.Wire(ctx, uint64(i), d.Latency, d.Loss)}
		if d.Away {
			pl.wire.Cut(true)
		}
		if err := pl.start(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second / time.Duration(replicas))
		all = append(all, pl)
		for range callers {
			busy.Add(1)
			seed := rnd.Uint64()
			go func() {
				defer busy.Done()
				pl.work(ctx, p, rand.New(rand.NewPCG(seed, 1)))
			}()
		}
	}
	ops := func() (n int) {
		for _, pl := range all {
			n += pl.wire.Ops()
		}
		return n
	}
	until := func(at time.Duration) { time.Sleep(at - time.Since(p.began)) }
	rate := func(n int, d time.Duration) float64 { return float64(n) / float64(replicas) / d.Seconds() }
	until(rested)
	before := ops()
	until(outage - time.Second)
	row.Rest = rate(ops()-before, outage-time.Second-rested)
	for i, pl := range all {
		if float64(i) < d.Cut*float64(replicas) {
			pl.wire.Cut(true)
		}
	}
	until(outage)
	before = ops()
	if d.Rollout {
		busy.Add(1)
		go func() {
			defer busy.Done()
			for _, pl := range all {
				time.Sleep(4 * time.Minute / time.Duration(replicas))
				pl.restart(t, ctx)
			}
		}()
	}
	until(outageEnd)
	row.Trouble = rate(ops()-before, outageEnd-outage)
	until(dayEnd)
	cancel()
	busy.Wait()
	for _, pl := range all {
		pl.end()
		row.Waited = max(row.Waited, pl.waited)
	}
	row.Back = p.back(replicas)
	return row
}

// place is where one replica runs after another.
type place struct {
	i    int
	s    System
	wire *farstore.Wire

	mu     sync.Mutex
	now    replica
	waited time.Duration
}

func (pl *place) start(ctx context.Context) error {
	r, err := pl.s.start(ctx, pl.wire, fmt.Sprint("r", pl.i))
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.now = r
	return err
}

func (pl *place) restart(t *testing.T, ctx context.Context) {
	t.Helper()
	pl.end()
	if err := pl.start(ctx); err != nil {
		t.Error(err)
	}
}

func (pl *place) end() { pl.here().close() }

func (pl *place) here() replica {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.now
}

// work is a caller.
func (pl *place) work(ctx context.Context, p *provider, rnd *rand.Rand) {
	rest := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	for rest(time.Duration(rnd.Int64N(int64(2 * period)))) {
		came := time.Now()
		spent := time.Duration(0)
		pl.here().call(func() error {
			asked := time.Now()
			defer func() { spent = time.Since(asked) }()
			return p.ask()
		})
		pl.mu.Lock()
		pl.waited = max(pl.waited, time.Since(came)-spent)
		pl.mu.Unlock()
	}
}
