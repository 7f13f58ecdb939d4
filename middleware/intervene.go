package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Intervention is how a person is asked.
type Intervention struct {
	// Ask puts the incident before a person. Required. See [Desk] and
	// [Terminal] for two that are ready.
	Ask strategies.Intervenor
	// Deadline is how long a question stands. 0: 5 min.
	Deadline time.Duration
	// Default takes the place of a decision that did not come in time. The
	// zero value aborts. It may be an Answer ("we will call you back") or a
	// UseAgent, never RetryNow: silence is no approval to spend more.
	Default strategies.Decision
	// Rounds bounds how often one call may be put before a person: a decision
	// that fails in its turn is asked about again. 0: 3.
	Rounds int
}

func (i Intervention) validate() error {
	switch {
	case i.Ask == nil:
		return settingNil("Intervene.Ask", "a strategies.Intervenor")
	case i.Deadline < 0:
		return &strategies.ConfigError{Setting: "Intervene.Deadline", Problem: fmt.Sprintf("is negative (%v)", i.Deadline), Fix: "leave it 0 for 5m"}
	case i.Rounds < 0:
		return &strategies.ConfigError{Setting: "Intervene.Rounds", Problem: fmt.Sprintf("is negative (%d)", i.Rounds), Fix: "leave it 0 for 3"}
	case i.Default.Action == strategies.ActionRetryNow || i.Default.Action > strategies.ActionUseAgent:
		return &strategies.ConfigError{Setting: "Intervene.Default", Problem: fmt.Sprintf("is %q", i.Default.Action), Fix: "silence must not approve another attempt: use Abort, Answer or UseAgent"}
	}
	return nil
}

func (i Intervention) deadline() time.Duration {
	if i.Deadline == 0 {
		return 5 * time.Minute
	}
	return i.Deadline
}

func (i Intervention) rounds() int {
	if i.Rounds == 0 {
		return 3
	}
	return i.Rounds
}

// Intervene puts a call that nobody could answer before a person, who may have
// it retried, answer it, name another agent, or abort. It is the outermost
// layer: it works in a context that outlives every deadline, the caller's too,
// and ends with the question's own. Only a caller who cancels ends it before.
//
// It costs a healthy call nothing.
func Intervene[Req, Resp any](s Scope, how Intervention, roster Roster[Req, Resp]) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := how.validate(); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return newIntervene(scope, how, company[Req, Resp]{roster: roster}, next)
	}
}

func newIntervene[Req, Resp any](s *scope, how Intervention, known company[Req, Resp], next Runner[Req, Resp]) *intervene[Req, Resp] {
	return &intervene[Req, Resp]{scope: s, how: how, known: known, next: next}
}

type intervene[Req, Resp any] struct {
	scope *scope
	how   Intervention
	known company[Req, Resp]
	next  Runner[Req, Resp]
	asked atomic.Int64
}

