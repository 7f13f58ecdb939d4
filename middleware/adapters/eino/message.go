package eino

import (
	"cmp"
	"context"
	"maps"
	"strings"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/schema"
	"github.com/cloudwego/eino/schema/openai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// looks is what is read of a message, or of a piece of one, of either type.
type looks struct {
	text   string
	finish string // why it ended, in the provider's word; "": it does not say
	failed error  // what the provider says went wrong
	owes   bool   // it tells of its answer, and so will tell why it ended
	says   bool   // a reader would see it: text, an image
	thinks bool
	other  bool // it is neither text nor thought nor a call: the provider's own tools
	calls  []schema.ToolCall
}

func look[M adk.MessageType](m M) (l looks) {
	switch m := any(m).(type) {
	case *schema.Message:
		if m != nil {
			l.message(m)
		}
	case *schema.AgenticMessage:
		if m != nil {
			l.agentic(m)
		}
	}
	if strings.EqualFold(l.finish, "FINISH_REASON_UNSPECIFIED") {
		l.finish = ""
	}
	return l
}

func (l *looks) message(m *schema.Message) {
	l.text, l.calls = m.Content, m.ToolCalls
	l.thinks = m.ReasoningContent != ""
	l.says = m.Content != "" || len(m.MultiContent) > 0 // older models still fill the latter
	for _, p := range m.AssistantGenMultiContent {
		if p.Type == schema.ChatMessagePartTypeReasoning {
			l.thinks = true
		} else {
			l.says = true
		}
	}
	if m.ResponseMeta != nil {
		l.owes, l.finish = true, m.ResponseMeta.FinishReason
	}
}

func (l *looks) agentic(m *schema.AgenticMessage) {
	for _, b := range m.ContentBlocks {
		switch {
		case b == nil:
		case b.Reasoning != nil:
			l.thinks = l.thinks || b.Reasoning.Text != ""
		case b.AssistantGenText != nil:
			l.text += b.AssistantGenText.Text
			l.says = l.says || b.AssistantGenText.Text != ""
			if e := b.AssistantGenText.OpenAIExtension; e != nil && e.Refusal != nil {
				l.finish = "refusal"
			}
		case b.AssistantGenImage != nil, b.AssistantGenAudio != nil, b.AssistantGenVideo != nil:
			l.says = true
		case b.FunctionToolCall != nil:
			call := schema.ToolCall{ID: b.FunctionToolCall.CallID, Function: schema.FunctionCall{
				Name: b.FunctionToolCall.Name, Arguments: b.FunctionToolCall.Arguments,
			}}
			if b.StreamingMeta != nil {
				call.Index = &b.StreamingMeta.Index
			}
			l.calls = append(l.calls, call)
		default:
			l.other = true
		}
	}
	if m.ResponseMeta == nil {
		return
	}
	finish := ""
	if e := m.ResponseMeta.OpenAIExtension; e != nil {
		l.owes = true
		switch {
		case e.Error != nil:
			finish = cmp.Or(string(e.Error.Code), string(openai.ResponseStatusFailed))
			l.failed = &codeError{Code: finish, Message: e.Error.Message}
		case e.IncompleteDetails != nil && e.IncompleteDetails.Reason != "":
			finish = e.IncompleteDetails.Reason
		case e.Status != openai.ResponseStatusInProgress && e.Status != openai.ResponseStatusQueued:
			finish = string(e.Status)
		}
	}
	if e := m.ResponseMeta.GeminiExtension; e != nil {
		l.owes, finish = true, e.FinishReason
	}
	if e := m.ResponseMeta.ClaudeExtension; e != nil {
		l.owes, finish = true, e.StopReason
	}
	if l.finish == "" {
		l.finish = finish
	}
}

// Says is for Commit, and every chain of this package has it unless another is
// set: it says whether a message has something in it that its reader would see,
// text or an image, or is the end of an answer. A call of a tool is something only
// at the end, for nobody can have acted on it before; reasoning is nothing.
func Says[M adk.MessageType](m M) bool {
	l := look(m)
	return l.says || l.finish != "" || extra(m)[endKey] != nil
}

// SaysThinking is [Says] for those who show the reasoning as well:
// Commit(eino.SaysThinking).
func SaysThinking[M adk.MessageType](m M) bool { return look(m).thinks || Says(m) }

// Alive is for Alive, beside an Idle: it says whether the model is at work, in text,
// reasoning, a call of a tool or anything else. An empty message is a heartbeat.
func Alive[M adk.MessageType](m M) bool {
	l := look(m)
	return SaysThinking(m) || l.other || len(l.calls) > 0
}

// Ends is for Complete: it says whether a message has a finish reason. Models that
// tell anything of their answers are expected to give one as it is; this is for
// chains in which nobody else may speak.
func Ends[M adk.MessageType](m M) bool { return look(m).finish != "" }

// endKey is where a message that has nothing else to show for it says that it is
// the end of an answer: of one that only calls tools, by a model that gives no
// finish reason.
const endKey = "understudy_end"

// levelKey is where a message says how much of an answer it is. The values are
// strings, so that they survive a checkpoint.
const levelKey = "understudy_level"

// Level returns how much of an answer a message is: [strategies.LevelFull], unless it
// came from a rung, or was asked for while the agent's ladder stood lower.
func Level[M adk.MessageType](m M) strategies.Level {
	if at := extra(m)[levelKey]; at != nil {
		for _, level := range strategies.Levels() {
			if at == level.String() {
				return level
			}
		}
	}
	return strategies.LevelFull
}

// marked returns a message that says its level. A message may be shared, so it
// is copied.
func marked[M adk.MessageType](ctx context.Context, m M) M {
	level := middleware.CallOf(ctx).Level()
	if level == strategies.LevelFull {
		return m
	}
	return noted(m, levelKey, level.String())
}

func extra[M adk.MessageType](m M) map[string]any {
	switch m := any(m).(type) {
	case *schema.Message:
		if m != nil {
			return m.Extra
		}
	case *schema.AgenticMessage:
		if m != nil {
			return m.Extra
		}
	}
	return nil
}

// noted returns a copy of a message with this in its Extra.
func noted[M adk.MessageType](m M, key, value string) M {
	c, more := copied(m)
	more[key] = value
	return c
}

// copied returns a copy of a message, and its Extra.
func copied[M adk.MessageType](m M) (M, map[string]any) {
	more := maps.Clone(extra(m))
	if more == nil {
		more = map[string]any{}
	}
	var c any
	switch m := any(m).(type) {
	case *schema.Message:
		own := *m
		own.Extra, c = more, &own
	case *schema.AgenticMessage:
		own := *m
		own.Extra, c = more, &own
	}
	return c.(M), more
}

// saying returns a new message of this text; "" is an empty one.
func saying[M adk.MessageType](text string) M {
	var m any
	var none M
	switch any(none).(type) {
	case *schema.Message:
		m = schema.AssistantMessage(text, nil)
	case *schema.AgenticMessage:
		own := &schema.AgenticMessage{Role: schema.AgenticRoleTypeAssistant}
		if text != "" {
			own.ContentBlocks = []*schema.ContentBlock{schema.NewContentBlock(&schema.AssistantGenText{Text: text})}
		}
		m = own
	}
	return m.(M)
}

// identified gives a message the id that eino gives to those of an agent's own
// model, and that one of a stand-in would lack.
func identified[M adk.MessageType](m M) M {
	if adk.GetMessageID(m) == "" {
		m, _ = copied(m)
		adk.EnsureMessageID(m)
	}
	return m
}
