package eino

import (
	"slices"
	"strings"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/strategies"
)

// Reasons of a [strategies.AnswerError] that no provider has a word for. Its others
// are the providers' finish reasons.
const (
	// Empty: no text, no tool call, no other content beside reasoning.
	Empty = "empty"
	// Unfinished: no finish reason, of a model that tells anything of its answers.
	Unfinished = "unfinished"
	// Arguments: a tool call whose arguments are no whole JSON object.
	Arguments = "arguments"
	// UnknownTool: a call of a tool that was not offered.
	UnknownTool = "unknown_tool"
)

// answer is what has been heard of an answer, message by message.
type answer struct {
	accept []string
	tools  map[string]bool // offered; nil: nobody knows

	text   strings.Builder
	finish string
	failed error
	owes   bool
	has    bool // something beside reasoning
	calls  []*schema.Message
	size   int  // of the calls' arguments
	over   bool // there are more of them than anybody reads
}

const (
	mostText      = 1 << 16 // of an answer, in an error
	mostArguments = 8 << 20 // of the tool calls of an answer
	mostCalls     = 1 << 16 // and their pieces
	longestReason = 64      // is more than any has; a longer one is somebody's text
)

func (a *answer) add(l looks) {
	// Of several reasons the one against it counts: a refusal ends well as well.
	if l.finish != "" && (a.finish == "" || strategies.ClassOfFinish(l.finish) != strategies.ClassUnclassified) {
		a.finish = l.finish
	}
	if l.failed != nil {
		a.failed = l.failed
	}
	a.owes = a.owes || l.owes
	a.has = a.has || l.says || l.other || len(l.calls) > 0
	if a.text.Len()+len(l.text) <= mostText {
		a.text.WriteString(l.text)
	}
	if len(l.calls) == 0 || a.over {
		return
	}
	for _, c := range l.calls {
		a.size += len(c.Function.Arguments)
	}
	a.calls = append(a.calls, &schema.Message{Role: schema.Assistant, ToolCalls: l.calls})
	if a.size > mostArguments || len(a.calls) > mostCalls {
		a.over, a.calls = true, a.calls[:1]
	}
}

// judge says why what was heard is no whole answer, or nil. message is the last of
// it.
func (a *answer) judge(message any) error {
	reason, class, err := a.ended()
	if reason != "" && !accepts(a.accept, reason) {
		return a.refuse(reason, class, err, message)
	}
	cut := reason != ""
	if len(a.calls) > 0 {
		if reason := a.broken(cut); reason != "" && !accepts(a.accept, reason) {
			return a.refuse(reason, strategies.ClassInvalidAnswer, nil, message)
		}
	}
	if !a.has && !accepts(a.accept, Empty) {
		return a.refuse(Empty, strategies.ClassInvalidAnswer, nil, message)
	}
	return nil
}

// ended says for which reason it did not end as a whole answer does.
func (a *answer) ended() (string, strategies.Class, error) {
	switch {
	case a.failed != nil:
		return a.finish, strategies.Classify(a.failed).Class, a.failed
	case a.finish != "":
		if class := strategies.ClassOfFinish(a.finish); class != strategies.ClassUnclassified {
			return a.finish, class, nil
		}
	case a.owes:
		return Unfinished, strategies.ClassInvalidAnswer, nil
	}
	return "", 0, nil
}

// broken says what is wrong with the tool calls. Of an answer that was cut, a call
// without arguments has lost them.
func (a *answer) broken(cut bool) string {
	whole, err := schema.ConcatMessages(a.calls)
	if err != nil || a.over {
		return Arguments
	}
	for _, c := range whole.ToolCalls {
		if !strategies.WholeArguments(c.Function.Arguments) || cut && strings.TrimSpace(c.Function.Arguments) == "" {
			return Arguments
		}
	}
	for _, c := range whole.ToolCalls {
		known := a.tools == nil || a.tools[c.Function.Name] || c.Type != "" && c.Type != "function"
		if c.Function.Name == "" || !known {
			return UnknownTool
		}
	}
	return ""
}

func (a *answer) refuse(reason string, class strategies.Class, err error, message any) error {
	if len(reason) > longestReason {
		reason = reason[:longestReason]
	}
	return &strategies.AnswerError{Provider: "eino", Reason: reason, Text: a.text.String(), Answer: message, Class: class, Err: err}
}

// accepts says whether a reason is among those that the caller is content with.
func accepts(accept []string, reason string) bool {
	return slices.ContainsFunc(accept, func(a string) bool { return strings.EqualFold(a, reason) })
}

// offered are the names of the tools of a call; nil if it does not tell them.
func offered(bound []*schema.ToolInfo, options []model.Option) map[string]bool {
	o := model.GetCommonOptions(&model.Options{Tools: bound}, options...)
	all := map[string]bool{}
	for _, t := range slices.Concat(o.Tools, o.DeferredTools, []*schema.ToolInfo{o.ToolSearchTool}) {
		if t != nil {
			all[t.Name] = true
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// codeError is what a provider says went wrong, in the form in which the classifier
// knows codes.
type codeError struct{ Code, Message string }

func (e *codeError) Error() string { return e.Message }
