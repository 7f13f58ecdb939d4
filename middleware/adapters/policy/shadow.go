package policy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Shadow counts what a policy would have done otherwise that is judged by, and not acted
// on. A policy would have seen other calls than those that were made: what it refuses
// has not happened to it, so these numbers say where to look, and are no forecast.
type Shadow struct {
	Attempts  int            // that were made, or refused by the policy in force
	Refused   int            // would not have been made: its breaker was open, its pace or bulkhead full
	Made      int            // were refused, and would have been made
	TimedOut  int            // were answered, after its timeout
	Judged    map[string]int // failures of another class or another verdict, as "old → new"
	Retried   int            // failures that it would have retried, and were not to be
	Abandoned int            // failures that it would not have retried, and were to be
}

// Shadows are the counts of each agent that the file in the shadow names, since it was
// read; nil: there is none.
func (f *File) Shadows() map[string]Shadow {
	s := f.current()
	if s.shadow == nil {
		return nil
	}
	all := map[string]Shadow{}
	for agent, j := range s.judges {
		all[agent] = j.read()
	}
	return all
}

// judge is a policy that stands beside the one in force, of one agent. Its strategies are
// its own.
type judge struct {
	old, is           *Recipe
	oldTable, table   *strategies.Classifier
	breaker           *strategies.Breaker // nil: none
	pace              *strategies.Pace
	bulkhead          *strategies.Bulkhead
	oldRetry, retries *strategies.Retry

	mu     sync.Mutex
	counts Shadow
}

func newJudge(old, is *Recipe) *judge {
	j := &judge{old: old, is: is, oldTable: old.classifier(), table: is.classifier(), counts: Shadow{Judged: map[string]int{}}}
	if is.CircuitBreaker != nil {
		j.breaker = is.CircuitBreaker.Anew()
	}
	if is.Pace != nil { // who would have waited is not let through either
		j.pace = is.Pace.Anew()
		j.pace.NoWait = true
	}
	if is.Bulkhead != nil {
		j.bulkhead = is.Bulkhead.Anew()
		j.bulkhead.MaxWait = 0
	}
	if old.Retry != nil { // the budget of the policy in force is not to be spent twice
		r := old.Retry.Copy()
		r.Budget = nil
		j.oldRetry = &r
	}
	if is.Retry != nil {
		r := is.Retry.Copy()
		if r.Budget = (&strategies.Budget{}); is.Retry.Budget != nil {
			r.Budget = is.Retry.Budget.Anew()
		}
		j.retries = &r
	}
	return j
}

func (j *judge) read() Shadow {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.counts
	s.Judged = map[string]int{}
	for what, n := range j.counts.Judged {
		s.Judged[what] = n
	}
	return s
}

func (j *judge) count(change func(*Shadow)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(&j.counts)
}

// attempt stands around the breaker of the policy in force.
func (j *judge) attempt(ctx context.Context, next func(context.Context) error) error {
	leave, permit, lets := j.enter(ctx)
	defer leave()
	settled := false
	defer func() {
		if !settled { // a panic, or a Goexit
			permit.Neutral()
		}
	}()
	began := time.Now()
	err := next(ctx)
	took := time.Since(began)
	settled = true
	refused := errors.Is(err, strategies.ErrRejected)
	j.count(func(s *Shadow) {
		s.Attempts++
		switch {
		case !lets && !refused:
			s.Refused++
		case lets && refused:
			s.Made++
		}
	})
	switch {
	case refused || !lets && err == nil:
		permit.Neutral()
	case err == nil:
		if j.is.Timeout != nil && took > *j.is.Timeout {
			j.count(func(s *Shadow) { s.TimedOut++ })
			permit.Slow(&strategies.TimeoutError{Limit: "attempt", After: *j.is.Timeout})
		} else {
			permit.Success()
		}
	default:
		v := j.failed(ctx, err)
		permit.Settle(v, err)
	}
	return err
}

// enter asks the strategies of the shadow. leave must be called at the end.
func (j *judge) enter(ctx context.Context) (leave func(), permit strategies.Permit, lets bool) {
	leave, lets = func() {}, true
	if j.breaker != nil {
		var err error
		permit, err = j.breaker.Allow()
		lets = err == nil
	}
	if lets && j.pace != nil {
		_, err := j.pace.Acquire(ctx, middleware.CallOf(ctx).Priority(), 0)
		lets = err == nil
	}
	if lets && j.bulkhead != nil {
		if lets = j.bulkhead.Acquire(ctx) == nil; lets {
			leave = j.bulkhead.Release
		}
	}
	return leave, permit, lets
}

// failed compares what the two say of a failure.
func (j *judge) failed(ctx context.Context, err error) strategies.Verdict {
	was, is := j.oldTable.Classify(err), j.table.Classify(err)
	if was != is {
		j.count(func(s *Shadow) { s.Judged[was.Class.String()+" → "+is.Class.String()]++ })
	}
	if ctx.Err() != nil {
		return is
	}
	tried := middleware.CallOf(ctx).Attempt() - 1
	before, now := again(j.oldRetry, was, tried), again(j.retries, is, tried)
	j.count(func(s *Shadow) {
		if now && !before {
			s.Retried++
		}
		if before && !now {
			s.Abandoned++
		}
	})
	return is
}

func again(r *strategies.Retry, v strategies.Verdict, tried int) bool {
	if r == nil {
		return false
	}
	_, stop := r.Next(strategies.RetryState{Verdict: v, Retries: tried})
	return stop == ""
}
