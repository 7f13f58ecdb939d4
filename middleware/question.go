package middleware

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// A question is asked on a goroutine of its own, so that an Ask that is deaf to the
// end of its context does not hold the call. It is waited for a little, for most hear;
// then it is left behind and counted, and what it decides is refused.
const (
	questionGrace = 100 * time.Millisecond
	mostDeaf      = 16 // left behind by one agent: while so many are, nobody is asked anew
)

var errAskGone = errors.New("understudy: the Ask ended its goroutine (runtime.Goexit)")

// said is what a person decided, or why nobody did.
type said struct {
	decision strategies.Decision
	err      error
	late     bool // it came after the end of the question
}

// question puts an incident before a person. ctx is the question's, and its cause the
// error of what comes after its end. refused is told of a decision that comes when
// nobody waits any more.
func (o *Owner) question(ctx context.Context, person strategies.Intervenor, incident strategies.Incident, refused func(said)) (strategies.Decision, error) {
	if n := o.deaf.Load(); n >= mostDeaf {
		return strategies.Decision{}, &strategies.FullError{What: fmt.Sprintf("what the questions of %q may leave behind, each with an Ask that is deaf to its context", o.name()), Limit: mostDeaf}
	}
	const asking, heard, left = 0, 1, 2
	var state atomic.Int32
	answers := make(chan said, 1)
	go func() {
		got := said{err: errAskGone}
		defer func() {
			got.late = ctx.Err() != nil
			if state.CompareAndSwap(asking, heard) {
				answers <- got
				return
			}
			o.deaf.Add(-1)
			if got.err == nil {
				refused(got)
			}
		}()
		got.err = protect(func() (err error) { got.decision, err = person.Decide(ctx, incident); return err })
	}()
	var got said
	select {
	case got = <-answers:
	case <-ctx.Done():
		grace := time.NewTimer(questionGrace)
		defer grace.Stop()
		select {
		case got = <-answers:
		case <-grace.C:
			o.deaf.Add(1) // before anybody can take it away
			if state.CompareAndSwap(asking, left) {
				o.emit(ctx, 0, Event{Kind: EventWorkAbandoned, Incident: incident.ID, Count: int(o.deaf.Load()), Detail: "the Ask does not look at its context"})
				return strategies.Decision{}, context.Cause(ctx)
			}
			o.deaf.Add(-1)
			got = <-answers
		}
	}
	if got.late {
		if got.err == nil {
			refused(got)
		}
		return strategies.Decision{}, context.Cause(ctx)
	}
	return got.decision, got.err
}

// decide asks the person, with a deadline; an error or silence is the default.
func (l *intervene[Req, Resp]) decide(ctx context.Context, q questions, id string, req Req, a *account, round int) (decision strategies.Decision, err error) {
	limit := l.how.deadline()
	asking, cancel := context.WithTimeoutCause(ctx, limit, &strategies.TimeoutError{Limit: "intervention", After: limit})
	defer cancel()
	deadline, _ := asking.Deadline()
	seen := a.copied()
	incident := strategies.Incident{
		ID: id, Call: CallOf(ctx).ID(), Agent: l.owner.name(), Request: requestOf(ctx, req), Err: seen, Agents: l.names(), Round: round, Deadline: deadline,
		Requests: l.changed(ctx, req, a), Answers: l.answers(ctx), Ticket: q.ticket,
	}
	if b := l.owner.Breaker(); b != nil {
		incident.ShutFor = b.RetryAfter()
	}
	l.owner.emit(ctx, a.id, Event{Kind: EventPersonAsked, Class: seen.Class, Incident: id, Count: round, Detail: id, Err: seen})
	ask := l.how.Ask
	if p, parks := ask.(strategies.Parker); parks && l.how.Park {
		ask = parking(p)
	}
	decision, err = l.owner.question(asking, ask, incident, func(late said) { l.refuse(ctx, a.id, id, late.decision) })
	switch {
	case l.how.Park && errors.As(err, new(*strategies.PendingError)):
		return decision, err
	case ctx.Err() != nil:
		err = &strategies.InterventionError{Incident: id, Problem: "withdrawn: its caller has gone", Err: context.Cause(ctx)}
		return l.decided(ctx, a, id, strategies.Decision{}, err)
	case err != nil && asking.Err() != nil:
		err = &strategies.InterventionError{Incident: id, Problem: "no decision in time", Err: context.Cause(asking)}
		return l.decided(ctx, a, id, l.how.Default, err)
	case err != nil:
		err = &strategies.InterventionError{Incident: id, Problem: "could not be put before a person", Err: err}
		return l.decided(ctx, a, id, l.how.Default, err)
	}
	return l.decided(ctx, a, id, decision, nil)
}

// decided tells of a decision, or of why there is none and what takes its place.
func (l *intervene[Req, Resp]) decided(ctx context.Context, a *account, id string, d strategies.Decision, err error) (strategies.Decision, error) {
	l.owner.emit(ctx, a.id, Event{
		Kind: EventPersonDecided, Incident: id, Decision: d.Action.String(), To: d.Agent, By: d.By,
		Detail: id + ": " + decisionText(d), Err: err,
	})
	return d, err
}

// resume is what was decided about a parked call.
func (l *intervene[Req, Resp]) resume(ctx context.Context, a *account, r *strategies.Resumption) (strategies.Decision, error) {
	if r.Err != nil {
		return l.decided(ctx, a, r.Incident, l.how.Default, &strategies.InterventionError{Incident: r.Incident, Problem: "no decision in time", Err: r.Err})
	}
	return l.decided(ctx, a, r.Incident, r.Decision, nil)
}

// refuse tells of a decision that came too late.
func (l *intervene[Req, Resp]) refuse(ctx context.Context, call uint64, id string, d strategies.Decision) {
	l.owner.emit(ctx, call, Event{
		Kind: EventDecisionRefused, Incident: id, Decision: d.Action.String(), To: d.Agent, By: d.By, Detail: id + ": " + decisionText(d),
		Err: &strategies.InterventionError{Incident: id, Problem: "was decided after its end: too late is too late"},
	})
}

// answers are the types that a person's answer may have.
func (l *intervene[Req, Resp]) answers(ctx context.Context) []reflect.Type {
	if c := callOf(ctx); c != nil && c.stream != nil {
		return c.stream.reader.answers()
	}
	return []reflect.Type{reflect.TypeFor[Resp]()}
}

func (l *intervene[Req, Resp]) names() (names []string) {
	_ = protect(func() error { names = l.known.names(background); return nil })
	return slices.DeleteFunc(names, func(n string) bool { return n == l.owner.name() })
}

// changed is what stand-ins will be asked who get another request.
func (l *intervene[Req, Resp]) changed(ctx context.Context, req Req, a *account) (requests map[string]any) {
	c, why := l.owner.with(ctx, a.id), a.failure()
	c.why, ctx = &why, c // a change may depend on what went wrong
	_ = protect(func() error {
		if l.known.standIns == nil {
			return nil
		}
		all, _ := l.known.standIns(ctx)
		for _, c := range all {
			var other any
			ok := false
			if problem := protect(func() (err error) { other, ok, err = preview(ctx, c.changes, req); return err }); problem != nil {
				other, ok = problem, true // what it would be asked cannot be said: that is worth knowing
			}
			if ok {
				if requests == nil {
					requests = map[string]any{}
				}
				requests[c.name] = requestOf(ctx, other)
			}
		}
		return nil
	})
	return requests
}
