package inbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What comes from a provider, a tool or a user may be written to mislead the
// person who reads it: control sequences move the cursor and repaint the screen
// (CWE-150), bidirectional controls turn the order of the letters round, and a
// text of a megabyte pushes the question out of sight. So all of it is shown as
// one line of bounded length, with every character that does not print escaped.

// How many characters of a name and of another text are shown, and how many
// attempts, names and lines of a request.
const (
	nameWidth, textWidth              = 40, 200
	maxAttempts, maxOffered, maxLines = 20, 20, 8
)

// plain makes one line of a text: its first one, without leading line breaks,
// escaped and cut to a width.
func plain(text string, width int) string {
	text = strings.TrimLeft(text, "\r\n")
	text, _, _ = strings.Cut(text, "\n")
	text = strings.TrimSuffix(text, "\r")
	var b strings.Builder
	for i, shown := 0, 0; i < len(text); shown++ {
		if shown == width {
			return b.String() + "…"
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r) || unicode.Is(unicode.Zs, r): // no break in a space
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

// shown is a request as text, if nobody says how it is to be shown.
func shown(request any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("(a %T that cannot be shown)", request)
		}
	}()
	switch r := request.(type) {
	case nil:
		return ""
	case string:
		return r
	case []byte:
		return string(r)
	case json.RawMessage:
		return string(r)
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return fmt.Sprintf("(a %T that cannot be shown)", request)
	}
	return string(raw)
}

// words is the text of an error, whatever its methods do.
func words(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("(a %T that cannot be read)", err)
		}
	}()
	if err == nil {
		return ""
	}
	return err.Error()
}
