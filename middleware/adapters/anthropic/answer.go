package anthropic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/strategies"
)

// Why a message is no answer, in a [strategies.AnswerError]. Any other stop reason
// stands beside these in the API's word.
const (
	// Refusal: a policy ended it. Err is the API's explanation, if there is one.
	Refusal = "refusal"
	// Length: MaxTokens cut it short.
	Length = "max_tokens"
	// Window: the model's context window is full, and cut it short.
	Window = "model_context_window_exceeded"
	// Empty: no text and no tool call. Thinking alone is no answer.
	Empty = "empty"
	// Unfinished: no stop reason, or a stream without its terminal marker. The
	// client reports no error for that.
	Unfinished = "unfinished"
	// Arguments: the input of a tool call is no whole JSON object.
	Arguments = "arguments"
	// UnknownTool: it uses a tool that the request did not offer.
	UnknownTool = "unknown_tool"
)

const (
	mostText      = 64 << 10 // of an answer, kept for its error
	mostArguments = 8 << 20  // of a tool call
	mostBlocks    = 1 << 10
	mostReason    = 512 // of an explanation
	mostWord      = 64  // a stop reason, or the name of a tool
)

// keep adds a piece to what is kept, up to a bound.
func keep(kept []byte, piece string, most int) []byte {
	return append(kept, piece[:min(len(piece), most-len(kept))]...)
}

// short is as much of a foreign text as its kind may have.
func short(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }

// answer is what is known of a message.
type answer struct {
	said    bool // text, or any block that is not thinking
	stop    string
	details string // the API's explanation
	text    []byte
	calls   []call
	last    int64 // the index of its last block
}

// call is what has come of a tool call.
type call struct {
	index int64
	name  string
	set   bool // it is one of a toolset, which is offered by its own name
	input []byte
}

// begins takes note of a block: one that is whole, or the beginning of one.
func (a *answer) begins(index int64, kind, text string) {
	switch a.last = index; kind {
	case "thinking", "redacted_thinking":
	case "text":
		a.says(text)
	default:
		a.said = true
	}
}

func (a *answer) says(text string) {
	a.said = a.said || text != ""
	a.text = keep(a.text, text, mostText)
}

// uses takes note of a tool call. An empty object is what a stream begins one
// with, and says nothing yet.
func (a *answer) uses(index int64, name, set, input string) *call {
	if input == "{}" || input == "null" {
		input = ""
	}
	if len(a.calls) == mostBlocks {
		last := &a.calls[len(a.calls)-1]
		last.input = []byte("{") // one too many breaks it
		return last
	}
	a.calls = append(a.calls, call{index: index, name: short(name, mostWord), set: set != "", input: keep(nil, input, mostArguments)})
	return &a.calls[len(a.calls)-1]
}

// at is the call that is that block, or nil.
func (a *answer) at(index int64) *call {
	if i := slices.IndexFunc(a.calls, func(c call) bool { return c.index == index }); i >= 0 {
		return &a.calls[i]
	}
	return nil
}

// class says what it means that it stopped; see [strategies.ClassOfFinish]. A
// paused turn is whole: it is sent back as it is, whatever is in it.
func (a *answer) class() strategies.Class {
	if a.stop == string(sdk.StopReasonPauseTurn) {
		return strategies.ClassUnclassified
	}
	return strategies.ClassOfFinish(a.stop)
}

func (a *answer) none(reason string, class strategies.Class, err error) *strategies.AnswerError {
	return &strategies.AnswerError{
		Provider: "anthropic", Reason: short(reason, mostWord), Text: strings.ToValidUTF8(string(a.text), ""), Class: class, Err: err,
	}
}

// judge says why a message is no answer, by the first of its reasons that the
// caller minds; or nil. A reason that is accepted does not excuse the others: who
// takes a text that was cut short has not asked for half a tool call.
func (a *MessagesAgent) judge(m *answer, offers func(tool string) bool) *strategies.AnswerError {
	class, paused := m.class(), m.stop == string(sdk.StopReasonPauseTurn)
	switch {
	case m.stop == "" && a.minds(Unfinished):
		return m.none(Unfinished, class, nil)
	case m.stop != "" && class != strategies.ClassUnclassified && a.minds(m.stop):
		return m.none(m.stop, class, explained(m.details))
	case !m.said && !paused && class != strategies.ClassBlocked && a.minds(Empty):
		return m.none(Empty, strategies.ClassInvalidAnswer, nil)
	}
	for i := range m.calls {
		c := &m.calls[i]
		if e := a.judgeCall(m, c, offers); e != nil {
			return e
		}
		// A message that was cut was cut in its last block, whose input is not to be
		// told from a whole one.
		if class != strategies.ClassUnclassified && c.index == m.last && a.minds(Arguments) {
			return m.none(Arguments, strategies.ClassInvalidAnswer, nil)
		}
	}
	return nil
}

// judgeCall says why a tool call must not be run, or nil.
func (a *MessagesAgent) judgeCall(m *answer, c *call, offers func(tool string) bool) *strategies.AnswerError {
	switch {
	case !c.set && a.minds(UnknownTool) && !offers(c.name):
		return m.none(UnknownTool, strategies.ClassInvalidAnswer, fmt.Errorf("the request offers no tool %q", c.name))
	case !strategies.WholeArguments(string(c.input)) && a.minds(Arguments):
		return m.none(Arguments, strategies.ClassInvalidAnswer, nil)
	}
	return nil
}

// explained is the API's explanation as an error, or nil.
func explained(details string) error {
	if details == "" {
		return nil
	}
	return errors.New(short(details, mostReason))
}
