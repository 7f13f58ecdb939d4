package middleware

import (
	"context"
	"errors"
	"slices"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// account is a failed call of one agent on its way up through the layers: what
// was tried, and the verdict that decides what comes next. A layer that adds to
// it makes a new one; none is written to once it was returned, for code of the
// user's between the layers may keep it, or hand it to many callers.
//
// The caller never gets one: the edge makes a [strategies.RecoveryError] of it.
// To errors.Is, errors.As and in its text it is that already.
type account struct {
	owner   *Owner
	id      uint64 // of the call; 0: none yet
	verdict strategies.Verdict
	person  bool  // a person was asked, and it did not help
	none    bool  // nothing is required any more: the call is over
	refused bool  // it is not recovered: it was in this tree already
	job     *job  // of the call, if it has one
	tree    *tree // of this call's recovery, once there is one

	// re is what the caller gets in the end. Until then its Agent, Strategy and Class
	// are not known.
	re    strategies.RecoveryError
	first [1]strategies.Attempt // room: most failures have one
}

// account returns err as this agent's failure: the one an inner layer put
// together, or a new one with a single attempt.
func (o *Owner) account(ctx context.Context, err error, v strategies.Verdict) *account {
	if a, ok := err.(*account); ok && a.owner == o {
		if a.verdict.Class == v.Class {
			return a
		}
		a = a.next()
		a.verdict = v
		return a.close(ctx)
	}
	c := callOf(ctx)
	a := &account{owner: o, verdict: v, job: c.jobs()}
	a.id = o.identify(c)
	a.re.Attempts = append(a.first[:0], o.failed(ctx, a.id, err, v, 1))
	return a.close(ctx)
}

// identify is the id of the call, made now if it is to be told of.
func (o *Owner) identify(in *call) uint64 {
	if c := in.of(o); c != nil && c.id != 0 {
		return c.id
	}
	if o.Observer == nil {
		return 0
	}
	return newID()
}

// next returns a copy that may be changed until it is returned.
func (a *account) next() *account {
	b := &account{
		owner: a.owner, id: a.id, verdict: a.verdict, person: a.person, none: a.none, refused: a.refused, job: a.job, tree: a.tree,
		re: strategies.RecoveryError{Reduced: a.re.Reduced, Stop: a.re.Stop, Cause: a.re.Cause},
	}
	b.re.Attempts = slices.Clip(a.re.Attempts) // whoever appends, copies
	return b
}

// add books an attempt of a new account.
func (a *account) add(agent string, class strategies.Class, err error) {
	a.re.Attempts = append(a.re.Attempts, strategies.Attempt{Agent: agent, Class: class, Err: errtree.Tame(raw(err))})
}

// because joins a cause to a new account.
func (a *account) because(err error) { a.re.Cause = errors.Join(a.re.Cause, errtree.Tame(raw(err))) }

// close notes the end of the context, if it has ended and no attempt says so.
func (a *account) close(ctx context.Context) *account {
	if a.re.Cause == nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); !a.holds(cause) {
			a.re.Cause = cause
		}
	}
	return a
}

func (a *account) holds(target error) bool {
	for _, at := range a.re.Attempts {
		if errtree.Is(at.Err, target) {
			return true
		}
	}
	return false
}

// refusedSince says whether nobody was called in the attempts from the first one on
// that is given.
func (a *account) refusedSince(first int) bool {
	for _, at := range a.re.Attempts[first:] {
		if !errtree.Is(at.Err, strategies.ErrRejected) {
			return false
		}
	}
	return len(a.re.Attempts) > first
}

// lastReal is what the last attempt that was really made failed with; nil: none was.
func (a *account) lastReal() error {
	for i := len(a.re.Attempts) - 1; i >= 0; i-- {
		if c := a.re.Attempts[i].Class; !a.owner.Classifier.VerdictOf(c).Refused && !errtree.Is(a.re.Attempts[i].Err, strategies.ErrRejected) {
			return a.re.Attempts[i].Err
		}
	}
	return nil
}

// strategy is what is required now.
func (a *account) strategy() strategies.Strategy {
	switch {
	case a.none:
		return strategies.StrategyNone
	case a.person:
		return strategies.StrategyUserIntervention
	case a.verdict.Degrade:
		return strategies.StrategyDegradation
	case a.verdict.Intervene:
		return strategies.StrategyUserIntervention
	default:
		return strategies.StrategyNone
	}
}

func (a *account) fill(re *strategies.RecoveryError) *strategies.RecoveryError {
	re.Agent, re.Strategy, re.Class = a.owner.name(), a.strategy(), a.verdict.Class
	re.Attempts = slices.Clip(re.Attempts)
	return re
}

// publish makes what the caller gets. Nobody else has seen the account unless
// there is code of the user's between the layers, so it can be its own.
func (a *account) publish() *strategies.RecoveryError {
	if a.owner.guests.Load() {
		return a.copied()
	}
	return a.fill(&a.re)
}

// copied makes what several may get, each for himself.
func (a *account) copied() *strategies.RecoveryError {
	re := a.re
	re.Attempts = slices.Clone(re.Attempts)
	return a.fill(&re)
}

func (a *account) Error() string                   { return a.copied().Error() }
func (a *account) Unwrap() []error                 { return a.copied().Unwrap() }
func (a *account) Is(target error) bool            { return target == strategies.ErrRecovery }
func (a *account) RecoveryClass() strategies.Class { return a.verdict.Class }

// As lets errors.As find the error that the caller will get.
func (a *account) As(target any) bool {
	re, ok := target.(**strategies.RecoveryError)
	if ok {
		*re = a.copied()
	}
	return ok
}

// outward is an error as those outside of all layers get it, for chains that
// were put together by hand and have no edge.
func outward(err error) error {
	switch e := err.(type) {
	case *account:
		return e.copied()
	case *judged:
		return raw(e)
	}
	return err
}
