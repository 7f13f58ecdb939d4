package middleware

import (
	"context"
	"slices"
	"time"
)

// streamHedging is the hedge of a stream. Both who are asked speak on goroutines of
// their own, each to a reader of its own; the first whose answer commits has the
// floor, and its chunks are handed to the reader's goroutine one by one. The other
// is told to stop at that moment, and nothing of it is heard. Both have ended before
// the stream does: what the loser has cost is known then, and nothing is left behind.
type streamHedging[Req, Chunk any] struct {
	*hedging[streamCall[Req, Chunk], streamEnd]
}

// lane is one of the two who are asked.
type lane[Req, Chunk any] struct {
	race   *race[Req, Chunk]
	reader reader[Req, Chunk] // what the call's own becomes if this one gets the floor
	ctx    context.Context
	stop   context.CancelCauseFunc
	more   chan bool // whether the reader wants another chunk
	name   string    // of the second; "": it is the agent itself, asked first
	err    error
}

// race is one hedged stream. Its fields belong to the reader's goroutine, but for
// the channels.
type race[Req, Chunk any] struct {
	words   chan word[Req, Chunk]
	ends    chan *lane[Req, Chunk]
	over    chan struct{} // nothing is taken any more
	running int
	winner  *lane[Req, Chunk]
	lanes   [2]*lane[Req, Chunk] // the second may be nil
}

type word[Req, Chunk any] struct {
	of    *lane[Req, Chunk]
	chunk Chunk
}

func (l *streamHedging[Req, Chunk]) Run(ctx context.Context, call streamCall[Req, Chunk]) (none streamEnd, _ error) {
	after, due := l.hedge.Begin()
	start := time.Now()
	r := call.reader
	if !due {
		defer r.onFirst(func() { l.hedge.Answered(time.Since(start)) })()
		return l.next.Run(ctx, call)
	}
	run := &race[Req, Chunk]{words: make(chan word[Req, Chunk]), ends: make(chan *lane[Req, Chunk], 2), over: make(chan struct{})}
	defer run.close(r) // also when the reader panics, or its goroutine ends
	first := run.lane(ctx, r)
	first.ctx = first.call(l.owner.with(first.ctx, 0))
	run.start(0, first, l.next, call)
	timer := time.NewTimer(after)
	defer timer.Stop()
	for run.running > 0 {
		select {
		case <-timer.C:
			if run.winner != nil || ctx.Err() != nil {
				continue
			}
			second := run.lane(ctx, r)
			who, c, by := l.candidate(second.ctx)
			if who == nil || !l.hedge.Take() {
				second.stop(nil)
				continue
			}
			l.owner.emit(ctx, 0, Event{Kind: EventHedged, ServedBy: by, Delay: after})
			second.name, second.ctx = by, second.call(c)
			run.start(1, second, who, call)
		case w := <-run.words:
			if run.winner == nil {
				run.gives(w.of)
				l.hedge.Answered(time.Since(start))
			}
			w.of.more <- w.of == run.winner && r.hand(w.chunk)
		case <-run.ends:
			run.running--
		}
	}
	return none, l.ended(ctx, run, r)
}

// ended says how a race went, after both have ended.
func (l *streamHedging[Req, Chunk]) ended(ctx context.Context, run *race[Req, Chunk], r *reader[Req, Chunk]) error {
	w := run.winner
	if w == nil { // nobody has said a word
		second := run.lanes[1]
		if second == nil {
			return run.lanes[0].err
		}
		return l.both(ctx, run.lanes[0].err, second.name, second.err)
	}
	run.settle(r)
	helped := w.name != "" && w.name != l.owner.name()
	switch {
	case !helped:
		return w.err
	case w.err == nil:
		l.helped(ctx, w.name)
		return nil
	}
	v := l.owner.judge(ctx, w.err)
	if v.Pass {
		l.owner.paused(ctx, 2)
		return w.err
	}
	// It was cut off, and the agent has not failed: it was told to stop.
	a := &account{owner: l.owner, id: l.owner.identify(callOf(ctx)), verdict: v, job: jobOf(ctx)}
	a.add(w.name, v.Class, w.err)
	l.owner.emit(ctx, a.id, Event{Kind: EventStandInFailed, ServedBy: w.name, Class: v.Class, Err: raw(w.err)})
	return a.close(ctx)
}

