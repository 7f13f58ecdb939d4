package eino

import (
	"context"
	"iter"
	"slices"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
)

// Builder is the core's builder for a model: its settings are those of any
// agent. The chunk of a whole answer is the message itself, so one chain serves
// Generate and Stream, and has one breaker, one budget and one count of failures
// for both.
//
// Timeout bounds an attempt to generate a message, and the time until a stream's
// first words. Validate sees the message, or each chunk. The rest is as its
// documentation says.
type Builder = middleware.StreamBuilder[Call, *schema.Message]

// Agent is what can stand in for a model, or answer in its place: see [StandIn]
// and [Reply].
type Agent = middleware.Streamer[Call, *schema.Message]

// Call is one call of a model. A stand-in may get a changed one: see [With].
type Call struct {
	Messages []*schema.Message
	Options  []model.Option
	// Whole says that the caller waits for a message, and not for a stream.
	Whole bool

	to       *primary // whose call it is
	asked    model.BaseChatModel
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
type primary struct {
	own model.BaseChatModel // whom to ask when somebody else's call comes; nil for a handler
}

func (p *primary) Stream(ctx context.Context, c Call) iter.Seq2[*schema.Message, error] {
	if c.to == p {
		return speak(ctx, c.asked, c)
	}
	return (&standIn{p.own}).Stream(ctx, c)
}

// StandIn makes a model an agent: a stand-in, or a rung. Tools that are bound to
// the model it stands in for are bound to it too, and eino's callbacks are told
// of it. A model from [Wrap] brings its own layers.
//
// A message of a rung says so: see [Level].
func StandIn(m model.BaseChatModel) Agent {
	switch m := m.(type) {
	case nil:
		return nil
	case *ChatModel:
		if m == nil {
			return nil
		}
		return m.guarded
	}
	return &standIn{m}
}

type standIn struct{ model model.BaseChatModel }

func (s *standIn) Stream(ctx context.Context, c Call) iter.Seq2[*schema.Message, error] {
	m := s.model
	if c.tools != nil {
		if binds, ok := m.(model.ToolCallingChatModel); ok {
			bound, err := binds.WithTools(c.tools)
			if err != nil {
				return failing[*schema.Message](err)
			}
			m = bound
		} else {
			c.Options = slices.Concat([]model.Option{model.WithTools(c.tools)}, c.Options)
		}
	}
	if c.observed {
		ctx, m = observe(ctx, m)
	}
	return speak(ctx, m, c)
}

// Reply is a rung for Degrade: a message of this text, without any model.
func Reply(text string) Agent {
	return middleware.StreamFunc(func(ctx context.Context, _ Call) iter.Seq2[*schema.Message, error] {
		return func(yield func(*schema.Message, error) bool) {
			m := schema.AssistantMessage(text, nil)
			m.ResponseMeta = &schema.ResponseMeta{FinishReason: "stop"}
			yield(marked(ctx, m), nil)
		}
	})
}

// speak asks a model, once.
func speak(ctx context.Context, m model.BaseChatModel, c Call) iter.Seq2[*schema.Message, error] {
	// Clipped, for whoever appends to them must not write into the next attempt's.
	messages, options := slices.Clip(c.Messages), slices.Clip(c.Options)
	return func(yield func(*schema.Message, error) bool) {
		if !c.Whole {
			reader, err := m.Stream(ctx, messages, options...)
			if err != nil {
				yield(nil, explain(err))
				return
			}
			(&speech{ctx: ctx, yield: yield}).hear(reader)
			return
		}
		answer, err := m.Generate(ctx, messages, options...)
		if err == nil {
			err = judge(answer)
		}
		if err != nil {
			yield(nil, explain(err))
			return
		}
		yield(marked(ctx, answer), nil)
	}
}

// speech is one stream of a model. What comes before its first words is held
// back, so that its first chunk commits.
type speech struct {
	ctx   context.Context
	yield func(*schema.Message, error) bool
	held  []*schema.Message
	said  bool
}

func (s *speech) hear(reader *schema.StreamReader[*schema.Message]) {
	var last *schema.Message
	for chunk, err := range read(reader) {
		switch {
		case err != nil:
			s.yield(nil, explain(err))
			return
		case chunk == nil:
			continue
		}
		if last = chunk; !s.pass(chunk) {
			return
		}
	}
	if !s.said {
		s.yield(nil, &AnswerError{Reason: Empty, Finish: finish(last)})
	}
}

func (s *speech) pass(chunk *schema.Message) (more bool) {
	blocked := filtered(chunk)
	switch {
	case s.said:
		more = s.yield(chunk, nil)
	case blocked != nil:
		more = true // nothing of it is said
	case says(chunk):
		s.said = true
		more = s.flush() && s.yield(marked(s.ctx, chunk), nil)
	default:
		s.held = append(s.held, chunk)
		more = true
	}
	if more && blocked != nil {
		return s.yield(nil, blocked) && false
	}
	return more
}

func (s *speech) flush() bool {
	for _, early := range s.held {
		if !s.yield(early, nil) {
			return false
		}
	}
	return true
}
