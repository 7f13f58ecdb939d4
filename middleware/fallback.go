package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-go/understudy/strategies"
)

// StandIn is an agent that can play the role of another, under its name.
type StandIn[Req, Resp any] struct {
	Name   string
	Runner Runner[Req, Resp]
}

// understudy is a stand-in as a chain has it: in its shorter form, and with who
// it is.
type understudy[Req, Resp any] struct {
	StandIn[Req, Resp]
	who any // see trail
}

// Fallback asks the stand-ins in order when the agent cannot answer. It stands
// outside of [Retry], so that one is called only when the agent is truly spent.
//
// A stand-in that is itself guarded is called through its own breaker, timeout
// and validation, without its own retries and stand-ins, so that one call cannot
// multiply. Any other is called as it is, a panic made an error. An agent already
// asked in the course of the call is not asked again.
//
// It costs a healthy call nothing.
func Fallback[Req, Resp any](s Scope, standIns ...StandIn[Req, Resp]) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := checkStandIns(scope.name, standIns); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return newFallback(scope, fixed(understudies(scope, standIns, nil)), next)
	}
}

func checkStandIns[Req, Resp any](agent string, standIns []StandIn[Req, Resp]) error {
	if len(standIns) == 0 {
		return &strategies.ConfigError{Setting: "Fallback", Problem: "has no stand-in", Fix: "name at least one, or leave it out"}
	}
	var errs []error
	seen := map[string]bool{}
	for _, c := range standIns {
		switch {
		case c.Name == "":
			errs = append(errs, &strategies.ConfigError{Setting: "Fallback", Problem: "has a stand-in without a name", Fix: "name it: it appears in outcomes and events"})
		case isNil(c.Runner):
			errs = append(errs, settingNil(fmt.Sprintf("Fallback %q", c.Name), "a runner"))
		case c.Name == agent:
			errs = append(errs, isAgentItself(c.Name))
		case seen[c.Name]:
			errs = append(errs, &strategies.ConfigError{Setting: fmt.Sprintf("Fallback %q", c.Name), Problem: "is named twice", Fix: "give each stand-in once"})
		}
		seen[c.Name] = true
	}
	return errors.Join(errs...)
}

func isAgentItself(name string) error {
	return &strategies.ConfigError{Setting: fmt.Sprintf("Fallback %q", name), Problem: "is the agent itself", Fix: "an agent cannot stand in for itself: use Retry, or give it another name with Named"}
}

// understudies gives each stand-in its shorter form; bare makes one of a runner
// that brings no layers of its own.
func understudies[Req, Resp any](s *scope, standIns []StandIn[Req, Resp], bare Middleware[Req, Resp]) []understudy[Req, Resp] {
	short := make([]understudy[Req, Resp], len(standIns))
	for i, c := range standIns {
		runner, who := standIn(c.Runner)
		if short[i] = (understudy[Req, Resp]{StandIn[Req, Resp]{c.Name, runner}, who}); who == nil {
			short[i].Runner, short[i].who = nest(runner, bare), place{s, c.Name}
		}
	}
	return short
}

func fixed[Req, Resp any](standIns []understudy[Req, Resp]) func() []understudy[Req, Resp] {
	return func() []understudy[Req, Resp] { return standIns }
}

func newFallback[Req, Resp any](s *scope, standIns func() []understudy[Req, Resp], next Runner[Req, Resp]) *fallback[Req, Resp] {
	return &fallback[Req, Resp]{scope: s, standIns: standIns, next: next}
}

type fallback[Req, Resp any] struct {
	scope    *scope
	standIns func() []understudy[Req, Resp] // asked at each failure: a cast grows
	next     Runner[Req, Resp]
}

func (l *fallback[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.recover(ctx, req, err)
}

func (l *fallback[Req, Resp]) recover(ctx context.Context, req Req, err error) (Resp, error) {
	var none Resp
	v := l.scope.judge(ctx, err)
	if v.Class == strategies.ClassInterrupt {
		return none, err
	}
	failure := l.scope.failure(ctx, err, v)
	if !v.Fallback {
		return none, failure
	}
	call := &asking{Context: ctx, first: trail{who: l.scope, up: trailOf(ctx)}}
	asked := &call.first
	var standIns []understudy[Req, Resp]
	if err := protect(func() error { standIns = l.standIns(); return nil }); err != nil {
		failure.Cause = errors.Join(failure.Cause, err)
	}
	for _, c := range standIns {
		if ctx.Err() != nil {
			break
		}
		if c.Name == l.scope.name || asked.has(c.who) {
			continue
		}
		if asked != &call.first {
			call = &asking{Context: ctx}
		}
		call.last = trail{who: c.who, up: asked}
		asked = &call.last
		if l.scope.observer != nil {
			l.scope.emit(ctx, Event{Kind: EventStandInCalled, ServedBy: c.Name, Class: v.Class})
		}
		resp, err := guard[Req, Resp](call, c.Runner, req)
		if err == nil {
			l.scope.count.Recovered()
			l.scope.recovered(ctx, c.Name, strategies.StrategyFallback, strategies.LevelFull, len(failure.Attempts)+1)
			return resp, nil
		}
		cv := judged(l.scope.classifier, ctx, err)
		if cv.Class == strategies.ClassInterrupt {
			return none, err
		}
		failure.Attempts = append(failure.Attempts, strategies.Attempt{Agent: c.Name, Class: cv.Class, Err: err})
		l.scope.emit(ctx, Event{Kind: EventStandInFailed, ServedBy: c.Name, Class: cv.Class, Err: err})
		if cv.Class == strategies.ClassCutOff {
			l.scope.conclude(ctx, failure, cv)
			return none, failure
		}
	}
	if ctx.Err() != nil {
		v = judged(l.scope.classifier, ctx, err)
	}
	l.scope.conclude(ctx, failure, v)
	return none, failure
}
