package middlewaretest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Agent is a scripted agent: its n-th call does the n-th step, and the last step
// repeats. It writes down every call. Get one from [Script], [InPlaceOf] or
// [NewAgent]; the zero value answers every call with the zero value.
//
// It is a [middleware.Runner], used by pointer, and safe for concurrent use:
// calls take their steps in the order in which they come.
type Agent[Req, Resp any] struct {
	script []scripted[Req, Resp]

	mu       sync.Mutex
	begun    int // calls that took a step
	calls    []*Call[Req, Resp]
	inFlight int
	peak     int
}

// scripted is a step in the types of its agent.
type scripted[Req, Resp any] struct {
	Step
	play func(ctx context.Context, req Req) (Resp, error)
}

// Call is one call as the agent saw it.
type Call[Req, Resp any] struct {
	Request Req
	Attempt int              // as middleware.Attempt of the context says
	Level   strategies.Level // as middleware.Level of the context says
	Began   time.Time
	Due     time.Time // the deadline of the context; zero if it had none
	Ended   time.Time // zero while the call runs

	// Returned says that the call came back, with Answer and Err. It is false
	// while the call runs, and after a panic or a Goexit.
	Returned bool
	Answer   Resp
	Err      error
}

// Script returns an agent that is asked and answers with text.
func Script(steps ...Step) *Agent[string, string] {
	return newAgent[string, string]("Script", steps)
}

// InPlaceOf returns an agent with the types of another, which is never called
// and may be nil: InPlaceOf((*Narrator)(nil), ...).
func InPlaceOf[Req, Resp any](_ middleware.Runner[Req, Resp], steps ...Step) *Agent[Req, Resp] {
	return newAgent[Req, Resp]("InPlaceOf", steps)
}

// NewAgent returns an agent of any types, where there is none to take them from.
// It panics, as all three do, if a step does not fit them.
func NewAgent[Req, Resp any](steps ...Step) *Agent[Req, Resp] {
	return newAgent[Req, Resp]("NewAgent", steps)
}

func newAgent[Req, Resp any](by string, steps []Step) *Agent[Req, Resp] {
	a := &Agent[Req, Resp]{}
	for i, s := range steps {
		play, err := typed[Req, Resp](s)
		if err != nil {
			panic(fmt.Sprintf("understudy: middlewaretest.%s: step %d %v", by, i+1, err))
		}
		a.script = append(a.script, scripted[Req, Resp]{Step: s, play: play})
	}
	return a
}

// Run does the next step.
func (a *Agent[Req, Resp]) Run(ctx context.Context, req Req) (resp Resp, err error) {
	step, call := a.begin(ctx, req)
	returned := false
	defer func() { a.end(call, returned, resp, err) }()
	if step.play != nil {
		if err = step.hold(ctx); err == nil {
			resp, err = step.play(ctx, req)
		}
	}
	returned = true
	return resp, err
}

func (a *Agent[Req, Resp]) begin(ctx context.Context, req Req) (scripted[Req, Resp], *Call[Req, Resp]) {
	call := &Call[Req, Resp]{Request: req, Attempt: middleware.CallOf(ctx).Attempt(), Level: middleware.CallOf(ctx).Level(), Began: time.Now()}
	call.Due, _ = ctx.Deadline()
	a.mu.Lock()
	defer a.mu.Unlock()
	step := a.step(a.begun)
	a.begun++
	a.calls = append(a.calls, call)
	a.inFlight++
	a.peak = max(a.peak, a.inFlight)
	return step, call
}

// step returns the one of the n-th call, counted from 0.
func (a *Agent[Req, Resp]) step(n int) (last scripted[Req, Resp]) {
	for _, last = range a.script {
		if n -= 1 + last.more; n < 0 {
			break
		}
	}
	return last
}

func (a *Agent[Req, Resp]) end(call *Call[Req, Resp], returned bool, resp Resp, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	call.Ended, call.Returned, call.Answer, call.Err = time.Now(), returned, resp, err
	a.inFlight--
}

// Calls returns a copy of all calls, in the order in which they began.
func (a *Agent[Req, Resp]) Calls() []Call[Req, Resp] {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := make([]Call[Req, Resp], len(a.calls))
	for i, c := range a.calls {
		calls[i] = *c
	}
	return calls
}

// Called returns the number of calls that have begun.
func (a *Agent[Req, Resp]) Called() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// InFlight returns the number of calls under way.
func (a *Agent[Req, Resp]) InFlight() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inFlight
}

// Peak returns the most calls that were under way at one time.
func (a *Agent[Req, Resp]) Peak() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak
}

// Reset forgets the calls and begins the script anew. Calls under way end as
// they began.
func (a *Agent[Req, Resp]) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun, a.calls, a.peak = 0, nil, a.inFlight
}
