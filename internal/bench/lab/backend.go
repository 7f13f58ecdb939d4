package lab

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Answer is what an agent says.
type Answer struct {
	By     string
	Good   bool
	Header http.Header // what is left of the agent's plan, if it has one
}

// StatusError is an API's refusal, in the shape that SDKs give it.
type StatusError struct {
	StatusCode int
	Code       string
	Header     http.Header
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d %s", e.StatusCode, e.Code) }

// Call is the record of one call that reached an agent.
type Call struct {
	Agent   string
	Request int
	At      time.Duration
	// Futile: the agent was certain to refuse it. It was down, over its limit,
	// without quota, or the request is one that it always refuses.
	Futile bool
	// Limited: it was over the limit of calls or tokens, and got a 429.
	Limited bool
	// Crowded: it was refused, or given up, because the agent had too much to do.
	Crowded bool
}

// backend is one agent, with its faults.
type backend struct {
	name   string
	agent  Agent
	day    *Scenario
	faults []*Fault
	start  time.Time

	mu     sync.Mutex
	asked  []int           // calls so far, by request
	free   []time.Duration // when each server is
	starts []time.Duration // of those that wait
	passed map[window]int  // calls let through by a limit
	at     int             // calls that it works on
	plan   *bucket         // nil: there is none
	shared *sharing        // nil: a call takes as long as it takes
	bears  int             // how many of them it bears; 0: it is warm
	calls  []*Call
}

// window is a period of a fault's limit, counted from where the fault begins.
type window struct {
	fault int
	since time.Duration
	n     int64
}

func newBackend(name string, agent Agent, day *Scenario, requests int) *backend {
	b := &backend{
		name: name, agent: agent, day: day, start: time.Now(),
		asked: make([]int, requests), free: make([]time.Duration, agent.Servers), passed: map[window]int{},
		plan: newBucket(agent.Plan), shared: newSharing(agent.Thrash),
	}
	for i := range day.Faults {
		if day.Faults[i].On == name {
			b.faults = append(b.faults, &day.Faults[i])
		}
	}
	return b
}

// Run answers a request, or does not.
func (b *backend) Run(ctx context.Context, req Request) (Answer, error) {
	b.mu.Lock()
	k := b.asked[req.Number]
	b.asked[req.Number]++
	call := &Call{Agent: b.name, Request: req.Number, At: time.Since(b.start)}
	b.calls = append(b.calls, call)
	b.mu.Unlock()

	luck := func(what int) float64 { return draw(b.day.Seed, what, req.Number, k, b.name) }
	if err := sleep(ctx, between(5*time.Millisecond, 25*time.Millisecond, luck(forUplink))); err != nil {
		return Answer{}, err
	}
	d := b.decide(req, call, luck)
	if d.hang {
		<-ctx.Done()
		return Answer{}, ctx.Err()
	}
	if d.works {
		defer b.leaves()
	}
	takes := sleep
	if d.works && b.shared != nil {
		takes = b.shared.work
	}
	if err := takes(ctx, d.takes); err != nil {
		call.Crowded = d.queued > b.agent.Median.D() || b.shared != nil // mostly spent waiting
		return Answer{}, err
	}
	if d.refusal != nil {
		return Answer{}, d.refusal
	}
	b.warmer()
	answer := Answer{By: b.name, Good: !d.bad}
	if b.plan != nil {
		answer.Header = http.Header{"X-Ratelimit-Remaining-Tokens": {strconv.Itoa(d.left)}}
	}
	return answer, nil
}

// decision is what becomes of a call.
type decision struct {
	takes   time.Duration
	queued  time.Duration // of it, waiting for a server
	refusal *StatusError
	hang    bool
	bad     bool
	works   bool // the agent works on it, and gives no refusal
	left    int  // tokens of its plan
}

func (b *backend) decide(req Request, call *Call, luck func(int) float64) decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Since(b.start)
	refuse := func(status int, code string, retryAfter time.Duration) decision {
		e := &StatusError{StatusCode: status, Code: code, Header: http.Header{}}
		if retryAfter > 0 {
			e.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(retryAfter.Seconds()))))
		}
		return decision{takes: between(50*time.Millisecond, 250*time.Millisecond, luck(forRefusal)), refusal: e}
	}
	if req.Poison {
		call.Futile = true
		return refuse(b.day.Refusal, map[bool]string{true: "invalid_request_error"}[b.day.Refusal == 400], 0)
	}
	slow, bad := 1.0, false
	for i, f := range b.faults {
		since, on := f.active(now)
		if !on {
			continue
		}
		if f.Limit != nil {
			in := window{i, since, int64((now - since) / f.Limit.Per.D())}
			if b.passed[in]++; b.passed[in] > f.Limit.Calls {
				call.Futile, call.Limited = true, true
				next := since + time.Duration(in.n+1)*f.Limit.Per.D()
				if f.Limit.Mute {
					next = now
				}
				return refuse(429, "rate_limit_exceeded", min(next, since+f.For.D())-now)
			}
		}
		if luck(forError) < f.Errors {
			call.Futile = f.Errors == 1
			b.cools()
			return refuse(f.Status, f.Code, 0)
		}
		if luck(forHang) < f.Hangs {
			call.Futile = f.Hangs == 1
			return decision{hang: true}
		}
		slow *= f.Slow
		bad = bad || luck(forBad) < f.Bad
	}
	if req.Tricky {
		t := b.day.Tricky
		bad = bad || luck(forTold) < map[bool]float64{false: t.Bad, true: t.Told}[req.Told]
	}
	left := 0
	if b.plan != nil {
		wait, remaining := b.plan.take(now, req.Tokens)
		if left = remaining; wait > 0 {
			call.Futile, call.Limited = true, true
			return refuse(429, "rate_limit_exceeded", wait)
		}
	}
	if b.bears > 0 && b.at >= b.bears { // too many: it falls over
		call.Crowded = true
		b.cools()
		return refuse(503, "overloaded", 0)
	}
	service := float64(b.agent.lognormal(luck(forLatency), luck(forLatency2))) * slow
	if t := b.agent.Tail; t != nil && luck(forTail) < t.Share {
		service *= t.Times
	}
	wait, ok := time.Duration(0), true
	if b.agent.Servers > 0 {
		service *= 1 + b.agent.Slowdown*b.busy(now)
		wait, ok = b.enqueue(now, time.Duration(service))
	}
	if !ok {
		call.Crowded = true
		return refuse(503, "overloaded", 0)
	}
	b.at++
	return decision{takes: wait + time.Duration(service), queued: wait, bad: bad, works: true, left: left}
}

