package genai

import (
	"fmt"
	"slices"
	"strings"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// Why an answer is none, in a [strategies.AnswerError], where the API has no
// finish reason for it. Its own finish reasons stand beside these.
const (
	// PromptBlocked: the prompt was refused, so that there is no candidate. Err
	// names the API's reason.
	PromptBlocked = "PROMPT_BLOCKED"
	// Empty: no text beside thoughts, no call of a function, no image.
	Empty = "EMPTY"
	// Unfinished: no finish reason, or an unspecified one; a stream that ended
	// without. The client reports no error for that.
	Unfinished = "UNFINISHED"
	// Arguments: those of a function call have not come whole.
	Arguments = "ARGUMENTS"
	// UnknownTool: it calls a function that the request did not declare.
	UnknownTool = "UNKNOWN_TOOL"
)

const (
	mostText       = 64 << 10 // of an answer, kept for its error
	mostCalls      = 1 << 10
	mostCandidates = 128 // that are looked at; the API gives 8
	mostWord       = 64  // a finish reason, or the name of a function
)

// word is a word of the API's, or as much of it as a word may have.
func word(s string) string { return strings.ToValidUTF8(s[:min(len(s), mostWord)], "") }

// candidate is what is known of a candidate.
type candidate struct {
	seen   bool
	said   bool // more than thoughts
	finish sdk.FinishReason
	text   []byte
	calls  []call
}

// call is what has come of a function call.
type call struct {
	name  string
	empty bool // no arguments
	open  bool // more of it is to come
}

// hear takes note of a candidate, or of a piece of one.
func (a *candidate) hear(c *sdk.Candidate) {
	a.seen = true
	if c.Content != nil {
		for _, p := range c.Content.Parts {
			if p != nil && p.FunctionCall != nil { // also one that is said to be a thought
				a.call(p.FunctionCall)
			}
			if !says(p) || p.Thought {
				continue
			}
			a.said = true
			a.text = append(a.text, p.Text[:min(len(p.Text), mostText-len(a.text))]...)
		}
	}
	if ends(c) {
		a.finish = c.FinishReason
	}
}

// call takes note of a function call, or of a piece of one: Vertex AI sends the
// arguments in pieces if it is told to, and the name with the first.
func (a *candidate) call(f *sdk.FunctionCall) {
	last := len(a.calls) - 1
	if last < 0 || !a.calls[last].open || f.Name != "" {
		if len(a.calls) == mostCalls {
			a.calls[last].open = true // one too many breaks it
			return
		}
		a.calls = append(a.calls, call{name: word(f.Name), empty: true})
		last++
	}
	c := &a.calls[last]
	c.empty = c.empty && len(f.Args) == 0 && len(f.PartialArgs) == 0
	c.open = f.WillContinue != nil && *f.WillContinue
}

func (a *candidate) none(reason string, class strategies.Class, err error) *strategies.AnswerError {
	return &strategies.AnswerError{Provider: "genai", Reason: word(reason), Text: strings.ToValidUTF8(string(a.text), ""), Class: class, Err: err}
}

// judge says why a candidate is no answer, by the first of its reasons that the
// caller minds; or nil. A reason that is accepted does not excuse the others: who
// takes a text that was cut short has not asked for half a function call.
func (a *ModelsAgent) judge(c *candidate, offers func(function string) bool) *strategies.AnswerError {
	class := strategies.ClassOfFinish(string(c.finish))
	switch {
	case c.finish == "" && a.minds(Unfinished):
		return c.none(Unfinished, class, nil)
	case c.finish != "" && class != strategies.ClassUnclassified && a.minds(c.finish):
		return c.none(string(c.finish), class, nil)
	case !c.said && class != strategies.ClassBlocked && a.minds(Empty):
		return c.none(Empty, strategies.ClassInvalidAnswer, nil)
	}
	return a.judgeCalls(c, offers)
}

// judgeCalls says which of the function calls of a candidate that has ended must
// not be run, or nil. One without arguments is whole, unless its candidate was cut.
func (a *ModelsAgent) judgeCalls(c *candidate, offers func(function string) bool) *strategies.AnswerError {
	cut := strategies.ClassOfFinish(string(c.finish)) != strategies.ClassUnclassified
	for _, f := range c.calls {
		if e := a.unknown(c, f, offers); e != nil {
			return e
		}
		if (f.open || f.empty && cut) && a.minds(Arguments) {
			return c.none(Arguments, strategies.ClassInvalidAnswer, nil)
		}
	}
	return nil
}

func (a *ModelsAgent) unknown(c *candidate, f call, offers func(function string) bool) *strategies.AnswerError {
	if !a.minds(UnknownTool) || offers(f.name) {
		return nil
	}
	return c.none(UnknownTool, strategies.ClassInvalidAnswer, fmt.Errorf("the request declares no function %q", f.name))
}

// blocked says that a prompt was blocked, or nil.
func (a *ModelsAgent) blocked(response *sdk.GenerateContentResponse) *strategies.AnswerError {
	if !isBlocked(response) || !a.minds(PromptBlocked) {
		return nil
	}
	return (&candidate{}).none(PromptBlocked, strategies.ClassBlocked, fmt.Errorf("the prompt was blocked: %s", word(string(response.PromptFeedback.BlockReason))))
}

func isBlocked(response *sdk.GenerateContentResponse) bool {
	f := response.PromptFeedback
	return f != nil && f.BlockReason != "" && f.BlockReason != sdk.BlockedReasonUnspecified
}

// hearing is what is known of a stream.
type hearing struct {
	agent   *ModelsAgent
	offers  func(function string) bool
	all     candidates
	least   int32 // how many candidates were asked for
	blocked bool  // the prompt was, and that is accepted
	broken  bool  // a call must not be run: nothing more is delivered, and the end tells why
	last    *sdk.GenerateContentResponse
}

// hear takes note of a chunk, and judges what it ends: the first candidate, and the
// function calls of the others.
func (h *hearing) hear(chunk *sdk.GenerateContentResponse) *strategies.AnswerError {
	h.last = chunk
	if e := h.agent.blocked(chunk); e != nil {
		return e
	}
	h.blocked = h.blocked || isBlocked(chunk)
	for _, c := range chunk.Candidates {
		if c == nil || c.Index < 0 || c.Index >= mostCandidates {
			continue
		}
		for int(c.Index) >= len(h.all) {
			h.all = append(h.all, candidate{})
		}
		one := &h.all[c.Index]
		before := len(one.calls)
		one.hear(c)
		if ends(c) {
			if e := h.judge(int(c.Index)); e != nil {
				return e
			}
		}
		for _, f := range one.calls[before:] {
			h.broken = h.broken || h.agent.unknown(one, f, h.offers) != nil
		}
	}
	return nil
}

func (h *hearing) judge(index int) *strategies.AnswerError {
	if index == 0 {
		return h.agent.judge(&h.all[0], h.offers)
	}
	return h.agent.judgeCalls(&h.all[index], h.offers)
}

// end judges a stream that is over.
func (h *hearing) end() *strategies.AnswerError {
	if h.blocked {
		return nil
	}
	if len(h.all) == 0 {
		h.all = candidates{{}}
	}
	for i := range h.all {
		if one := &h.all[i]; one.finish == "" && (one.seen || i == 0) {
			if h.agent.minds(Unfinished) {
				return one.none(Unfinished, strategies.ClassInvalidAnswer, nil)
			}
			if e := h.judge(i); e != nil {
				return e
			}
		}
	}
	return nil
}

// candidates are those of a stream, by their index.
type candidates []candidate

// ended says whether that many candidates, and all that were begun, have come to
// their end.
func (all candidates) ended(least int32) bool {
	for i := range all {
		if all[i].finish != "" {
			least--
		} else if all[i].seen {
			return false
		}
	}
	return least <= 0
}

// offered says of a function whether a request declares it. Of a request that has
// functions from elsewhere, any may be one: a cache, the computer use tool and MCP
// servers bring theirs along, and what is added to the body is not looked at.
func offered(client sdk.HTTPOptions, config *sdk.GenerateContentConfig) func(name string) bool {
	if config == nil {
		config = &sdk.GenerateContentConfig{}
	}
	open := config.CachedContent != "" || changesBody(&client) || changesBody(config.HTTPOptions)
	for _, t := range config.Tools {
		open = open || t.ComputerUse != nil || len(t.MCPServers) > 0
	}
	return func(name string) bool {
		return open || slices.ContainsFunc(config.Tools, func(t *sdk.Tool) bool {
			return slices.ContainsFunc(t.FunctionDeclarations, func(f *sdk.FunctionDeclaration) bool { return f.Name == name })
		})
	}
}

func changesBody(o *sdk.HTTPOptions) bool {
	return o != nil && (o.ExtraBody != nil || o.ExtrasRequestProvider != nil)
}