func (l *intervene[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.ask(ctx, req, err)
}

func (l *intervene[Req, Resp]) ask(ctx context.Context, req Req, err error) (resp Resp, _ error) {
	var none Resp
	v := l.scope.judge(ctx, err)
	if v.Class == strategies.ClassInterrupt {
		return none, err
	}
	failure := l.scope.failure(ctx, err, v)
	if !v.Intervene || ctx.Err() != nil || l.scope.recovering(ctx) {
		return none, failure
	}
	failure.Strategy = strategies.StrategyUserIntervention
	free, cancel := outlive(ctx)
	defer cancel()
	for round := 1; round <= l.how.rounds(); round++ {
		id := fmt.Sprintf("%s-%d", l.scope.name, l.asked.Add(1))
		decision, err := l.decide(free, id, req, failure, round)
		if err != nil {
			failure.Cause = errors.Join(failure.Cause, err)
		}
		if free.Err() != nil {
			failure.Strategy, failure.Class = strategies.StrategyNone, strategies.ClassCanceled
			failure.Cause = errors.Join(failure.Cause, context.Cause(free))
			return none, failure
		}
		by, level, calls := cmp.Or(decision.By, "a person"), strategies.LevelFull, 1
		switch decision.Action {
		case strategies.ActionRetryNow:
			by = l.scope.name
			resp, level, calls, err = l.retry(free, req)
		case strategies.ActionUseAgent:
			by = decision.Agent
			resp, err = l.use(free, id, decision.Agent, req)
		case strategies.ActionAnswer:
			resp, err = l.answer(id, req, decision)
		default:
			failure.Cause = errors.Join(failure.Cause, &strategies.InterventionError{Incident: id, Problem: aborted(decision)})
			return none, failure
		}
		if err == nil {
			l.scope.count.Recovered()
			l.scope.recovered(ctx, by, strategies.StrategyUserIntervention, level, len(failure.Attempts)+calls)
			return resp, nil
		}
		if l.scope.judge(free, err).Class == strategies.ClassInterrupt {
			return none, err
		}
		if l.add(ctx, failure, by, err); failure.Class == strategies.ClassCutOff {
			failure.Strategy = strategies.StrategyNone
			break
		}
	}
	return none, failure
}

// retry asks the agent again, with all its layers. How they recover it is part of
// how the person did.
func (l *intervene[Req, Resp]) retry(ctx context.Context, req Req) (Resp, strategies.Level, int, error) {
	l.scope.tracing.Add(1)
	defer l.scope.tracing.Add(-1)
	r := &record{Context: ctx, scope: l.scope, attempts: 1, round: true}
	resp, err := l.next.Run(r, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	return resp, r.level, r.attempts, err
}

// add books a decision that failed in its turn.
func (l *intervene[Req, Resp]) add(ctx context.Context, failure *strategies.RecoveryError, by string, err error) {
	if again := l.scope.own(err); again != nil {
		failure.Attempts = append(failure.Attempts, again.Attempts...)
		failure.Class, failure.Stop = again.Class, again.Stop
		return
	}
	v := judged(l.scope.classifier, context.WithoutCancel(ctx), err)
	failure.Attempts = append(failure.Attempts, strategies.Attempt{Agent: by, Class: v.Class, Err: err})
	if v.Class == strategies.ClassCutOff {
		failure.Class = v.Class
	}
}

// decide asks the person, with a deadline; an error or silence is the default.
func (l *intervene[Req, Resp]) decide(ctx context.Context, id string, req Req, failure *strategies.RecoveryError, round int) (decision strategies.Decision, err error) {
	limit := l.how.deadline()
	asking, cancel := context.WithTimeoutCause(ctx, limit, &strategies.TimeoutError{Limit: "intervention", After: limit})
	defer cancel()
	deadline, _ := asking.Deadline()
	// The person sees the failure as it stands; it is added to only afterwards.
	seen := *failure
	seen.Attempts = slices.Clip(seen.Attempts)
	incident := strategies.Incident{
		ID: id, Agent: l.scope.name, Request: shown(req), Err: &seen, Agents: l.names(), Round: round, Deadline: deadline,
	}
	l.scope.emit(ctx, Event{Kind: EventPersonAsked, Class: failure.Class, Detail: id, Err: &seen})
	err = protect(func() error {
		decision, err = l.how.Ask.Decide(asking, incident)
		return err
	})
	switch {
	case asking.Err() != nil:
		// Too late is too late, whatever was said: the question has expired.
		decision, err = l.how.Default, &strategies.InterventionError{Incident: id, Problem: "no decision in time", Err: context.Cause(asking)}
	case err != nil:
		decision, err = l.how.Default, &strategies.InterventionError{Incident: id, Problem: "could not be put before a person", Err: err}
	}
	l.scope.emit(ctx, Event{Kind: EventPersonDecided, Detail: id + ": " + said(decision), Err: err})
	return decision, err
}

func (l *intervene[Req, Resp]) names() []string {
	return slices.DeleteFunc(l.known.names(), func(n string) bool { return n == l.scope.name })
}

func (l *intervene[Req, Resp]) use(ctx context.Context, id, name string, req Req) (resp Resp, err error) {
	c, ok := l.known.find(l.scope, name)
	if !ok {
		return resp, &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("names an unknown agent %q; known are %q", name, l.names())}
	}
	asked := &trail{who: c.who, up: &trail{who: l.scope, up: trailOf(ctx)}}
	return guard(withTrail(ctx, asked), c.Runner, req)
}

func (l *intervene[Req, Resp]) answer(id string, req Req, d strategies.Decision) (resp Resp, err error) {
	var ok bool
	if stream, is := any(req).(interface {
		deliver(agent string, value any) (any, error, bool)
	}); is {
		var end any
		if end, err, ok = stream.deliver(cmp.Or(d.By, "a person"), d.Value); ok {
			resp, _ = end.(Resp)
			return resp, err
		}
		return resp, &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("answers with a %T, which is no chunk of this stream, nor several", d.Value)}
	}
	if resp, ok = d.Value.(Resp); !ok {
		return resp, &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("answers with a %T where a %T is wanted", d.Value, resp)}
	}
	return resp, nil
}

// shown is the request as a person sees it: a stream's is inside of its call.
func shown[Req any](req Req) any {
	if stream, ok := any(req).(interface{ request() any }); ok {
		return stream.request()
	}
	return req
}

func aborted(d strategies.Decision) string {
	s := "aborted"
	if d.By != "" {
		s += " by " + d.By
	}
	if d.Reason != "" {
		s += ": " + d.Reason
	}
	return s
}

func said(d strategies.Decision) string {
	s := d.Action.String()
	if d.Agent != "" {
		s += " " + d.Agent
	}
	if d.By != "" {
		s += " (by " + d.By + ")"
	}
	return s
}

// outlive returns a context that keeps the values of ctx and outlives its
// deadline, but not its cancellation: a caller who hangs up is not kept waiting.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	free, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel(context.Cause(ctx))
		}
	})
	return free, func() { stop(); cancel(nil) }
}