// lane makes a lane, with a reader that goes on where the call's own is.
func (run *race[Req, Chunk]) lane(ctx context.Context, r *reader[Req, Chunk]) *lane[Req, Chunk] {
	l := &lane[Req, Chunk]{race: run, more: make(chan bool, 1)}
	l.ctx, l.stop = context.WithCancelCause(ctx)
	l.reader.rules, l.reader.yield = r.rules, l.say
	l.reader.follows(r)
	return l
}

// call gives a lane's call its reader.
func (l *lane[Req, Chunk]) call(c context.Context) context.Context {
	if own, ok := c.(*call); ok {
		own.stream = &streamSide{reader: &l.reader}
	}
	return c
}

// say is the yield of a lane's reader: it asks the reader's goroutine for the floor.
func (l *lane[Req, Chunk]) say(chunk Chunk, _ error) bool {
	select {
	case l.race.words <- word[Req, Chunk]{l, chunk}:
	case <-l.race.over:
		return false
	}
	select {
	case more := <-l.more:
		return more
	case <-l.race.over:
		return false
	}
}

func (run *race[Req, Chunk]) start(at int, l *lane[Req, Chunk], who Runner[streamCall[Req, Chunk], streamEnd], call streamCall[Req, Chunk]) {
	run.lanes[at] = l
	run.running++
	call.reader = &l.reader
	go func() {
		l.err = errGoroutineEnded // by runtime.Goexit, unless it returns
		defer func() { run.ends <- l }()
		_, l.err = guard(l.ctx, who, call)
	}()
}

// gives gives a lane the floor.
func (run *race[Req, Chunk]) gives(w *lane[Req, Chunk]) {
	run.winner = w
	for _, l := range run.lanes {
		if l != nil && l != w {
			l.stop(errSlower)
		}
	}
}

// close ends whoever still speaks, and waits for it.
func (run *race[Req, Chunk]) close(r *reader[Req, Chunk]) {
	close(run.over)
	for _, l := range run.lanes {
		if l != nil {
			l.stop(nil)
		}
	}
	if run.running == 0 {
		return
	}
	for ; run.running > 0; run.running-- {
		<-run.ends
	}
	run.settle(r) // the reader is on its way out
}

// settle takes over what the winner's reader knows.
func (run *race[Req, Chunk]) settle(r *reader[Req, Chunk]) {
	if run.winner != nil {
		r.follows(&run.winner.reader)
		r.left = r.left || run.winner.reader.left
	}
}

// hand gives the reader a chunk of a lane's, whose own reader has booked it.
func (r *reader[Req, Chunk]) hand(chunk Chunk) bool {
	r.inBody = true
	more := r.yield(chunk, nil)
	r.inBody = false
	return more
}

// follows takes over how far another reader of the same call has come.
func (r *reader[Req, Chunk]) follows(other *reader[Req, Chunk]) {
	r.delivered, r.continued, r.restarted, r.stale = other.delivered, other.continued, other.restarted, other.stale
	r.sent = ring[Chunk]{kept: slices.Clone(other.sent.kept), next: other.sent.next}
	r.sources = slices.Clone(other.sources)
}

// onFirst calls spoke before the next chunk is handed over; end takes that back.
func (r *reader[Req, Chunk]) onFirst(spoke func()) (end func()) {
	yield := r.yield
	r.yield = func(chunk Chunk, err error) bool {
		r.yield = yield
		spoke()
		return yield(chunk, err)
	}
	return func() { r.yield = yield }
}
