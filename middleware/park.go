package middleware

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/understudy-go/understudy/internal/ids"
	"github.com/understudy-go/understudy/strategies"
)

// resumption is one that an intervene layer takes, once.
type resumption struct {
	strategies.Resumption
	taken atomic.Bool
}

// WithResumption lets the next guarded call go on with one that was parked, see
// Intervention.Park: it keeps the id of that call, as by [WithCallID], and begins with
// what was decided, where the agent of that name asks a person. The agent is called
// only if the decision says so. What keeps parked calls uses it, such as package inbox.
func WithResumption(ctx context.Context, r strategies.Resumption) context.Context {
	id := r.Call
	if id == "" {
		id = r.Ticket
	}
	if id == "" || ctx == nil {
		return ctx
	}
	c := WithCallID(ctx, id).(*call) //nolint:forcetypeassert // the id is not empty
	c.resumed = &resumption{Resumption: r}
	return c
}

// resumption is what this call of the agent goes on with, or nil.
func (o *Owner) resumption(ctx context.Context) *strategies.Resumption {
	for c := callOf(ctx); c != nil; c = c.up {
		if r := c.resumed; r != nil && r.Agent == o.name() && r.taken.CompareAndSwap(false, true) {
			return &r.Resumption
		}
	}
	return nil
}

// before is the failure of a call as it was before it was parked.
func (o *Owner) before(ctx context.Context, r *strategies.Resumption) *account {
	v := o.row(r.Class, 0)
	v.Intervene, v.Pass = true, false // it was asked about
	return &account{owner: o, id: o.identify(o.own(ctx)), verdict: v, job: jobOf(ctx), attempts: append([]strategies.Attempt(nil), r.Attempts...)}
}

// parking asks by parking the call, which is no decision but a [strategies.PendingError].
func parking(p strategies.Parker) strategies.Intervenor {
	return strategies.IntervenorFunc(func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
		ticket, err := p.Park(ctx, i)
		if err == nil {
			err = &strategies.PendingError{Ticket: ticket, Agent: i.Agent, Incident: i.ID, Deadline: i.Deadline}
		}
		return strategies.Decision{}, err
	})
}

// questions names the questions of one call: of a parked one by its ticket, so that
// whoever goes on with it again asks the same.
type questions struct {
	ticket string
	asked  int
}

func (q *questions) next() string {
	q.asked++
	if q.ticket == "" {
		return ids.New()
	}
	return fmt.Sprintf("%s.%d", q.ticket, q.asked)
}
