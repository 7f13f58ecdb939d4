package strategies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Answer is an answer as a check sees it, whichever SDK it came by. The adapters
// make one of theirs; an agent of yours does it in a few lines.
type Answer struct {
	Text   string     // what its reader sees
	Finish string     // why it ended, in the provider's word; "": it does not say, or has not
	Calls  []ToolCall // the tool calls in it, in their order
	Before []ToolCall // those made since the user's last message, the oldest first
}

// ToolCall is a call of a tool that a model asks for.
type ToolCall struct {
	Name      string
	Arguments string // as the model wrote them, which should be a JSON object
}

// AnswerCheck is something that an answer must keep to be one. See
// middleware.Builder.Check.
//
// Check says what is wrong with an answer, in words for the model that gave it; nil:
// nothing is. It must be safe for concurrent use. An error with a class keeps it, any
// other is a [ClassInvalidAnswer].
//
// A check that can tell before a stream has ended has a method CheckPart too, of the
// same form. It is asked now and then with what there is so far.
type AnswerCheck interface {
	Check(a Answer) error
}

// AnswerCheckFunc makes a function a check.
type AnswerCheckFunc func(a Answer) error

// Check calls the function.
func (f AnswerCheckFunc) Check(a Answer) error { return f(a) }

// Validate refuses a nil function.
func (f AnswerCheckFunc) Validate() error {
	if f == nil {
		return &ConfigError{Setting: "AnswerCheckFunc", Problem: "is nil", Fix: "give it a function"}
	}
	return nil
}

// WholeAnswer refuses an answer that was cut off or held back, by the reason why it
// ended (see [ClassOfFinish]), and one with a tool call whose arguments are no whole
// JSON object. The adapters of the SDKs do so by themselves; it is for agents of other
// makes. An answer without a reason is not refused for that.
type WholeAnswer struct{}

// Check looks at the reason, then at the calls.
func (WholeAnswer) Check(a Answer) error {
	if class := ClassOfFinish(a.Finish); a.Finish != "" && class != ClassUnclassified {
		return &AnswerError{Reason: short(a.Finish, maxFinish), Text: a.Text, Class: class}
	}
	for _, c := range a.Calls {
		if !WholeArguments(c.Arguments) {
			return &AnswerError{Reason: "arguments", Text: a.Text, Err: fmt.Errorf("the call of %q", short(c.Name, maxFinish))}
		}
	}
	return nil
}

func (WholeAnswer) String() string { return "it is whole" }

// NeedTool refuses an answer that comes without a tool having been called: a booking
// that was announced and not made. One of the tools that are named must have been
// called since the user's last message; no names: any tool. An answer that calls
// another tool is still at work, and passes.
type NeedTool struct {
	Names []string
	// AtOnce wants the call in this very answer.
	AtOnce bool
}

// Check looks for the call.
func (n NeedTool) Check(a Answer) error {
	is := func(c ToolCall) bool { return len(n.Names) == 0 || slices.Contains(n.Names, c.Name) }
	switch {
	case slices.ContainsFunc(a.Calls, is):
		return nil
	case !n.AtOnce && (len(a.Calls) > 0 || slices.ContainsFunc(a.Before, is)):
		return nil
	case len(n.Names) == 0:
		return fmt.Errorf("no tool was called: call one before you answer")
	case len(n.Names) == 1:
		return fmt.Errorf("the tool %q was not called: call it before you answer", n.Names[0])
	}
	return fmt.Errorf("none of the tools %q was called: call one of them before you answer", n.Names)
}

// Validate refuses an empty name.
func (n NeedTool) Validate() error {
	if slices.Contains(n.Names, "") {
		return &ConfigError{Setting: "NeedTool.Names", Problem: "has an empty name", Fix: "name the tool as the model does, or leave Names out for any tool"}
	}
	return nil
}

func (n NeedTool) String() string {
	if len(n.Names) == 0 {
		return "a tool is called"
	}
	return "it calls " + strings.Join(n.Names, " or ")
}

// sameCall is arguments in a form in which equal ones are equal text.
func sameCall(arguments string) string {
	raw := strings.TrimSpace(arguments)
	if raw == "" {
		return "{}"
	}
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return raw
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return raw
	}
	return strings.TrimSpace(b.String())
}
