package translate

import (
	"fmt"
	"strconv"

	"github.com/understudy-go/understudy/strategies"
)

// UnsupportedError is a part of a request or of an answer that the other
// provider has nothing for. It is never dropped in silence: the stand-in is not
// asked, and the next one is.
type UnsupportedError struct {
	// Field is where it is, in the words of the provider whose form it has:
	// "messages[3].content[0]".
	Field string
	// From is whose form it has, To whose form has nothing for it.
	From, To Provider
	// Problem says what about it, and Fix what to do.
	Problem, Fix string
}

// Provider is a provider's name, as errors say it.
type Provider string

const (
	OpenAI    Provider = "OpenAI"
	Anthropic Provider = "Anthropic"
	Gemini    Provider = "Gemini"
)

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("understudy: translate: %s of %s cannot be carried to %s: it %s; %s", e.Field, e.From, e.To, e.Problem, e.Fix)
}

// RecoveryClass is [strategies.ClassBadRequest]: asking again is of no use, and
// another stand-in may have what this one lacks.
func (e *UnsupportedError) RecoveryClass() strategies.Class { return strategies.ClassBadRequest }

// quote shows a foreign value within bounds.
func quote(s string) string {
	const most = 64
	r := []rune(s)
	if len(r) > most {
		return strconv.Quote(string(r[:most])) + "…"
	}
	return strconv.Quote(s)
}

// leaveOut is what to do about most of what has no counterpart.
const leaveOut = "change the request for this stand-in (FallbackVia), or name another one"

// problem is the first one of a translation; later ones are not noted.
type problem struct {
	from, to Provider
	err      error
}

func (p *problem) say(field, what, fix string) {
	if p.err == nil {
		p.err = &UnsupportedError{Field: field, From: p.from, To: p.to, Problem: what, Fix: fix}
	}
}
