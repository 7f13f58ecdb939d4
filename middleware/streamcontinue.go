package middleware

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// continuation is what Continue was told.
type continuation[Req, Chunk any] struct {
	times  int
	follow func(context.Context, Req, []Chunk) (Req, bool)
}

// continuer sends follow-up requests through the chain for as long as a stream
// is cut off. It stands around all recovery and inside of the edge, so that what
// it mends never failed.
type continuer[Req, Chunk any] struct {
	continuation[Req, Chunk]
	keep   int
	total  time.Duration // of the whole call; 0: no deadline
	owner  *Owner
	budget *strategies.Budget
	next   Runner[streamCall[Req, Chunk], streamEnd]
}

func (l *continuer[Req, Chunk]) Run(ctx context.Context, call streamCall[Req, Chunk]) (streamEnd, error) {
	var start time.Time
	if l.total > 0 {
		start = time.Now()
	}
	end, err := l.next.Run(ctx, call)
	if err == nil {
		return end, nil
	}
	if l.total > 0 {
		// The deadline layer begins anew with each continuation; the total does not.
		limited, cancel := context.WithDeadlineCause(ctx, start.Add(l.total), l.owner.limit("deadline", l.total))
		defer cancel()
		ctx = limited
	}
	return l.goOn(ctx, call, err)
}

func (l *continuer[Req, Chunk]) goOn(ctx context.Context, call streamCall[Req, Chunk], err error) (none streamEnd, _ error) {
	r := call.reader
	for range l.times {
		cut, ok := errtree.As[*strategies.StreamError](err)
		if !ok || r.left || ctx.Err() != nil || r.delivered == 0 || r.delivered > l.keep {
			break
		}
		request, again, problem := l.ask(ctx, call.req, r.sent.all())
		if problem != nil {
			return none, l.both(ctx, err, problem)
		}
		if !again || !l.budget.Take(l.owner.verdict(cut.Err).Class) {
			break
		}
		before := l.owner.account(ctx, err, l.owner.judge(ctx, err))
		r.continued++
		l.owner.emit(ctx, before.id, Event{Kind: EventStreamContinued, Attempt: r.continued + 1, Count: r.continued, Class: before.verdict.Class, Err: cut})
		t := l.owner.traced(ctx)
		c := l.owner.with(ctx, before.id)
		why := before.failure()
		c.out, c.why, t.provenance.round = &t.provenance, &why, true
		_, failed := l.next.Run(c, streamCall[Req, Chunk]{req: request, reader: r})
		if failed == nil {
			p := t.settle(nil)
			l.owner.recovered(ctx, before, r.sources[len(r.sources)-1].Agent, strategies.StrategyRetry, p.level, p.attempts)
			return none, nil
		}
		if l.owner.verdict(failed).Pass {
			return none, failed
		}
		err = l.both(ctx, before, failed)
	}
	return none, err
}

// ask builds the follow-up request. A panic in it is a failure of the call's.
func (l *continuer[Req, Chunk]) ask(ctx context.Context, req Req, sent []Chunk) (next Req, ok bool, err error) {
	err = protect(func() error {
		next, ok = l.follow(ctx, req, sent)
		return nil
	})
	return next, ok, err
}

// both joins the failure that cut the stream off with that of its continuation,
// which may not have said a word: it is a cut-off stream all the same.
func (l *continuer[Req, Chunk]) both(ctx context.Context, before, after error) error {
	a := l.owner.account(ctx, before, l.owner.verdict(before)).next()
	v := l.owner.verdict(after)
	if again, ok := after.(*account); ok && again.owner == l.owner {
		a.re.Attempts = append(a.re.Attempts, again.re.Attempts...)
		a.re.Stop = again.re.Stop
		if again.re.Cause != nil {
			a.because(again.re.Cause)
		}
		return a
	}
	a.add(l.owner.name(), v.Class, after)
	return a
}
