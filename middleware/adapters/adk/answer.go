package adk

import (
	"slices"
	"strings"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// Reasons of a [strategies.AnswerError] that the models have no word for. Its
// others are theirs: the error code of a response, or its finish reason.
const (
	// Empty: no text beside thoughts, no call of a tool, no image.
	Empty = "EMPTY"
	// Unfinished: the stream ended without a response that is not partial, or the
	// answer of a model that gives a finish reason has none.
	Unfinished = "UNFINISHED"
	// Arguments: a call of a tool whose arguments are not known to be whole.
	Arguments = "ARGUMENTS"
	// UnknownTool: a call of a tool that the request did not offer.
	UnknownTool = "UNKNOWN_TOOL"
)

// refuse makes the error of a response that is no whole answer. The response may
// be nil.
func refuse(reason string, class strategies.Class, r *model.LLMResponse) *strategies.AnswerError {
	if len(reason) > longestReason {
		reason = reason[:longestReason]
	}
	e := &strategies.AnswerError{Provider: "adk", Reason: reason, Class: class}
	if r == nil {
		return e
	}
	e.Answer = r
	if r.Content != nil {
		var b strings.Builder
		for _, p := range r.Content.Parts {
			if p != nil && !p.Thought {
				b.WriteString(p.Text)
			}
		}
		e.Text = b.String()
	}
	if r.ErrorMessage != "" {
		e.Err = &codeError{Code: reason, Status: reason, Message: r.ErrorMessage}
	}
	return e
}

// longestReason is more than any has; a longer one is somebody's text.
const longestReason = 64

// codeError is the code of a response in the form in which the classifier knows
// codes.
type codeError struct{ Code, Status, Message string }

func (e *codeError) Error() string { return e.Message }

// reasonOf is the word for how a response ended: its error code, else its finish
// reason. An unspecified one is none.
func reasonOf(r *model.LLMResponse) string {
	switch {
	case r.ErrorCode != "":
		return r.ErrorCode
	case r.FinishReason == genai.FinishReasonUnspecified:
		return ""
	}
	return string(r.FinishReason)
}

// classOf says what it means that a response ended so: nothing if it is whole.
func classOf(r *model.LLMResponse, reason string, google bool) strategies.Class {
	if r.ErrorCode == "" || r.FinishReason != "" {
		return strategies.ClassOfFinish(reason)
	}
	// A code without a finish reason: of a prompt that was blocked, or of another
	// provider's error.
	switch genai.BlockedReason(reason) {
	case genai.BlockedReasonOther, genai.BlockedReasonUnspecified:
		return strategies.ClassBlocked
	}
	switch class := strategies.ClassOfFinish(reason); {
	case google:
		return strategies.ClassBlocked
	case class == strategies.ClassBlocked || class == strategies.ClassContextOverflow || reason == string(genai.FinishReasonMaxTokens):
		return class
	}
	return strategies.Classify(&codeError{Code: reason, Status: reason, Message: r.ErrorMessage}).Class
}

// accepts says whether a reason is among those that the caller is content with.
func accepts(accept []string, reason string) bool {
	return slices.ContainsFunc(accept, func(a string) bool { return strings.EqualFold(a, reason) })
}

func names(reasons []genai.FinishReason) []string {
	var all []string
	for _, r := range reasons {
		all = append(all, string(r))
	}
	return all
}

// callsOf are the calls of tools in a response.
func callsOf(r *model.LLMResponse) (calls []*genai.FunctionCall) {
	if r.Content == nil {
		return nil
	}
	for _, p := range r.Content.Parts {
		if p != nil && p.FunctionCall != nil {
			calls = append(calls, p.FunctionCall)
		}
	}
	return calls
}

// goesOn says of a call that more of its arguments must come.
func goesOn(c *genai.FunctionCall) bool { return c.WillContinue != nil && *c.WillContinue }

// offered are the names of the tools in a request; nil if it does not tell them.
func offered(req *model.LLMRequest) map[string]bool {
	if req == nil {
		return nil
	}
	all := map[string]bool{}
	for name := range req.Tools {
		all[name] = true
	}
	if req.Config != nil {
		for _, t := range req.Config.Tools {
			switch {
			case t == nil:
				continue
			case t.ComputerUse != nil || len(t.MCPServers) > 0:
				return nil // these bring functions of their own
			}
			for _, f := range t.FunctionDeclarations {
				if f != nil {
					all[f.Name] = true
				}
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// explain gives a class to errors of the framework's models that are answers and
// have neither code nor type here. Whether a prompt was blocked is lost in the
// first of them.
func explain(err error) error {
	reason := ""
	switch text := err.Error(); {
	case text == "empty response", // of Gemini
		text == "openai: empty response", text == "openai: response included no output items",
		text == "openai: response output did not contain text or tool content":
		reason = Empty
	case strings.HasPrefix(text, "openai: parse function call args"), strings.HasPrefix(text, "openai: parse streamed function args"):
		reason = Arguments
	default:
		return err
	}
	return &strategies.AnswerError{Provider: "adk", Reason: reason, Err: err}
}
