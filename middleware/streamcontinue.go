package middleware

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// continuation is what Continue was told.
type continuation[Req, Chunk any] struct {
	times  int
	follow func(Req, []Chunk) (Req, bool)
}

// continuer sends follow-up requests through the chain for as long as a stream
// is cut off. It stands around all recovery and inside of the edge, so that what
// it mends never failed.
type continuer[Req, Chunk any] struct {
	continuation[Req, Chunk]
	keep   int
	total  time.Duration // of the whole call; 0: no deadline
	scope  *scope
	budget *strategies.Budget
	next   Runner[StreamCall[Req, Chunk], StreamEnd]
}

func (l *continuer[Req, Chunk]) Run(ctx context.Context, call StreamCall[Req, Chunk]) (StreamEnd, error) {
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
		limited, cancel := context.WithDeadlineCause(ctx, start.Add(l.total), &strategies.TimeoutError{Limit: "deadline", After: l.total})
		defer cancel()
		ctx = limited
	}
	return l.goOn(ctx, call, err)
}

func (l *continuer[Req, Chunk]) goOn(ctx context.Context, call StreamCall[Req, Chunk], err error) (StreamEnd, error) {
	s := call.sink
	attempts := 0
	for range l.times {
		cut, ok := errors.AsType[*strategies.StreamError](err)
		if !ok || s.left || ctx.Err() != nil || s.delivered == 0 || s.delivered > l.keep {
			break
		}
		request, ok, problem := l.ask(call.Request, s.sent.all())
		if problem != nil {
			return StreamEnd{}, l.both(err, problem)
		}
		if !ok || !l.budget.Take(judged(l.scope.classifier, ctx, cut.Err).Class) {
			break
		}
		s.continued++
		l.scope.emit(ctx, Event{Kind: EventStreamContinued, Attempt: s.continued + 1, Class: strategies.ClassCutOff, Err: cut})
		l.scope.note(ctx, func(r *record) { r.attempts = 1 })
		end, again := l.next.Run(ctx, StreamCall[Req, Chunk]{Request: request, sink: s})
		attempts = attemptsOf(err)
		if again == nil {
			l.scope.note(ctx, func(r *record) { attempts += r.attempts - 1 })
			l.scope.recovered(ctx, s.sources[len(s.sources)-1].Agent, strategies.StrategyRetry, strategies.LevelFull, attempts+1)
			return end, nil
		}
		err = l.both(err, again)
	}
	return StreamEnd{}, err
}

// ask builds the follow-up request. A panic in it is a failure of the call's.
func (l *continuer[Req, Chunk]) ask(req Req, sent []Chunk) (next Req, ok bool, err error) {
	err = protect(func() error {
		next, ok = l.follow(req, sent)
		return nil
	})
	return next, ok, err
}

func attemptsOf(err error) int {
	if re, ok := err.(*strategies.RecoveryError); ok {
		return len(re.Attempts)
	}
	return 1
}

// both joins the failure that cut the stream off with that of its continuation,
// which may not have said a word: it is a cut-off stream all the same.
func (l *continuer[Req, Chunk]) both(before, after error) error {
	if v := judged(l.scope.classifier, context.Background(), after); v.Class == strategies.ClassInterrupt {
		return after
	}
	joined := &strategies.RecoveryError{Agent: l.scope.name, Class: strategies.ClassCutOff}
	for _, err := range []error{before, after} {
		if re := l.scope.own(err); re != nil {
			joined.Attempts = append(slices.Clip(joined.Attempts), re.Attempts...)
			joined.Stop, joined.Cause = re.Stop, errors.Join(joined.Cause, re.Cause)
			continue
		}
		class := judged(l.scope.classifier, context.Background(), err).Class
		joined.Attempts = append(joined.Attempts, strategies.Attempt{Agent: l.scope.name, Class: class, Err: err})
	}
	return joined
}
