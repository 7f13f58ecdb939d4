package eino

import (
	"context"
	"iter"
	"slices"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Builder is the core's builder for a model: its settings are those of any
// agent. The chunk of a whole answer is the message itself, so one chain serves
// Generate and Stream, and has one breaker, one budget and one count of failures
// for both.
//
// Timeout bounds an attempt to generate a message, and the time until a stream's
// first words. Validate sees the message, or each chunk. Commit is [Says] unless
// it is set, or the answers are buffered. The rest is as its documentation says.
type Builder = middleware.StreamBuilder[Call, *schema.Message]

// AgenticBuilder is the same for a model of agentic messages.
type AgenticBuilder = middleware.StreamBuilder[AgenticCall, *schema.AgenticMessage]

// Agent is what can stand in for a model, or answer in its place: see [StandIn]
// and [Reply].
type Agent = middleware.Streamer[Call, *schema.Message]

// AgenticAgent is the same for a model of agentic messages.
type AgenticAgent = middleware.Streamer[AgenticCall, *schema.AgenticMessage]

// Call is one call of a model. A stand-in may get a changed one: see [With].
type Call = TypedCall[*schema.Message]

// AgenticCall is one call of a model of agentic messages.
type AgenticCall = TypedCall[*schema.AgenticMessage]

// TypedCall is a [Call] or an [AgenticCall].
type TypedCall[M adk.MessageType] struct {
	Messages []M
	Options  []model.Option
	// Whole says that the caller waits for a message, and not for a stream.
	Whole bool

	to       *primary[M] // whose call it is
	asked    model.BaseModel[M]
	accept   []string           // of asked
	tools    []*schema.ToolInfo // bound by WithTools; a stand-in must bind them too
	observed bool               // nobody above tells eino's callbacks of a stand-in
}

// With returns a function that makes a call with these options added, for
// FallbackVia: another model's name, a lower limit.
//
//	FallbackVia("large window", eino.StandIn(chat), eino.With(model.WithModel("gpt-4.1")))
func With(options ...model.Option) func(context.Context, Call) (Call, error) {
	options = slices.Clone(options)
	return func(_ context.Context, c Call) (Call, error) {
		c.Options = slices.Concat(c.Options, options)
		return c, nil
	}
}

// primary is the agent at the bottom of a chain. Which model it is comes with the
// call: eino hands it over anew each time, and WithTools makes another one.
type primary[M adk.MessageType] struct {
	own model.BaseModel[M] // whom to ask when somebody else's call comes; nil for a handler
}

func (p *primary[M]) Stream(ctx context.Context, c TypedCall[M]) iter.Seq2[M, error] {
	if c.to == p {
		return speak(ctx, c.asked, c, c.accept)
	}
	return (&standIn[M]{model: p.own}).Stream(ctx, c)
}

// StandIn makes a model an agent: a stand-in, or a rung. Tools that are bound to
// the model it stands in for are bound to it too, and eino's callbacks are told
// of it. Its answers are taken although they ended for one of the reasons in
// accept; see [ChatModel.Accept]. A model from [Wrap] brings its own layers, and
// what it accepts.
//
// A message of a rung says so: see [Level].
func StandIn(m model.BaseChatModel, accept ...string) Agent {
	switch m := m.(type) {
	case nil:
		return nil
	case *ChatModel:
		if m == nil {
			return nil
		}
		return m.guarded
	}
	return &standIn[*schema.Message]{m, accept}
}

// StandInAgentic is [StandIn] for a model of agentic messages.
func StandInAgentic(m model.AgenticModel, accept ...string) AgenticAgent {
	switch m := m.(type) {
	case nil:
		return nil
	case *AgenticModel:
		if m == nil {
			return nil
		}
		return m.guarded
	}
	return &standIn[*schema.AgenticMessage]{m, accept}
}

type standIn[M adk.MessageType] struct {
	model  model.BaseModel[M]
	accept []string
}

func (s *standIn[M]) Stream(ctx context.Context, c TypedCall[M]) iter.Seq2[M, error] {
	m := s.model
	if c.tools != nil {
		if binds, ok := any(m).(model.ToolCallingChatModel); ok {
			bound, err := binds.WithTools(c.tools)
			if err != nil {
				return failing[M](err)
			}
			m = any(bound).(model.BaseModel[M])
		} else {
			c.Options = slices.Concat([]model.Option{model.WithTools(c.tools)}, c.Options)
		}
	}
	if c.observed {
		ctx, m = observe(ctx, m)
	}
	return speak(ctx, m, c, s.accept)
}

// Reply is a rung for Degrade: a message of this text, without any model.
func Reply(text string) Agent { return canned[*schema.Message]{text} }

// ReplyAgentic is [Reply] for a model of agentic messages.
func ReplyAgentic(text string) AgenticAgent { return canned[*schema.AgenticMessage]{text} }

type canned[M adk.MessageType] struct{ text string }

func (r canned[M]) Stream(ctx context.Context, _ TypedCall[M]) iter.Seq2[M, error] {
	return func(yield func(M, error) bool) {
		m := saying[M](r.text)
		if own, ok := any(m).(*schema.Message); ok {
			own.ResponseMeta = &schema.ResponseMeta{FinishReason: "stop"}
		}
		yield(marked(ctx, m), nil)
	}
}

// speak asks a model, once.
func speak[M adk.MessageType](ctx context.Context, m model.BaseModel[M], c TypedCall[M], accept []string) iter.Seq2[M, error] {
	// Clipped, for whoever appends to them must not write into the next attempt's.
	messages, options := slices.Clip(c.Messages), slices.Clip(c.Options)
	return func(yield func(M, error) bool) {
		var none M
		ctx, report := middleware.Spending(ctx)
		s := speech[M]{ctx: ctx, yield: yield, answer: answer{accept: accept, tools: offered(c.tools, options)}}
		defer func() { report(s.usage) }()
		if !c.Whole {
			reader, err := m.Stream(ctx, messages, options...)
			if err != nil {
				yield(none, explain(err))
				return
			}
			s.hear(reader)
			return
		}
		whole, err := m.Generate(ctx, messages, options...)
		if err == nil {
			hears(&s.usage, whole)
			s.answer.add(look(whole))
			err = s.answer.judge(whole)
		}
		if err != nil {
			yield(none, explain(err))
			return
		}
		if whole == none { // and that was accepted
			whole = saying[M]("")
		}
		if !Says(whole) {
			whole = noted(whole, endKey, "end")
		}
		yield(marked(ctx, whole), nil)
	}
}

// speech is one stream of a model. What it says of tools is judged before the
// chunk that ends it, and with it all of what commits nothing.
type speech[M adk.MessageType] struct {
	ctx    context.Context
	yield  func(M, error) bool
	answer answer
	usage  strategies.Usage
	held   []M  // ends, before there is anything
	opened bool // something was passed on
	said   bool // and it was something that commits
}

func (s *speech[M]) hear(reader *schema.StreamReader[M]) {
	var none, last M
	for chunk, err := range read(reader) {
		if err != nil {
			if s.answer.finish == "" {
				s.yield(none, explain(err))
				return
			}
			break // what comes after the finish reason is nobody's concern
		}
		if chunk == none {
			continue
		}
		last = chunk
		hears(&s.usage, chunk)
		l := look(chunk)
		s.answer.add(l)
		if l.finish != "" {
			if !s.answer.has {
				s.held = append(s.held, chunk)
				continue
			}
			if err := s.answer.judge(chunk); err != nil {
				s.yield(none, err)
				return
			}
		}
		if !s.pass(chunk) {
			return
		}
	}
	if err := s.answer.judge(last); err != nil {
		s.yield(none, err)
		return
	}
	if !s.flush() || s.said {
		return
	}
	s.pass(noted(saying[M](""), endKey, "end"))
}

// pass gives the reader a chunk, and before it what was held back.
func (s *speech[M]) pass(chunk M) bool { return s.flush() && s.give(chunk) }

func (s *speech[M]) flush() bool {
	for _, early := range s.held {
		if !s.give(early) {
			return false
		}
	}
	s.held = nil
	return true
}

func (s *speech[M]) give(chunk M) bool {
	if !s.opened {
		s.opened, chunk = true, marked(s.ctx, chunk)
	}
	s.said = s.said || Says(chunk)
	return s.yield(chunk, nil)
}
