package middleware

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// streamRules are what a stream's builder was told, shared by all its calls.
type streamRules[Req, Chunk any] struct {
	owner    *Owner
	commit   func(Chunk) bool // nil: the first chunk commits
	complete func(Chunk) bool // nil: a clean end is an end
	alive    func(Chunk) bool // nil: as commit
	check    func(context.Context, Req, Chunk) error
	whole    func(context.Context, Req, []Chunk) error
	hear     func(Req) func(Chunk) strategies.Answer // of Check
	checks   []strategies.AnswerCheck
	mark     func(sent []Chunk) Chunk // of Restart; nil: what was said stands
	buffer   int                      // 0: not buffered
	keep     int
}

// asIs are the rules for a reduced answer, or a person's.
func (r *streamRules[Req, Chunk]) asIs() *streamRules[Req, Chunk] {
	return &streamRules[Req, Chunk]{owner: r.owner, buffer: r.buffer, keep: r.keep}
}

// visiting are the rules of a guarded agent that stands in where others were
// made: it knows its own chunks, and the reader wants whole answers or not.
func (r *streamRules[Req, Chunk]) visiting(reader *streamRules[Req, Chunk]) *streamRules[Req, Chunk] {
	own := *r
	own.buffer = cmp.Or(reader.buffer, own.buffer)
	return &own
}

// reader is whoever ranges over a stream, for as long as its call lasts: what
// belongs to one attempt is an [attempt]. Chunks are pushed to it from inside of
// the attempt, on its own goroutine: so an attempt lasts as long as its stream,
// and there is nothing to leak.
type reader[Req, Chunk any] struct {
	rules *streamRules[Req, Chunk]
	yield func(Chunk, error) bool

	inBody    bool // its loop body runs
	left      bool // it has left the loop
	delivered int  // by the attempts that have ended
	sent      ring[Chunk]
	sources   []StreamSource
	continued int
	restarted int
	stale     bool // what has been delivered is to be erased before more is

	// The call that this stream is, and room for a short one, so that it costs
	// no allocation more.
	traced       tracedCall
	side         streamSide
	firstAttempt attempt[Req, Chunk]
	firstSent    [8]Chunk
	firstSources [2]StreamSource
}

// StreamSource says how many chunks of a stream came from whom.
type StreamSource struct {
	Agent  string
	Chunks int
}

func (r *reader[Req, Chunk]) reading() bool { return r.inBody }

func (r *reader[Req, Chunk]) request(call any) any {
	if c, ok := call.(streamCall[Req, Chunk]); ok {
		return c.req
	}
	return call
}

func (r *reader[Req, Chunk]) answer(by string, call, value any) (any, bool, error) {
	c, ok := call.(streamCall[Req, Chunk])
	if !ok {
		return nil, false, nil
	}
	chunks, ok := value.([]Chunk)
	if one, is := value.(Chunk); is {
		chunks, ok = []Chunk{one}, true
	}
	if !ok {
		return nil, false, nil
	}
	return streamEnd{}, true, r.play(background, by, c, Chunks[Req](chunks...), r.rules.asIs())
}

func (r *reader[Req, Chunk]) answers() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[Chunk](), reflect.TypeFor[[]Chunk]()}
}

// deliver hands a chunk to the reader. A panic of the reader's leaves inBody
// set, and so passes through every layer.
func (r *reader[Req, Chunk]) deliver(chunk Chunk) bool {
	if r.stale && !r.erase() {
		return false
	}
	r.sent.add(chunk, r.rules.keep)
	r.inBody = true
	more := r.yield(chunk, nil)
	r.inBody = false
	if !more {
		r.left = true
	}
	return more
}

// erase tells the reader that what it has read does not stand any more.
func (r *reader[Req, Chunk]) erase() bool {
	mark := r.rules.mark(r.sent.all())
	r.stale = false
	r.restarted++
	r.delivered, r.sources = 0, r.sources[:0]
	r.sent = ring[Chunk]{kept: r.sent.kept[:0]}
	r.inBody = true
	more := r.yield(mark, nil)
	r.inBody = false
	if !more {
		r.left = true
	}
	return more
}

// attemptOf makes the attempt that begins now; the first one costs no allocation.
func (r *reader[Req, Chunk]) attemptOf() *attempt[Req, Chunk] {
	if r.firstAttempt.to == nil {
		return &r.firstAttempt
	}
	return &attempt[Req, Chunk]{}
}

// ring keeps the last chunks of a stream, in constant memory.
type ring[Chunk any] struct {
	kept []Chunk
	next int
}

func (r *ring[Chunk]) add(chunk Chunk, most int) {
	if len(r.kept) < most {
		r.kept = append(r.kept, chunk)
		return
	}
	r.kept[r.next] = chunk
	if r.next++; r.next == most {
		r.next = 0
	}
}

func (r *ring[Chunk]) all() []Chunk {
	return append(slices.Clone(r.kept[r.next:]), r.kept[:r.next]...)
}

// tell is for what nobody else will see: the panic of an agent whose reader has
// left.
func (r *reader[Req, Chunk]) tell(ctx context.Context, agent string, err error) {
	o := r.rules.owner
	o.emit(ctx, o.identify(callOf(ctx)), Event{
		Kind: EventAttemptFailed, ServedBy: agent, Attempt: CallOf(ctx).Attempt(), Class: o.verdict(err).Class, Err: err,
	})
}
