package lab

import (
	"context"
	"sync"
	"time"
)

// Trace is all that happened on one day in one system.
type Trace struct {
	Ends     []End // by request
	Calls    []*Call
	Openings []time.Duration // of the primary's breaker

	primary *backend
}

// End is how a request ended.
type End struct {
	Request Request
	Took    time.Duration
	Answer  Answer
	Err     error
}

// Simulate lives through a day with one system. It must be called within a
// testing/synctest bubble, in which a day takes a moment.
func Simulate(day *Scenario, system System) *Trace {
	requests := day.Requests()
	start := time.Now()
	trace := &Trace{Ends: make([]End, len(requests))}
	var mu sync.Mutex
	trace.primary = newBackend(Primary, day.Primary, day, len(requests))
	env := Env{Primary: trace.primary.Run, Timeout: day.Timeout.D(), Means: day.Means, Opened: func() {
		mu.Lock()
		defer mu.Unlock()
		trace.Openings = append(trace.Openings, time.Since(start))
	}}
	var standIn *backend
	if day.StandIn != nil {
		standIn = newBackend(StandIn, *day.StandIn, day, len(requests))
		env.StandIn = standIn.Run
	}
	ask := nested(day, system, env)

	var callers sync.WaitGroup
	for i, req := range requests {
		time.Sleep(req.At - time.Since(start))
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), day.Patience.D())
			defer cancel()
			answer, err := ask(ctx, req)
			trace.Ends[i] = End{req, time.Since(start) - req.At, answer, err}
		})
	}
	callers.Wait()
	trace.Calls = trace.primary.calls
	if standIn != nil {
		trace.Calls = append(trace.Calls, standIn.calls...)
	}
	return trace
}
