package middleware

import (
	"context"
	"fmt"
	"strings"

	"github.com/understudy-go/understudy/strategies"
)

// Check looks at every answer with ready-made checks, of stand-ins without layers of
// their own too: [strategies.NeedTool], [strategies.NoLoops], [strategies.NoRefusals],
// a JSON schema by the adapter of that name, functions of yours. read makes of a
// request and its answer what they look at; the adapters of the SDKs have one, named
// Answer. The first check that finds something fails the attempt, as one of Validate
// does; with RetryVia the agent is told what was wrong.
//
// It stands with Validate, which looks first. It costs a call what read and the checks
// do.
func (b *Builder[Req, Resp]) Check(read func(req Req, resp Resp) strategies.Answer, checks ...strategies.AnswerCheck) *Builder[Req, Resp] {
	b.settings().add(newCheckPart(checks), missing("Check", read == nil))
	if read != nil {
		b.answers = func(_ context.Context, req Req, resp Resp) error {
			return firstWrong(checks, read(req, resp))
		}
	}
	return b
}

// Check looks at a stream with ready-made checks, as [Builder.Check] does. hear begins
// an attempt: what it returns is given each chunk, and says what the answer is so far.
// The adapters of the SDKs have one, named StreamAnswer.
//
// All checks look at the whole, at the chunk that Complete takes for the last and
// before it is delivered, or else when the stream has ended. What had been delivered
// by then stands: an answer that must be right before anybody reads it needs Buffer.
// Checks that can tell earlier, as [strategies.NoLoops] of text that repeats, end the
// attempt at once.
func (b *StreamBuilder[Req, Chunk]) Check(hear func(req Req) func(chunk Chunk) strategies.Answer, checks ...strategies.AnswerCheck) *StreamBuilder[Req, Chunk] {
	b.chained().settings().add(newCheckPart(checks), missing("Check", hear == nil))
	if hear != nil {
		b.rules.hear, b.rules.checks = hear, checks
	}
	return b
}

// checkPart is the checks of answers, which need no types.
type checkPart struct {
	basics
	checks []strategies.AnswerCheck
}

func newCheckPart(checks []strategies.AnswerCheck) *checkPart {
	return &checkPart{basics{"Check", StageValidate}, checks}
}

func (p *checkPart) check(*Settings) (errs []error) {
	if len(p.checks) == 0 {
		errs = append(errs, problemOf("Check", "checks nothing", "give it a check, such as strategies.NoLoops{}"))
	}
	for i, c := range p.checks {
		if isNil(c) {
			errs = append(errs, settingNil(fmt.Sprintf("Check %d", i+1), "a check, such as strategies.NoLoops{}"))
			continue
		}
		if own, ok := c.(interface{ Validate() error }); ok {
			errs = append(errs, protect(own.Validate))
		}
	}
	return errs
}

func (p *checkPart) explain(e *explaining) {
	var names []string
	for _, c := range p.checks {
		if own, ok := c.(fmt.Stringer); ok {
			names = append(names, own.String())
		} else {
			names = append(names, fmt.Sprintf("%T", c))
		}
	}
	e.row(StageValidate, "an answer is one if %s", strings.Join(names, ", "))
}

func firstWrong(checks []strategies.AnswerCheck, a strategies.Answer) error {
	for _, c := range checks {
		if err := c.Check(a); err != nil {
			return err
		}
	}
	return nil
}

// hearing is what one attempt of a stream has said so far, for its checks.
type hearing[Chunk any] struct {
	hear   func(Chunk) strategies.Answer
	checks []strategies.AnswerCheck
	parts  []partCheck // those that can tell before the end
	answer strategies.Answer
	done   bool
	looked int // how long the text was when they last looked
}

type partCheck interface {
	CheckPart(a strategies.Answer) error
}

// lookAgain is how many bytes of text must have come before a part is looked at again.
const lookAgain = 128

func (r *streamRules[Req, Chunk]) hearing(req Req) (h *hearing[Chunk], err error) {
	if r.hear == nil {
		return nil, nil
	}
	h = &hearing[Chunk]{checks: r.checks}
	for _, c := range r.checks {
		if p, ok := c.(partCheck); ok {
			h.parts = append(h.parts, p)
		}
	}
	err = protect(func() error {
		if h.hear = r.hear(req); h.hear == nil {
			return settingNil("Check", "a function that returns one")
		}
		return nil
	})
	return h, err
}

// take hears a chunk; last says that it is the end of the answer.
func (h *hearing[Chunk]) take(chunk Chunk, last bool) error {
	return protect(func() error {
		h.answer = h.hear(chunk)
		if last && !h.done {
			h.done = true
			return firstWrong(h.checks, h.answer)
		}
		if n := len(h.answer.Text); n-h.looked >= lookAgain || n < h.looked {
			h.looked = n
			for _, p := range h.parts {
				if err := p.CheckPart(h.answer); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// end looks at the whole, if nobody has yet.
func (h *hearing[Chunk]) end() error {
	if h == nil || h.done {
		return nil
	}
	h.done = true
	return protect(func() error { return firstWrong(h.checks, h.answer) })
}
