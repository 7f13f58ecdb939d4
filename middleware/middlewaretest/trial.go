//go:build go1.25

package middlewaretest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
)

// trial is a rule being checked against a layer.
type trial[Req, Resp any] struct {
	t       *testing.T // for its bubbles; breaches are kept
	layer   func() middleware.Middleware[Req, Resp]
	source  func(n int) (Req, Resp)
	samples []sample[Req, Resp] // drawn from it once, for it may be slow
	allowed []Liberty

	mu       sync.Mutex
	breaches []string
}

// sample is a request and the answer it shall get.
type sample[Req, Resp any] struct {
	request Req
	answer  Resp
}

// many is how many samples the suite asks for, and how many calls it makes at a
// time. One more sample is the answer to what nobody has asked.
const many = 32

func draw[Req, Resp any](source func(n int) (Req, Resp)) []sample[Req, Resp] {
	all := make([]sample[Req, Resp], many+1)
	for n := range all {
		all[n].request, all[n].answer = source(n)
	}
	return all
}

func (tr *trial[Req, Resp]) breach(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if s := fmt.Sprintf(format, args...); !slices.Contains(tr.breaches, s) {
		tr.breaches = append(tr.breaches, s)
	}
}

func (tr *trial[Req, Resp]) may(l Liberty) bool { return slices.Contains(tr.allowed, l) }

// guarded makes a breach of a panic while a layer is made or put around an agent.
func (tr *trial[Req, Resp]) guarded(f func()) {
	defer func() {
		if v := recover(); v != nil {
			tr.breach("the layer panics: %v", v)
		}
	}()
	f()
}

// bubble runs f with time of its own. A call that waits for what never comes is
// a breach; what is left waiting when f is through is one by its own rule only,
// see leavesNothing.
func (tr *trial[Req, Resp]) bubble(f func()) {
	through := false
	defer func() {
		if v := recover(); v != nil && !through {
			tr.breach("the layer hangs for ever: %v", v)
		}
	}()
	synctest.Test(tr.t, func(*testing.T) {
		tr.guarded(f)
		through = true
	})
}

var errAgent = errors.New("the agent fails on purpose")

// outcome is how a call ended.
type outcome[Resp any] struct {
	resp  Resp
	err   error
	ended string
}

const returns, exits, hangsOn = "returns", "ends its goroutine", "hangs"

func (o outcome[Resp]) String() string {
	if o.ended != returns {
		return o.ended
	}
	return fmt.Sprintf("has the answer %#v and the error %v", o.resp, o.err)
}

// call makes the n-th call on a goroutine of its own, which may panic, exit or
// hang.
func (tr *trial[Req, Resp]) call(ctx context.Context, r middleware.Runner[Req, Resp], n int) outcome[Resp] {
	result := make(chan outcome[Resp], 1)
	go func() {
		o := outcome[Resp]{ended: exits}
		defer func() {
			if v := recover(); v != nil {
				o.ended = fmt.Sprintf("panics: %v", v)
			}
			result <- o
		}()
		o.resp, o.err = r.Run(ctx, tr.samples[n].request)
		o.ended = returns
	}()
	late := time.NewTimer(7 * 24 * time.Hour)
	defer late.Stop()
	select {
	case o := <-result:
		return o
	case <-late.C:
		return outcome[Resp]{ended: hangsOn}
	}
}

// asked returns which sample a request is.
func (tr *trial[Req, Resp]) asked(req Req) int {
	for n, s := range tr.samples[:many] {
		if reflect.DeepEqual(req, s.request) {
			return n
		}
	}
	return many
}

// answer is the step of an agent that knows the answer to every sample.
func (tr *trial[Req, Resp]) answer() Step {
	return Do(func(_ context.Context, req Req) (Resp, error) { return tr.samples[tr.asked(req)].answer, nil })
}

// hang is the step of an agent that hangs, but not for ever: it could not tell
// then how long a layer made its caller wait.
func (tr *trial[Req, Resp]) hang() Step {
	return Do(func(ctx context.Context, _ Req) (none Resp, err error) {
		if err = sleep(ctx, time.Hour); err == nil {
			err = errAgent
		}
		return none, err
	})
}

// wrap puts a fresh layer around an agent that follows the steps.
func (tr *trial[Req, Resp]) wrap(steps ...Step) (*Agent[Req, Resp], middleware.Runner[Req, Resp]) {
	agent := NewAgent[Req, Resp](steps...)
	return agent, middleware.Chain(agent, tr.layer())
}

// served wants the n-th call to have an answer, and none that is another's.
// That it be unchanged is a rule of its own.
func (tr *trial[Req, Resp]) served(what string, n int, o outcome[Resp]) {
	if o.ended != returns || o.err != nil {
		tr.breach("%s %v, where an answer was to be had", what, o)
		return
	}
	for other, s := range tr.samples[:many] {
		if reflect.DeepEqual(o.resp, s.answer) && other != n {
			tr.breach("%s has another's answer: %#v", what, o.resp)
		}
	}
}

// failed wants a call to end with an error, or to be recovered if that may be.
func (tr *trial[Req, Resp]) failed(what string, o outcome[Resp]) {
	switch {
	case o.ended != returns:
		tr.breach("%s %v, where an error was to be returned", what, o)
	case o.err == nil && !tr.may(AllowRecovery):
		tr.breach("%s %v; AllowRecovery would allow it", what, o)
	}
}

// refused says whether a call was refused, and may be.
func (tr *trial[Req, Resp]) refused(o outcome[Resp]) bool {
	return tr.may(AllowRefusals) && o.ended == returns && o.err != nil
}

// together runs f(0), f(1) and so on at the same time.
func (tr *trial[Req, Resp]) together(f func(n int)) {
	var all sync.WaitGroup
	for n := range many {
		all.Add(1)
		go func() {
			defer all.Done()
			f(n)
		}()
	}
	all.Wait()
}
