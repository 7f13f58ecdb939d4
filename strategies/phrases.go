package strategies

import "strings"

// sentence is a text for people, in lower case, without what it quotes.
type sentence struct {
	all  string // with the quotations
	said string

	threes [32]uint64 // which three bytes stand in said one behind the other, as a hash
}

// maxSentence is how much of a text is read for its meaning.
const maxSentence = 4 << 10

// lower is the text in lower case.
func (t *sentence) lower(text string) string {
	if t.all == "" {
		t.all = strings.ToLower(text[:min(len(text), maxSentence)])
		if strings.Contains(t.all, "\u2019") { // an apostrophe as printers set it
			t.all = strings.ReplaceAll(t.all, "\u2019", "'")
		}
	}
	return t.all
}

func (t *sentence) read(text string) {
	t.said = unquoted(t.lower(text))
	var last uint32
	for i := range len(t.said) {
		last = last>>8 | uint32(t.said[i])<<16
		n := hash(last) // before the third byte it is of zeros, too: no matter
		t.threes[n>>6] |= 1 << (n & 63)
	}
}

// three is a hash, of 11 bits, of the three bytes at i.
func three(text string, i int) uint32 {
	return hash(uint32(text[i]) | uint32(text[i+1])<<8 | uint32(text[i+2])<<16)
}

func hash(bytes uint32) uint32 { return bytes * 2654435761 >> 21 }

// contains asks for hundreds of phrases of which a text has three or four, so
// most are answered by the hashes of their ends.
func (t *sentence) contains(phrase string) bool {
	if last := len(phrase) - 3; last >= 0 {
		n, m := three(phrase, 0), three(phrase, last)
		if t.threes[n>>6]>>(n&63)&1 == 0 || t.threes[m>>6]>>(m&63)&1 == 0 {
			return false
		}
	}
	return strings.Contains(t.said, phrase)
}

// unquoted is a text without addresses and quotations. An apostrophe is none:
// a quotation begins behind a space or a bracket, and ends before none of a word's
// letters. The values of a printed dictionary ('message': '…') are kept.
func unquoted(text string) string {
	var b strings.Builder
	kept := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != 'h' && c != '\'' && c != '"' {
			continue
		}
		end := 0
		switch {
		case c == 'h' && (strings.HasPrefix(text[i:], "http://") || strings.HasPrefix(text[i:], "https://")):
			if end = strings.IndexAny(text[i:], " \t\n'\"`)>"); end < 0 {
				end = len(text) - i
			}
			end += i
		case (c == '\'' || c == '"') && (i == 0 || strings.IndexByte(" \t\n([{=,", text[i-1]) >= 0) && !valueAt(text, i):
			end = quotation(text, i)
		}
		if end > i {
			if kept == 0 {
				b.Grow(len(text))
			}
			b.WriteString(text[kept:i])
			b.WriteByte(' ')
			kept, i = end, end-1
		}
	}
	if kept == 0 {
		return text
	}
	b.WriteString(text[kept:])
	return b.String()
}

// valueAt says whether what begins at i is the value of a printed dictionary.
func valueAt(text string, i int) bool {
	before := strings.TrimRight(text[:i], " ")
	n := len(before)
	return n >= 2 && before[n-1] == ':' && (before[n-2] == '\'' || before[n-2] == '"')
}

// quotation returns where the quotation that begins at i ends; 0: it has no end,
// or it is the key of a printed dictionary.
func quotation(text string, i int) int {
	for j := i + 1; j < len(text); j++ {
		if text[j] != text[i] {
			continue
		}
		if j+1 == len(text) || strings.IndexByte(" \t\n.,;:!?)]}", text[j+1]) >= 0 {
			return j + 1
		}
	}
	return 0
}

func (t *sentence) has(phrases ...string) bool {
	for _, phrase := range phrases {
		if t.contains(phrase) {
			return true
		}
	}
	return false
}

// behind says whether one of these words stands right before noun.
func (t *sentence) behind(noun string, words ...string) bool {
	if !t.contains(noun) {
		return false
	}
	for from := 0; ; {
		at := strings.Index(t.said[from:], noun)
		if at < 0 {
			return false
		}
		at += from
		from = at + len(noun)
		text, spaced := strings.CutSuffix(t.said[:at], " ")
		for _, word := range words {
			if spaced && strings.HasSuffix(text, word) && !letterAt(text, len(text)-len(word)-1) && !letterAt(t.said, from) {
				return true
			}
		}
	}
}

// before says whether one of these words stands in the few behind noun.
func (t *sentence) before(noun string, words ...string) bool {
	if !t.contains(noun) {
		return false
	}
	for rest := t.said; ; {
		at := strings.Index(rest, noun)
		if at < 0 {
			return false
		}
		rest = rest[at+len(noun):]
		near := rest[:min(len(rest), 32)]
		if end := strings.IndexAny(near, ".,;\n"); end >= 0 {
			near = near[:end]
		}
		if anyOf(near, words...) {
			return true
		}
	}
}

// plainly says whether noun is said to be verdict, and nothing of it or beside it:
// "prompt is too long", and not "prompt title is too long".
func (t *sentence) plainly(noun, verdict string) bool {
	if !t.contains(noun) || !t.contains(verdict) {
		return false
	}
	for rest := t.said; ; {
		at := strings.Index(rest, noun)
		if at < 0 {
			return false
		}
		rest = rest[at+len(noun):]
		at = strings.Index(rest[:min(len(rest), 48)], verdict)
		if at < 0 {
			continue
		}
		small := true
		for word := range strings.FieldsSeq(rest[:at]) {
			switch word {
			case "is", "are", "was", "has", "have", "had", "been", "become", "grown", "text", "tokens", "much", "far", "way", "now":
			default:
				small = false
			}
		}
		if small {
			return true
		}
	}
}

// counts is how many counts of tokens it names: "128k tokens", "9310 input tokens".
func (t *sentence) counts() (n int) {
	for rest := t.said; ; {
		at := strings.Index(rest, " token")
		if at < 0 {
			return n
		}
		before := strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(rest[:at], " input"), " prompt"), "km")
		if last := len(before) - 1; last >= 0 && before[last] >= '0' && before[last] <= '9' {
			n++
		}
		rest = rest[at+len(" token"):]
	}
}

func letterAt(text string, i int) bool {
	return i >= 0 && i < len(text) && text[i] >= 'a' && text[i] <= 'z'
}
