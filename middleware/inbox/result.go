package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// failed is an error as far as it can be kept.
func failed(err error) *failure {
	var re *strategies.RecoveryError
	f := &failure{Text: short(words(err), 4*maxText), Plain: true}
	if errors.As(err, &re) {
		f.Plain, f.Class, f.Strategy = false, re.Class, re.Strategy
		f.Attempts, _ = attempts(re.Attempts)
	}
	return f
}

// error makes the error of it again: its text, its class, and the attempts.
func (f *failure) error(agent string) error {
	if f.Plain {
		return said(f.Text)
	}
	return &strategies.RecoveryError{Agent: agent, Class: f.Class, Strategy: f.Strategy, Attempts: restored(f.Attempts), Cause: said(f.Text)}
}

// Wait waits until a parked call is done, and returns its answer, or what it failed
// with: the text, the class and the attempts of a [strategies.RecoveryError]. The call
// may be done in any process. The error is an [strategies.InterventionError] if the
// ticket is not known, or not any more.
func Wait[Resp any](ctx context.Context, b *Inbox, ticket string) (resp Resp, err error) {
	if err := errors.Join(b.ready(ctx), checkID(ticket)); err != nil {
		return resp, err
	}
	changed, leave := b.mirror.wait(b.openKey(ticket))
	defer leave()
	retry := time.NewTimer(0) // again, if it could not be read
	defer retry.Stop()
	for {
		select {
		case <-changed:
			retry.Reset(0)
		case <-retry.C:
			resp, err = Result[Resp](ctx, b, ticket)
			switch {
			case errors.Is(err, strategies.ErrPending):
			case errors.Is(err, strategies.ErrUnavailable) && ctx.Err() == nil:
				retry.Reset(b.s.Heartbeat / 5)
			default:
				return resp, err
			}
		case <-ctx.Done():
			return resp, context.Cause(ctx)
		case <-b.ctx.Done():
			return resp, errClosed
		}
	}
}

// Result is Wait, but does not wait: of a call that is not done it returns a
// [strategies.PendingError].
func Result[Resp any](ctx context.Context, b *Inbox, ticket string) (resp Resp, err error) {
	if err := errors.Join(b.ready(ctx), checkID(ticket)); err != nil {
		return resp, err
	}
	r, err := b.get(ctx, ticket)
	switch {
	case err != nil:
		return resp, refused(ticket, err)
	case r.Ticket != ticket || r.Parked == nil:
		return resp, &strategies.InterventionError{Incident: ticket, Problem: "is no ticket of a parked call"}
	case r.Stage != StageDone:
		return resp, &strategies.PendingError{Ticket: ticket, Agent: r.Agent, Incident: r.ID, Deadline: r.Deadline}
	case r.Parked.Failure != nil:
		return resp, r.Parked.Failure.error(r.Agent)
	}
	if err := protect("Codec.Unmarshal", func() error { return b.s.Codec.Unmarshal(r.Parked.Answer.Data, &resp) }); err != nil {
		return resp, fmt.Errorf("understudy: the answer under ticket %s cannot be read: %w", ticket, err)
	}
	return resp, nil
}
