package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Intervention is how a person is asked.
type Intervention struct {
	// Ask puts the incident before a person. Required. Package inbox has some
	// that are ready: a desk, a terminal, an inbox that outlives the process. One
	// that is deaf to the end of its context does not hold the call for longer than
	// a tenth of a second: it is left behind, and what it decides is refused. While
	// 16 of one agent's are, nobody is asked anew, and Default takes effect.
	Ask strategies.Intervenor
	// Deadline is how long a question stands. 0: 5 min.
	Deadline time.Duration
	// WithCaller ends a question with the deadline that its caller brings, if that
	// comes first. Without it the question outlives that deadline, and only a caller
	// who cancels ends it. It is for callers who have given their answer by then,
	// and do not cancel: an http.TimeoutHandler.
	WithCaller bool
	// Park gives the caller a [strategies.PendingError] with a ticket at once, instead
	// of holding its goroutine until somebody decides; Ask must be a
	// [strategies.Parker], such as an inbox.Inbox. Whoever goes on with the call does so
	// under the same id, so let the chain have Effects if the agent has tools. Not for
	// streams, whose reader would be gone.
	Park bool
	// Default takes the place of a decision that did not come in time. The
	// zero value aborts. It may be an Answer ("we will call you back") or a
	// UseAgent, never RetryNow: silence is no approval to spend more.
	Default strategies.Decision
	// Rounds bounds how often one call may be put before a person: a decision
	// that fails in its turn is asked about again. 0: 3.
	Rounds int
}

func (i Intervention) validate() error {
	var errs []error
	if isNil(i.Ask) {
		errs = append(errs, settingNil("Intervene.Ask", "a strategies.Intervenor"))
	}
	if i.Deadline < 0 {
		errs = append(errs, problemOf("Intervene.Deadline", "is negative (%v)", "leave it 0 for 5m", i.Deadline))
	}
	if i.Rounds < 0 {
		errs = append(errs, problemOf("Intervene.Rounds", "is negative (%d)", "leave it 0 for 3", i.Rounds))
	}
	if _, parks := i.Ask.(strategies.Parker); i.Park && !parks && !isNil(i.Ask) {
		errs = append(errs, problemOf("Intervene.Park", "is set, and a %T does not keep calls", "let Ask be a strategies.Parker, such as an inbox.Inbox", i.Ask))
	}
	if i.Park && i.WithCaller {
		errs = append(errs, problemOf("Intervene.Park", "is set beside WithCaller", "a parked call has no caller whose deadline could end it: drop one of them"))
	}
	switch {
	case i.Default.Action == strategies.ActionRetryNow || i.Default.Action > strategies.ActionUseAgent:
		errs = append(errs, problemOf("Intervene.Default", "is %q", "silence must not approve another attempt: use ActionAbort, ActionAnswer or ActionUseAgent", i.Default.Action))
	case i.Default.Action == strategies.ActionUseAgent && i.Default.Agent == "":
		errs = append(errs, problemOf("Intervene.Default", "uses an agent without a name", "say which, by its name"))
	}
	return errors.Join(append(errs, unit("Intervene.Deadline", i.Deadline))...)
}

// fits says whether the default answers with what this agent's callers expect.
func (i Intervention) fits(ok bool, want string) error {
	if i.Default.Action != strategies.ActionAnswer || ok {
		return nil
	}
	return problemOf("Intervene.Default", "answers with a %T where %s is wanted", "give Default.Value that type: after the deadline it is too late to find out", i.Default.Value, want)
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
// layer: it works in a context that outlives every deadline, the caller's too
// unless WithCaller is set, and ends with the question's own. A caller who cancels
// ends it before.
//
// It costs a healthy call nothing.
func Intervene[Req, Resp any](o *Owner, how Intervention, roster Roster[Runner[Req, Resp]]) Middleware[Req, Resp] {
	_, ok := how.Default.Value.(Resp)
	problem := errors.Join(how.validate(), how.fits(ok, typeName[Resp]()))
	return byHand(o, newIntervenePart(how), problem, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return &intervene[Req, Resp]{owner: o, how: how, known: reachable[Req, Resp]{roster: roster}, next: next}
	})
}