// cools empties the caches of an agent that has some.
func (b *backend) cools() {
	if b.agent.Cold != nil {
		b.bears = b.agent.Cold.Calls
	}
}

// warmer is what an answer makes an agent: it bears one more call at a time.
func (b *backend) warmer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bears == 0 {
		return
	}
	if b.bears++; b.bears > b.agent.Cold.Warm {
		b.bears = 0
	}
}

func (b *backend) leaves() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at--
}

// busy is the share of servers that are.
func (b *backend) busy(now time.Duration) float64 {
	n := 0
	for _, free := range b.free {
		if free > now {
			n++
		}
	}
	return float64(n) / float64(len(b.free))
}

// enqueue gives a call the server that is free first, and says how long it
// waits for it; false if the queue is full.
func (b *backend) enqueue(now, service time.Duration) (wait time.Duration, ok bool) {
	b.starts = slices.DeleteFunc(b.starts, func(at time.Duration) bool { return at <= now })
	first := slices.Index(b.free, slices.Min(b.free))
	start := max(now, b.free[first])
	if start > now {
		if len(b.starts) >= b.agent.Queue {
			return 0, false
		}
		b.starts = append(b.starts, start)
	}
	b.free[first] = start + service
	return start - now, true
}

// failing is the share of calls that fail by plan.
func (b *backend) failing(at time.Duration) float64 {
	good := 1.0
	for _, f := range b.faults {
		if _, on := f.active(at); on {
			good *= (1 - f.Errors) * (1 - f.Hangs)
			if f.Limit != nil {
				good = 0
			}
		}
	}
	return 1 - good
}

func between(low, high time.Duration, u float64) time.Duration {
	return low + time.Duration(u*float64(high-low))
}

// sleep waits, or returns early with why the context ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
