package middleware

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Scope says for whom a layer works. The builder fills it in for its layers;
// those who put a [Chain] together by hand give the same Scope to all of them.
// The zero value is an agent called "agent", with the default classifier and
// nobody told.
type Scope struct {
	Agent      string
	Classifier *strategies.Classifier
	Observer   Observer
	// Tally keeps the agent's failed calls. nil: a count of the layer's own.
	Tally *strategies.Tally
}

// scope is a Scope made ready: shared by all layers of one agent.
type scope struct {
	name       string
	classifier *strategies.Classifier
	observer   Observer
	count      *strategies.Count

	lastClass atomic.Uint32 // of the last failed attempt, for health
	tracing   atomic.Int32  // calls of Outcome under way; see record

	longest time.Duration // of one attempt, with its wait for a slot; 0: no bound
}

func (s Scope) ready() *scope {
	name := s.Agent
	if name == "" {
		name = defaultName
	}
	count := &strategies.Count{}
	if s.Tally != nil {
		count = s.Tally.Of(name)
	}
	return &scope{name: name, classifier: s.Classifier, observer: s.Observer, count: count}
}

const defaultName = "agent"

// emit tells the observer, if there is one. An Event is large: where a failure
// should cost little, ask for the observer before one is made.
func (s *scope) emit(ctx context.Context, e Event) {
	if s.observer == nil {
		return
	}
	e.Agent = s.name
	if e.ServedBy == "" {
		e.ServedBy = s.name
	}
	e.Time = time.Now()
	s.observer.Observe(ctx, e)
}

// judge asks the classifier about err. A failure that an inner layer of the
// same agent has already put together keeps its class.
func (s *scope) judge(ctx context.Context, err error) strategies.Verdict {
	if re := s.own(err); re != nil && ctx.Err() == nil {
		return s.classifier.VerdictOf(re.Class)
	}
	return judged(s.classifier, ctx, err)
}

// own returns err if it is this agent's failure as put together by an inner
// layer. An agent may itself fail with a RecoveryError, of another agent that
// it called: that one is an error like any other.
func (s *scope) own(err error) *strategies.RecoveryError {
	if re, ok := err.(*strategies.RecoveryError); ok && re.Agent == s.name {
		return re
	}
	return nil
}

// failed books a failed attempt of the agent and tells the observer.
func (s *scope) failed(ctx context.Context, err error, v strategies.Verdict, attempt int) strategies.Attempt {
	if v.Class != strategies.ClassCanceled {
		s.lastClass.Store(uint32(v.Class))
	}
	if s.observer != nil {
		s.emit(ctx, Event{Kind: EventAttemptFailed, Attempt: attempt, Class: v.Class, Err: err})
	}
	return strategies.Attempt{Agent: s.name, Class: v.Class, Err: err}
}

// newFailure is the agent's failure before its first attempt is noted, with room
// for it: most failures have one, and so cost one allocation.
func (s *scope) newFailure() *strategies.RecoveryError {
	f := &struct {
		strategies.RecoveryError
		first [1]strategies.Attempt
	}{}
	f.Agent, f.Attempts = s.name, f.first[:0]
	return &f.RecoveryError
}

// failure returns err as this agent's failure: the one an inner layer put
// together, or a new one with a single attempt. It may be added to.
func (s *scope) failure(ctx context.Context, err error, v strategies.Verdict) *strategies.RecoveryError {
	re := s.own(err)
	if re == nil {
		re = s.newFailure()
		re.Attempts = append(re.Attempts, s.failed(ctx, err, v, 1))
	}
	s.conclude(ctx, re, v)
	return re
}

// conclude says what is required now, by the verdict that decides.
func (s *scope) conclude(ctx context.Context, re *strategies.RecoveryError, v strategies.Verdict) {
	re.Class = v.Class
	switch {
	case v.Degrade:
		re.Strategy = strategies.StrategyDegradation
	case v.Intervene:
		re.Strategy = strategies.StrategyUserIntervention
	default:
		re.Strategy = strategies.StrategyNone
	}
	if re.Cause == nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(re, cause) {
			re.Cause = cause
		}
	}
}

// final says whether an error of this class is nobody's to change any more.
func final(c strategies.Class) bool {
	return c == strategies.ClassInterrupt || c == strategies.ClassCutOff
}

// protect calls code of the user's that is not the agent's: a panic in it
// becomes the call's error, as a panic of the agent does.
func protect(f func() error) (err error) {
	defer catch(&err)
	return f()
}

// judged lets the end of ctx outrank what err says: nobody waits for another
// attempt then, unless the limit that ran out was ours.
func judged(c *strategies.Classifier, ctx context.Context, err error) strategies.Verdict {
	v := c.Classify(err)
	if cut, ok := errors.AsType[*strategies.StreamError](err); ok && v.Final {
		v.Trips = judged(c, ctx, cut.Err).Trips // a caller who hung up is nobody's failure
		return v
	}
	if err == nil || v.Pass || v.Final || ctx == nil || ctx.Err() == nil {
		return v
	}
	if _, ours := errors.AsType[*strategies.TimeoutError](context.Cause(ctx)); ours {
		hint := v.RetryAfter
		v = c.VerdictOf(strategies.ClassTimeout)
		v.RetryAfter = hint
		return v
	}
	return c.VerdictOf(strategies.ClassCanceled)
}