// Intervene puts what nobody could answer before a person. See [Intervene].
func (s *Settings) Intervene(how Intervention) *Settings {
	return s.add(newIntervenePart(how), how.validate())
}

type intervenePart struct {
	basics
	how Intervention
}

func newIntervenePart(how Intervention) *intervenePart {
	return &intervenePart{basics{"Intervene", StageIntervene}, how}
}

func (p *intervenePart) explain(e *explaining) {
	e.Questions = p.how.rounds()
	text := fmt.Sprintf("asks a person, up to %s, %v each; silence: %s", count(p.how.rounds(), "time"), p.how.deadline(), p.how.Default.Action)
	if p.how.WithCaller {
		text += "; ends with its caller's deadline"
	}
	if p.how.Park {
		text += "; the caller gets a ticket"
	}
	e.row(StageIntervene, "%s", text)
}

type intervene[Req, Resp any] struct {
	owner *Owner
	how   Intervention
	known reachable[Req, Resp]
	next  Runner[Req, Resp]
}

func (l *intervene[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if l.how.Park {
		if r := l.owner.resumption(ctx); r != nil {
			return l.ask(ctx, req, l.owner.parkedFailure(ctx, r), r)
		}
	}
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.ask(ctx, req, err, nil)
}

func (l *intervene[Req, Resp]) passes() stretch[Req, Resp] {
	return stretch[Req, Resp]{next: l.next, always: l.how.Park} // which may have been decided already
}

func (l *intervene[Req, Resp]) after(ctx context.Context, req Req, err error) (Resp, error) {
	return l.ask(ctx, req, err, nil)
}

// ask puts a failure before a person, or goes on with what they decided before.
func (l *intervene[Req, Resp]) ask(ctx context.Context, req Req, err error, resumed *strategies.Resumption) (resp Resp, _ error) {
	var none Resp
	h, a, _, up := l.owner.recovers(ctx, err, func(v strategies.Verdict) bool { return v.Intervene })
	if h == nil {
		return none, up
	}
	a = h.next(a)
	a.person = true
	free, cancel := l.how.outlive(ctx)
	defer cancel()
	unheard, first, q := 0, 1, questions{}
	if resumed != nil {
		q.ticket, q.asked, first = resumed.Ticket, resumed.Asked, max(resumed.Round, 1)
		unheard = max(q.asked-first, 0)
	}
	for round := first; round <= l.how.rounds(); round++ {
		var id string
		var decision strategies.Decision
		var err error
		if resumed != nil {
			id = resumed.Incident
			decision, err = l.resume(free, a, resumed)
			resumed = nil
		} else {
			id = q.next()
			decision, err = l.decide(free, q, id, req, a, round)
		}
		if pending := (*strategies.PendingError)(nil); l.how.Park && errors.As(err, &pending) {
			l.owner.emit(ctx, a.id, Event{Kind: EventParked, Incident: id, Detail: pending.Ticket})
			l.owner.paused(ctx, len(a.re.Attempts))
			return none, pending
		}
		if err != nil {
			a.because(err)
		}
		if free.Err() != nil {
			a.verdict = l.owner.row(strategies.ClassCanceled, 0) // the caller hung up on the person
			a.none = true
			a.because(context.Cause(free))
			return none, a
		}
		by, level, calls := cmp.Or(decision.By, "a person"), strategies.LevelFull, 1
		switch decision.Action {
		case strategies.ActionRetryNow:
			resp, by, level, calls, err = l.retry(free, req, a)
		case strategies.ActionUseAgent:
			by = decision.Agent
			resp, err = l.use(free, id, decision.Agent, req, a)
		case strategies.ActionAnswer:
			resp, err = l.answer(free, id, req, decision)
		default:
			a.because(&strategies.InterventionError{Incident: id, Problem: abortText(decision)})
			return none, a
		}
		if err == nil {
			l.owner.count.Recovered()
			l.owner.recovered(ctx, a, by, strategies.StrategyUserIntervention, level, calls)
			return resp, nil
		}
		v := l.owner.judge(free, err)
		if v.Pass {
			l.owner.paused(ctx, len(a.re.Attempts)+max(calls, 1))
			return none, err
		}
		before := len(a.re.Attempts)
		if a = l.book(free, a, by, err, v); v.Final {
			a.verdict, a.none = v, true
			break
		}
		if decision.Action == strategies.ActionRetryNow && unheard < l.how.rounds() && a.refusedSince(before) {
			round-- // nobody was called: the decision has not been tried
			unheard++
		}
	}
	return none, a
}

// retry asks the agent again, with all its layers. How they recover it is part of
// how the person did. Their word is a trial of an open breaker; against a hold it
// waits for the time that the provider named.
func (l *intervene[Req, Resp]) retry(ctx context.Context, req Req, a *account) (resp Resp, by string, level strategies.Level, calls int, err error) {
	if b := l.owner.Breaker(); b != nil && b.State() == strategies.StateHeld {
		if wait := b.RetryAfter(); wait <= l.how.deadline() {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return resp, "", 0, 0, context.Cause(ctx)
			}
		}
	}
	t := l.owner.traced(ctx)
	c := l.owner.with(ctx, a.id)
	why := a.failure()
	c.out, t.provenance.round, c.person, c.why = &t.provenance, true, true, &why
	resp, err = l.next.Run(c, req)
	p := t.settle(nil)
	return resp, p.servedBy, p.level, p.attempts, err
}

