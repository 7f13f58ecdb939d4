package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Hedge asks somebody else too when the agent takes long: the first stand-in that is
// not known to be unwell, or the agent itself where there is none. The first answer
// wins; the other call is cancelled, counts as nobody's failure, and is not waited
// for: one that is deaf to its context runs on until it returns. It stands inside
// of Fallback, which goes on if both fail, and outside of Retry. An agent without a
// stand-in is not asked twice while its own breaker is anything but closed.
//
// A stream is hedged on its first chunk: whose answer commits first is the one voice
// that the reader hears. The other is told to stop then, and has ended before the
// stream does, so that its cost is in the outcome.
//
// It is for what may safely be asked twice: Build wants [strategies.Hedge].ReadOnly,
// or Effects beside it.
//
// It costs a call a goroutine, a channel and two contexts: about two microseconds. It
// costs a stream about eight, and each chunk two switches of goroutines: under one.
func (s *Settings) Hedge(h *strategies.Hedge) *Settings {
	return s.add(&hedgePart{basics{"Hedge", StageHedge}, h}, pointer("Hedge", h))
}

type hedgePart struct {
	basics
	hedge *strategies.Hedge
}

func (p *hedgePart) inherit(before part) (part, func() error) {
	was, ok := before.(*hedgePart)
	is := p.hedge.Itself()
	if !ok || is.Used() {
		return &hedgePart{p.basics, is}, nil
	}
	return &hedgePart{p.basics, was.hedge}, func() error { return was.hedge.Update(is) }
}

func (p *hedgePart) check(s *Settings) []error {
	if p.hedge == nil {
		return nil
	}
	errs := []error{p.hedge.Validate()}
	if !p.hedge.ReadOnly && !s.given["Effects"] {
		errs = append(errs, problemOf("Hedge", "asks two at once, and nothing says that this is safe", "say ReadOnly if nobody asked changes anything, or add Effects"))
	}
	return errs
}

func (p *hedgePart) explain(e *explaining) {
	if !e.substitute { // a stand-in that was asked too is not asked again
		e.Calls++
		e.twice = true
	}
	e.row(StageHedge, "%s", p.hedge)
}

var (
	// errSlower ends the call that lost.
	errSlower = errors.New("understudy: another call of the hedge was faster")
	// errGoroutineEnded is what an agent fails with that has left by runtime.Goexit.
	errGoroutineEnded = errors.New("understudy: the goroutine of the call has ended")
)

type hedging[Req, Resp any] struct {
	owner    *Owner
	hedge    *strategies.Hedge
	self     Runner[Req, Resp] // the agent once more: from its breaker inward
	standIns lookUp[Req, Resp] // nil: none
	next     Runner[Req, Resp]
}

// heat is how one of the two ended.
type heat[Resp any] struct {
	resp   Resp
	err    error
	second bool
	ended  bool // and not by runtime.Goexit
}

func (l *hedging[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	after, due := l.hedge.Begin()
	start := time.Now()
	if !due {
		resp, err := l.next.Run(ctx, req)
		if err == nil {
			l.hedge.Answered(time.Since(start))
		}
		return resp, err
	}
	first, endFirst := context.WithCancelCause(ctx)
	second, endSecond := context.WithCancelCause(ctx)
	defer endFirst(nil)
	defer endSecond(nil)
	ends := make(chan heat[Resp], 2)
	run := func(ctx context.Context, who Runner[Req, Resp], isSecond bool) {
		h := heat[Resp]{second: isSecond}
		defer func() { ends <- h }()
		h.resp, h.err = guard(ctx, who, req)
		h.ended = true
	}
	go run(first, l.next, false)
	timer := time.NewTimer(after)
	defer timer.Stop()
	var name string
	var lost, other error
	running := 1
	for {
		select {
		case <-timer.C:
			who, c, by := l.candidate(second)
			if who == nil || ctx.Err() != nil || !l.hedge.Take() {
				continue
			}
			name, running = by, running+1
			l.owner.emit(ctx, 0, Event{Kind: EventHedged, ServedBy: by, Delay: after})
			go run(c, who, true)
		case h := <-ends:
			running--
			if !h.ended {
				h.err = errGoroutineEnded
			}
			if h.err == nil {
				endFirst(errSlower)
				endSecond(errSlower)
				l.hedge.Answered(time.Since(start))
				if h.second && name != l.owner.name() {
					l.helped(ctx, name)
				}
				return h.resp, nil
			}
			if h.second {
				other = h.err
			} else {
				lost = h.err // the agent's own failure decides what comes next
			}
			if running == 0 {
				var none Resp
				return none, l.both(ctx, lost, name, other)
			}
		}
	}
}

// helped notes that a stand-in was faster.
func (l *hedging[Req, Resp]) helped(ctx context.Context, by string) {
	l.owner.count.Recovered()
	l.owner.helped()
	l.owner.recovered(ctx, &account{owner: l.owner, id: l.owner.identify(callOf(ctx))}, by, strategies.StrategyFallback, strategies.LevelFull, 2)
}

// both is the failure of the two: the agent's own, with the other's after it, so that
// whoever was asked is not asked again.
func (l *hedging[Req, Resp]) both(ctx context.Context, lost error, name string, other error) error {
	v := l.owner.judge(ctx, lost)
	if other == nil || v.Pass {
		return lost
	}
	a := l.owner.account(ctx, lost, v).next()
	ov := l.owner.judge(ctx, other)
	a.add(name, ov.Class, other)
	if name != l.owner.name() {
		l.owner.emit(ctx, a.id, Event{Kind: EventStandInFailed, ServedBy: name, Class: ov.Class, Err: raw(other)})
	}
	return a
}

// candidate is who is asked too: a stand-in whose breaker would let a call through,
// or the agent itself if there is none.
func (l *hedging[Req, Resp]) candidate(ctx context.Context) (who Runner[Req, Resp], _ context.Context, name string) {
	h := &helping{}
	l.owner.fill(&h.self, ctx, 0)
	if l.standIns == nil {
		if unwell(l.owner) {
			return nil, nil, ""
		}
		c := l.owner.with(ctx, 0)
		c.why = &Failure{Attempts: 1}
		return l.self, c, l.owner.name()
	}
	found, _ := l.standIns(ctx)
	for _, c := range found {
		if len(c.only) > 0 || c.owner != nil && (h.self.asked(c.owner) || unwell(c.owner)) {
			continue
		}
		call := h.call(ctx, c.owner, &account{owner: l.owner})
		*call.why = Failure{Attempts: 1} // nothing has failed; but it is not the first who is asked
		return c.runner, call, c.name
	}
	return nil, nil, ""
}

// unwell says whether an agent's breaker is anything but closed.
func unwell(o *Owner) bool {
	b := o.Breaker()
	return b != nil && b.State() != strategies.StateClosed
}
