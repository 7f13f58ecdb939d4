package strategies

import "strings"

// Overflow reads from a context overflow how large the window is and how much was
// sent, both in the provider's unit, which is tokens nearly always: whoever
// shortens a request for a stand-in needs them. 0: the error does not say it.
// Numbers may be written with commas. It walks the tree of err within a bound,
// and does not panic.
func Overflow(err error) (window, sent int) {
	if class, _ := walk(err); class != ClassContextOverflow {
		return 0, 0
	}
	return overflow(strings.ToLower(short(words(err), maxSentence)))
}

// figure is a number in a text, and what stands before and behind it.
type figure struct {
	value      int
	from, upTo int
}

func overflow(text string) (window, sent int) {
	all := numbers(text)
	at, nearest := -1, 24
	for i, n := range all {
		if far := limit(text, n); far < nearest {
			at, nearest = i, far
		}
	}
	if at < 0 {
		if len(all) != 2 { // which of them is the window cannot be known
			return 0, 0
		}
		return min(all[0].value, all[1].value), max(all[0].value, all[1].value)
	}
	window = all[at].value
	for i, n := range all {
		if i != at && n.value > window {
			sent = max(sent, n.value)
		}
	}
	if sent == 0 { // "174167 + 64000 > 200000"
		if sum := summed(text, all[:at]); sum > window {
			sent = sum
		}
	}
	return window, sent
}

// limit says how far before a number it is called a limit; a large number: nowhere.
func limit(text string, n figure) int {
	if strings.HasPrefix(strings.TrimLeft(text[n.upTo:], " "), "maximum") {
		return 0
	}
	before, far := text[max(0, n.from-40):n.from], 1000
	for _, end := range [...]string{". ", "; ", "but "} {
		if i := strings.LastIndex(before, end); i >= 0 {
			before = before[i+len(end):]
		}
	}
	for _, cue := range [...]string{
		"length is", "length of", "max", "limit", "up to", "<=", "less than", ">", "should be [1,", "allowed", "window", "context length", "context size",
		"no more than", "cannot exceed",
	} {
		if i := strings.LastIndex(before, cue); i >= 0 {
			far = min(far, len(before)-i-len(cue))
		}
	}
	return far
}

// summed adds numbers if nothing but plus signs stands between them.
func summed(text string, all []figure) (sum int) {
	for i, n := range all {
		if i > 0 && strings.TrimSpace(text[all[i-1].upTo:n.from]) != "+" {
			return 0
		}
		sum += n.value
	}
	return sum
}

// numbers are those of a text that may count tokens: above 99, no part of a word.
func numbers(text string) (all []figure) {
	for i := 0; i < len(text) && len(all) < 16; i++ {
		if text[i] < '0' || text[i] > '9' || i > 0 && (wordy(text[i-1]) || text[i-1] == '.' || text[i-1] == '-') || strings.HasSuffix(text[:i], " by ") {
			continue
		}
		n := figure{from: i}
		for ; i < len(text); i++ {
			if c := text[i]; c >= '0' && c <= '9' {
				if n.value = n.value*10 + int(c-'0'); n.value > 1<<40 {
					n.value = 0
				}
			} else if c != ',' && c != '_' || i+3 >= len(text) || !digits(text[i+1:i+4]) {
				break
			}
		}
		if n.upTo = i; n.value > 99 && (i == len(text) || !wordy(text[i])) {
			all = append(all, n)
		}
	}
	return all
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

func wordy(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '/' }