// book adds a decision that failed in its turn.
func (l *intervene[Req, Resp]) book(ctx context.Context, a *account, by string, err error, v strategies.Verdict) *account {
	a = a.next() // a person may still look at the one before
	if again, ok := err.(*account); ok && again.owner == l.owner {
		a.re.Attempts = append(a.re.Attempts, again.re.Attempts...)
		a.verdict, a.re.Stop = again.verdict, again.re.Stop
		return a
	}
	a.add(by, v.Class, err)
	kind := EventStandInFailed
	if by == l.owner.name() {
		kind = EventAttemptFailed
	}
	l.owner.emit(ctx, a.id, Event{Kind: kind, ServedBy: by, Attempt: len(a.re.Attempts), Class: v.Class, Err: raw(err)})
	return a
}

func (l *intervene[Req, Resp]) use(ctx context.Context, id, name string, req Req, a *account) (resp Resp, err error) {
	var c standIn[Req, Resp]
	var ok bool
	if err := protect(func() error { c, ok = l.known.find(ctx, name); return nil }); err != nil {
		return resp, err
	}
	if !ok || name == l.owner.name() {
		return resp, &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("names an unknown agent %q; known are %q", name, l.names())}
	}
	h := &helping{}
	h.again(ctx, a)
	return guard(h.call(ctx, c.owner, a), c.runner, req)
}

func (l *intervene[Req, Resp]) answer(ctx context.Context, id string, req Req, d strategies.Decision) (resp Resp, err error) {
	if c := callOf(ctx); c != nil && c.stream != nil {
		end, ok, err := c.stream.reader.answer(cmp.Or(d.By, "a person"), req, d.Value)
		if !ok {
			return resp, &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("answers with a %T, which is no chunk of this stream, nor several", d.Value)}
		}
		resp, _ = end.(Resp)
		return resp, err
	}
	var ok bool
	if resp, ok = d.Value.(Resp); !ok {
		return resp, &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("answers with a %T where a %T is wanted", d.Value, resp)}
	}
	return resp, nil
}

// requestOf is the request as a person sees it: a stream's is inside of its call.
func requestOf(ctx context.Context, req any) any {
	if c := callOf(ctx); c != nil && c.stream != nil {
		return c.stream.reader.request(req)
	}
	return req
}

func abortText(d strategies.Decision) string {
	s := "aborted"
	if d.By != "" {
		s += " by " + d.By
	}
	if d.Reason != "" {
		s += ": " + d.Reason
	}
	return s
}

func decisionText(d strategies.Decision) string {
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
func (i Intervention) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	if i.WithCaller {
		return context.WithCancel(ctx)
	}
	free, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel(context.Cause(ctx))
		}
	})
	return free, func() { stop(); cancel(nil) }
}
