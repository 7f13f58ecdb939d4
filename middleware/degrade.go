package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// Rung is a way to give a reduced answer: how much of one it is, and who gives
// it. A rung should not fail: a smaller model on another provider, a cache, a
// template.
type Rung[Req, Resp any] struct {
	Level  strategies.Level
	Runner Runner[Req, Resp]
}

// Degrade answers in a reduced way when nobody could answer in full: rung after
// rung, from reduced to emergency. It stands outside of the deadline, so that
// there is time left for it; the caller's own context is respected.
//
// Without a ladder every failed call begins at the first rung. With one, the
// ladder follows the calls down and climbs back by itself (see
// [strategies.Ladder]); the agent is still asked first, and reads from [Level]
// how much is wanted. While the ladder is pinned the rung of its level answers
// at once.
//
// It costs a healthy call one atomic load with a ladder, and nothing without.
func Degrade[Req, Resp any](s Scope, ladder *strategies.Ladder, rungs ...Rung[Req, Resp]) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := checkRungs(rungs); err != nil {
			return misconfigured[Req, Resp](err)
		}
		if ladder != nil {
			if err := ladder.Validate(); err != nil {
				return misconfigured[Req, Resp](err)
			}
		}
		return newDegrade(scope, ladder, rungs, next)
	}
}

func checkRungs[Req, Resp any](rungs []Rung[Req, Resp]) error {
	if len(rungs) == 0 {
		return &strategies.ConfigError{Setting: "Degrade", Problem: "has no rung", Fix: "give at least one, or leave it out"}
	}
	var errs []error
	for _, r := range rungs {
		switch {
		case r.Level == strategies.LevelFull || r.Level > strategies.LevelEmergency:
			errs = append(errs, &strategies.ConfigError{Setting: "Degrade", Problem: fmt.Sprintf("has a rung of level %q", r.Level), Fix: "use Reduced, Minimal or Emergency"})
		case isNil(r.Runner):
			errs = append(errs, settingNil(fmt.Sprintf("Degrade %s", r.Level), "a runner"))
		}
	}
	return errors.Join(errs...)
}

func newDegrade[Req, Resp any](s *scope, ladder *strategies.Ladder, rungs []Rung[Req, Resp], next Runner[Req, Resp]) *degrade[Req, Resp] {
	sorted := slices.Clone(rungs)
	slices.SortStableFunc(sorted, func(a, b Rung[Req, Resp]) int { return int(a.Level) - int(b.Level) })
	for i, r := range sorted {
		sorted[i].Runner, _ = standIn(r.Runner)
	}
	return &degrade[Req, Resp]{scope: s, ladder: ladder, rungs: sorted, next: next}
}

type degrade[Req, Resp any] struct {
	scope  *scope
	ladder *strategies.Ladder // may be nil
	rungs  []Rung[Req, Resp]
	next   Runner[Req, Resp]
}

func (l *degrade[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	inner := ctx
	if l.ladder != nil {
		if level, pinned := l.ladder.State(); level != strategies.LevelFull {
			if pinned && !l.scope.recovering(ctx) {
				return l.pinned(ctx, req, level)
			}
			inner = withLevel(ctx, level)
			l.scope.note(ctx, func(r *record) { r.level = level })
		}
	}
	resp, err := l.next.Run(inner, req)
	if err == nil {
		if l.ladder != nil {
			l.ladder.Succeeded()
		}
		return resp, nil
	}
	return l.reduce(ctx, req, err)
}

func (l *degrade[Req, Resp]) reduce(ctx context.Context, req Req, err error) (Resp, error) {
	var none Resp
	v := l.scope.judge(ctx, err)
	if v.Class == strategies.ClassInterrupt {
		return none, err
	}
	failure := l.scope.failure(ctx, err, v)
	if !v.Degrade || ctx.Err() != nil || l.scope.recovering(ctx) {
		return none, failure
	}
	from := strategies.LevelReduced
	if l.ladder != nil {
		l.ladder.Failed()
		from = max(from, l.ladder.Level())
	}
	resp, level, err := l.climbDown(ctx, req, from, failure, v)
	if err != nil {
		return none, err
	}
	if l.ladder != nil {
		l.ladder.Degrade(level, fmt.Sprintf("agent %q: %s", l.scope.name, v.Class))
	}
	return resp, nil
}

// climbDown tries the rungs of a level and below; a ladder that stands below
// all of them gets the last. The error is failure, concluded by v, or a rung's
// interrupt.
func (l *degrade[Req, Resp]) climbDown(ctx context.Context, req Req, from strategies.Level, failure *strategies.RecoveryError, v strategies.Verdict) (resp Resp, _ strategies.Level, _ error) {
	first := slices.IndexFunc(l.rungs, func(r Rung[Req, Resp]) bool { return r.Level >= from })
	if first < 0 {
		first = len(l.rungs) - 1
	}
	ctx = withTrail(ctx, &trail{who: l.scope, up: trailOf(ctx)})
	for _, rung := range l.rungs[first:] {
		if ctx.Err() != nil {
			break
		}
		answer, err := guard(withLevel(ctx, rung.Level), rung.Runner, req)
		if err == nil {
			l.scope.recovered(ctx, rungName(rung.Level), strategies.StrategyDegradation, rung.Level, len(failure.Attempts)+1)
			return answer, rung.Level, nil
		}
		class := judged(l.scope.classifier, ctx, err).Class
		if class == strategies.ClassInterrupt {
			return resp, strategies.LevelFull, err
		}
		failure.Attempts = append(failure.Attempts, strategies.Attempt{Agent: rungName(rung.Level), Class: class, Err: err})
		l.scope.emit(ctx, Event{Kind: EventRungFailed, ServedBy: rungName(rung.Level), Level: rung.Level, Class: class, Err: err})
		if class == strategies.ClassCutOff {
			v = l.scope.classifier.VerdictOf(class)
			break
		}
	}
	if ctx.Err() != nil {
		v = judged(l.scope.classifier, ctx, failure)
	}
	l.scope.conclude(ctx, failure, v)
	return resp, strategies.LevelFull, failure
}

// pinned answers at the level an operator holds the ladder at.
func (l *degrade[Req, Resp]) pinned(ctx context.Context, req Req, level strategies.Level) (Resp, error) {
	failure := &strategies.RecoveryError{Agent: l.scope.name}
	resp, _, err := l.climbDown(ctx, req, level, failure, l.scope.classifier.VerdictOf(strategies.ClassRejected))
	return resp, err
}

// rungName is how a rung appears where an agent's name would stand.
func rungName(level strategies.Level) string { return level.String() + " answer" }
