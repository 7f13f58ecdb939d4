//go:build go1.25

package middlewaretest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
)

// Liberty is something that a layer may do and another may not. Without any the
// suite expects a layer that asks the agent once a call and hands on what it
// said.
type Liberty uint8

const (
	// AllowRetries: it may ask an agent that failed again.
	AllowRetries Liberty = iota
	// AllowRecovery: it may answer in the place of an agent that failed.
	AllowRecovery
	// AllowRefusals: it may fail a call without asking the agent, if others
	// failed or are under way, but not for more than an hour after.
	AllowRefusals
)

// Conform checks that a layer keeps the contract of [middleware.Middleware] and
// of the [middleware.Runner] that it makes. Each rule is a subtest:
//
//   - hands on request and answer: unchanged, and a healthy agent is asked once
//   - hands on the error: it is within reach of errors.Is
//   - answers zero with an error: also after an earlier answer
//   - asks a failing agent once: unless there is [AllowRetries]
//   - leaves an interrupt alone: it is no failure, whatever the layer may do
//   - hands on the context: its values reach the agent
//   - respects a cancelled context: a call returns soon after its context ended,
//     says so, and begins nothing anew
//   - is safe for concurrent use: no call meets what is another's
//   - survives a panic, survives a Goexit: of the agent; later calls work
//   - leaves nothing behind: no goroutine, no context that is still open
//   - wraps each agent by itself: used twice it makes two runners
//
// layer returns the middleware to check, a fresh one at each call, with settings
// as tight as they get: a leaked slot is seen in a bulkhead of one, not of a
// hundred. (Concurrent calls then need [AllowRefusals].)
//
// Most rules run in a testing/synctest bubble, so waiting costs no time; this is
// why the suite needs Go 1.25, where the rest of the package needs no more than
// the module does. Run the suite with the race detector on: that is the half of "safe for concurrent use"
// that cannot be seen from outside.
func Conform(t *testing.T, layer func() middleware.Middleware[string, string], allowed ...Liberty) {
	t.Helper()
	ConformWith(t, layer, texts, allowed...)
}

// ConformWith is [Conform] for a layer that is made for other types. sample
// returns the n-th of many different requests and the answer it shall get, which
// must not be the zero value. Both are compared with reflect.DeepEqual.
func ConformWith[Req, Resp any](t *testing.T, layer func() middleware.Middleware[Req, Resp], sample func(n int) (Req, Resp), allowed ...Liberty) {
	t.Helper()
	if problem := unfit(layer, sample); problem != "" {
		t.Fatal("understudy: middlewaretest.Conform: " + problem)
	}
	for _, r := range rules[Req, Resp]() {
		t.Run(r.name, func(t *testing.T) {
			for _, breach := range r.judge(t, layer, sample, allowed, patience) {
				t.Error(breach)
			}
		})
	}
}

func texts(n int) (request, answer string) {
	return fmt.Sprintf("question %d", n), fmt.Sprintf("answer %d", n)
}

// unfit says what no rule could be checked with.
func unfit[Req, Resp any](layer func() middleware.Middleware[Req, Resp], sample func(n int) (Req, Resp)) string {
	switch {
	case layer == nil || sample == nil:
		return "a function is nil"
	case layer() == nil:
		return "the layer is nil"
	}
	all := draw(sample)
	for n, s := range all {
		if reflect.ValueOf(&s.answer).Elem().IsZero() {
			return fmt.Sprintf("sample %d has the zero answer, as a failed call has", n)
		}
		for _, earlier := range all[:n] {
			if reflect.DeepEqual(earlier.request, s.request) || reflect.DeepEqual(earlier.answer, s.answer) {
				return fmt.Sprintf("sample %d is no different from an earlier one", n)
			}
		}
	}
	return ""
}

// patience is how long, in real time, a rule may take before its layer is said
// to hang: a lock that was never given back would stop the suite without a word,
// for a bubble's time stands still then. A layer that does not hang never waits
// for it.
const patience = 10 * time.Second

// rule is one thing a layer has to do.
type rule[Req, Resp any] struct {
	name  string
	check func(*trial[Req, Resp])
}

// judge returns what a layer does wrong by a rule. It never fails t, so that the
// suite itself can be put to the test.
func (r rule[Req, Resp]) judge(t *testing.T, layer func() middleware.Middleware[Req, Resp], source func(n int) (Req, Resp), allowed []Liberty, patience time.Duration) []string {
	tr := &trial[Req, Resp]{t: t, layer: layer, source: source, samples: draw(source), allowed: allowed}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tr.guarded(func() { r.check(tr) })
	}()
	select {
	case <-done:
	case <-time.After(patience):
		tr.breach("a call hangs: is a lock held, or never given back?")
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.breaches)
}
