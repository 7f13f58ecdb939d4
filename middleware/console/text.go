package console

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// What comes from providers, tools, users and callers may be anything: a text of a
// megabyte, half a character, controls that turn the order of letters round. The page
// shows all of it as text and never as markup; here it is made short, and legible.
const (
	nameWidth    = 80
	textWidth    = 300
	errorWidth   = 500
	requestWidth = 4000
	reasonWidth  = 500
)

// clip makes a text legible, and at most so many characters long. Line breaks stay.
func clip(text string, width int) string {
	if len(text) <= width && plain(text) {
		return text
	}
	var b strings.Builder
	n := 0
	for i, r := range text {
		if n == width {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			b.WriteRune('\uFFFD')
		case r == '\n', r == '\t', unicode.IsPrint(r), unicode.Is(unicode.Zs, r):
			b.WriteRune(r)
		default: // controls, also those that change the direction
			b.WriteRune('\uFFFD')
		}
		n++
	}
	return b.String()
}

// plain says that there is nothing but the letters of ASCII.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}

// says is the text of an error as people may see it.
func (c *Console) says(err error) string {
	if err == nil {
		return ""
	}
	if c.set.ShowError == nil {
		return clip(strategies.Redact(errtree.Text(err)), errorWidth)
	}
	text := ""
	if problem := safely(func() { text = c.set.ShowError(err) }); problem != nil {
		return "(not shown: ShowError panicked)"
	}
	return clip(text, errorWidth)
}

func (c *Console) saysText(text string) string {
	if text == "" || c.set.ShowError == nil {
		return clip(text, errorWidth) // an agent's health is redacted already
	}
	return c.says(errors.New(text))
}
