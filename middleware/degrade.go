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
// [strategies.Ladder]); the agent is still asked first, and reads from
// [Call.Level] how much is wanted. While the ladder is pinned the rung of its
// level answers at once.
//
// It costs a healthy call one atomic load with a ladder, and nothing without.
func Degrade[Req, Resp any](o *Owner, ladder *strategies.Ladder, rungs ...Rung[Req, Resp]) Middleware[Req, Resp] {
	problem := checkRungs(rungs)
	if ladder != nil {
		problem = errors.Join(problem, ladder.Validate())
	}
	p := newDegradePart(sortedRungs(rungs), ladder)
	return byHand(o, p, problem, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newDegrade(o, ladder, chargedRungs(rungs, nil), next)
	})
}

// Degrade adds a rung; see [Degrade]. The order of the calls matters only
// between rungs of one level.
func (b *Builder[Req, Resp]) Degrade(level strategies.Level, rung Runner[Req, Resp]) *Builder[Req, Resp] {
	b.settings().mark("Degrade")
	b.rungs = append(b.rungs, Rung[Req, Resp]{Level: level, Runner: rung})
	return b
}

// Ladder lets the reduced answers follow a ladder, which other agents may
// share. See [Degrade].
func (s *Settings) Ladder(ladder *strategies.Ladder) *Settings {
	return s.add(&ladderPart{basics{"Ladder", StageDegrade}, ladder}, pointer("Ladder", ladder))
}

type ladderPart struct {
	basics
	ladder *strategies.Ladder
}

func (p *ladderPart) inherit(before part) (part, func() error) {
	was, ok := before.(*ladderPart)
	is := p.ladder.Itself()
	if !ok || is.Used() {
		return &ladderPart{p.basics, is}, nil
	}
	return &ladderPart{p.basics, was.ladder}, func() error { return was.ladder.Update(is) }
}

func (p *ladderPart) check(s *Settings) []error {
	if p.ladder == nil {
		return nil
	}
	errs := []error{p.ladder.Validate()}
	if !s.given["Degrade"] {
		errs = append(errs, problemOf("Ladder", "is set without Degrade", "give it rungs to answer with"))
	}
	return errs
}

// degradePart explains the rungs, and knows where the ladder stands.
type degradePart struct {
	basics
	rungs  []rungInfo
	ladder *strategies.Ladder
}

type rungInfo struct {
	level strategies.Level
	owner *Owner
}

func newDegradePart(rungs []rungInfo, ladder *strategies.Ladder) *degradePart {
	return &degradePart{basics{"Degrade", StageDegrade}, rungs, ladder}
}

func (p *degradePart) explain(e *explaining) {
	text := "then answers: "
	for i, r := range p.rungs {
		if i > 0 {
			text += ", "
		}
		text += r.level.String()
		e.rungs = append(e.rungs, r.owner)
	}
	e.Rungs = len(p.rungs)
	if p.ladder != nil {
		text += "; " + p.ladder.String()
	}
	e.row(StageDegrade, "%s", text)
}

func (p *degradePart) health(h *Health) {
	if p.ladder != nil {
		h.Level = p.ladder.Level()
	}
}

func (p *degradePart) attach(o *Owner) {
	if p.ladder == nil || o.key != "" { // one for all keys
		return
	}
	o.each(func(told Observer) {
		agent := o.name()
		o.watch(p.ladder.WatchAs(told, func(c strategies.LevelChange) {
			told.Observe(background, Event{
				Kind: EventLevelChanged, Agent: agent, ServedBy: agent, Time: c.At, Level: c.To,
				From: c.From.String(), To: c.To.String(), Detail: c.From.String() + " → " + c.To.String() + ": " + c.Reason,
			})
		}))
	})
}

func checkRungs[Req, Resp any](rungs []Rung[Req, Resp]) error {
	if len(rungs) == 0 {
		return &strategies.ConfigError{Setting: "Degrade", Problem: "has no rung", Fix: "give at least one, or leave it out"}
	}
	var errs []error
	for _, r := range rungs {
		switch {
		case r.Level == strategies.LevelFull || r.Level > strategies.LevelEmergency:
			errs = append(errs, problemOf("Degrade", "has a rung of level %q", "use LevelReduced, LevelMinimal or LevelEmergency", r.Level))
		case isNil(r.Runner):
			errs = append(errs, settingNil(fmt.Sprintf("Degrade %s", r.Level), "a runner"))
		}
	}
	return errors.Join(errs...)
}

func inOrder[Req, Resp any](rungs []Rung[Req, Resp]) []Rung[Req, Resp] {
	sorted := slices.Clone(rungs)
	slices.SortStableFunc(sorted, func(a, b Rung[Req, Resp]) int { return int(a.Level) - int(b.Level) })
	return sorted
}

func sortedRungs[Req, Resp any](rungs []Rung[Req, Resp]) (infos []rungInfo) {
	for _, r := range inOrder(rungs) {
		_, owner := shortForm(r.Runner)
		infos = append(infos, rungInfo{r.Level, owner})
	}
	return infos
}

// chargedRungs puts the rungs that bring no layers under a charge, and into a layer.
func chargedRungs[Req, Resp any](rungs []Rung[Req, Resp], bounded Middleware[Req, Resp]) []Rung[Req, Resp] {
	rungs = slices.Clone(rungs)
	for i, r := range rungs {
		if runner, owner := shortForm(r.Runner); owner == nil {
			rungs[i].Runner = nest(charged(runner), bounded)
		}
	}
	return rungs
}

func newDegrade[Req, Resp any](o *Owner, ladder *strategies.Ladder, rungs []Rung[Req, Resp], next Runner[Req, Resp]) *degrade[Req, Resp] {
	sorted := inOrder(rungs)
	for i, r := range sorted {
		sorted[i].Runner, _ = shortForm(r.Runner)
	}
	return &degrade[Req, Resp]{owner: o, ladder: ladder, rungs: sorted, next: next}
}

type degrade[Req, Resp any] struct {
	owner  *Owner
	ladder *strategies.Ladder // may be nil
	rungs  []Rung[Req, Resp]
	spares bool // nobody has said how much of a caller's deadline is kept for them
	next   Runner[Req, Resp]
}

func (l *degrade[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if l.ladder != nil || l.spares && hurried(ctx) {
		return l.at(ctx, req)
	}
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.after(ctx, req, err)
}

func (l *degrade[Req, Resp]) passes() stretch[Req, Resp] {
	return stretch[Req, Resp]{next: l.next, hurried: l.spares, always: l.ladder != nil}
}

// at is Run where there is a ladder, or a deadline to keep a slice of.
func (l *degrade[Req, Resp]) at(ctx context.Context, req Req) (Resp, error) {
	inner := ctx
	if l.ladder != nil {
		if level, pinned := l.ladder.State(); level != strategies.LevelFull {
			if pinned && !l.owner.wasRecovered(ctx) {
				return l.pinned(ctx, req, level)
			}
			c := l.owner.with(ctx, 0)
			c.level, inner = level, c
			l.owner.note(ctx, func(p *provenance) { p.level = level })
		}
	}
	var resp Resp
	var err error
	if l.spares && hurried(inner) {
		resp, err = spare(inner, l.owner, l.next, req)
	} else {
		resp, err = l.next.Run(inner, req)
	}
	if err == nil {
		if l.ladder != nil {
			l.ladder.Succeeded()
		}
		return resp, nil
	}
	return l.after(ctx, req, err)
}

// hurried says whether a caller brings a deadline, of which a slice is left for the rungs.
func hurried(ctx context.Context) bool {
	_, is := ctx.Deadline()
	return is
}

func (l *degrade[Req, Resp]) after(ctx context.Context, req Req, err error) (none Resp, _ error) {
	h, a, v, up := l.owner.recovers(ctx, err, func(v strategies.Verdict) bool { return v.Degrade })
	if h == nil {
		return none, up
	}
	from := strategies.LevelReduced
	if l.ladder != nil {
		l.ladder.Failed()
		from = max(from, l.ladder.Level())
	}
	resp, level, err := l.climbDown(ctx, req, from, h, a)
	if err == nil && l.ladder != nil {
		l.ladder.Degrade(level, fmt.Sprintf("agent %q: %s", l.owner.name(), v.Class))
	}
	return resp, err
}

// climbDown tries the rungs of a level and below; a ladder that stands below
// all of them gets the last. The error is the account, or a rung's interrupt.
func (l *degrade[Req, Resp]) climbDown(ctx context.Context, req Req, from strategies.Level, h *helping, a *account) (none Resp, _ strategies.Level, _ error) {
	first := slices.IndexFunc(l.rungs, func(r Rung[Req, Resp]) bool { return r.Level >= from })
	if first < 0 {
		first = len(l.rungs) - 1
	}
	for _, rung := range l.rungs[first:] {
		if ctx.Err() != nil {
			break
		}
		call := h.call(ctx, nil, a)
		call.level = rung.Level
		answer, err := guard(call, rung.Runner, req)
		name := rungName(rung.Level)
		if err == nil {
			l.owner.helped()
			l.owner.recovered(ctx, a, name, strategies.StrategyDegradation, rung.Level, 1)
			return answer, rung.Level, nil
		}
		v := l.owner.judge(ctx, err)
		if v.Pass {
			l.owner.paused(ctx, len(a.re.Attempts)+1)
			return none, strategies.LevelFull, err
		}
		a = h.next(a)
		a.add(name, v.Class, err)
		a.re.Reduced++
		if l.owner.Observer != nil {
			l.owner.emit(ctx, a.id, Event{Kind: EventRungFailed, ServedBy: name, Level: rung.Level, Class: v.Class, Err: raw(err)})
		}
		if v.Final || jobOf(ctx).doubtful() {
			a.verdict = v
			break
		}
	}
	a = h.next(a)
	a.verdict = l.owner.ended(ctx, a.verdict)
	return none, strategies.LevelFull, a.close(ctx)
}

// pinned answers at the level an operator holds the ladder at. Nobody was asked:
// that is what the class of the account says.
func (l *degrade[Req, Resp]) pinned(ctx context.Context, req Req, level strategies.Level) (Resp, error) {
	a := &account{owner: l.owner, id: l.owner.identify(callOf(ctx)), verdict: l.owner.row(strategies.ClassRejected, 0)} // no agent was called
	h := &helping{}
	h.claim(ctx, a)
	resp, _, err := l.climbDown(ctx, req, level, h, a)
	return resp, err
}

// rungName is how a rung appears where an agent's name would stand.
func rungName(level strategies.Level) string { return level.String() + " answer" }
