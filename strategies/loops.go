package strategies

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// NoLoops refuses an answer that goes in circles: the same tool with the same
// arguments again, or the same text over and over until the tokens run out. In a
// stream the text is looked at while it comes, so that no more of it is paid for.
//
// The zero value has the defaults. Text that only nearly repeats, with a number that
// counts up, is not found.
type NoLoops struct {
	// Calls is which call of a tool with the same arguments is one too many, counted
	// since the user's last message. 0: 3. Negative: calls are not looked at.
	Calls int
	// Text is how often the same piece of text may stand in a row. It is one too many
	// once it is that often there, has 512 bytes in all, and letters in it: lines of
	// dashes and the cells of a table are none. 0: 8. Negative: text is not looked at.
	Text int
	// Polls are tools that are meant to be called again and again, such as one that
	// asks whether a job is done.
	Polls []string
}

const (
	leastRepeated = 512  // bytes that repeat before it is a loop
	loopWindow    = 4096 // bytes at the end of a text that are looked at
)

// Check looks at the calls and at the end of the text.
func (l NoLoops) Check(a Answer) error {
	if most := orDefaultInt(l.Calls, 3); most > 0 {
		for i, c := range a.Calls {
			if slices.Contains(l.Polls, c.Name) {
				continue
			}
			n, same := 1, sameCall(c.Arguments)
			for _, before := range [...][]ToolCall{a.Before, a.Calls[:i]} {
				for _, b := range before {
					if b.Name == c.Name && sameCall(b.Arguments) == same {
						n++
					}
				}
			}
			if n >= most {
				return fmt.Errorf("the tool %q was called %d times with the same arguments: use what it has answered, or do something else", short(c.Name, maxFinish), n)
			}
		}
	}
	return l.CheckPart(a)
}

// CheckPart looks at the end of the text alone.
func (l NoLoops) CheckPart(a Answer) error {
	most := orDefaultInt(l.Text, 8)
	if most < 0 {
		return nil
	}
	if piece, times := repeats(a.Text, most); times > 0 {
		return fmt.Errorf("the same text stands there %d times in a row: %q", times, short(strings.Join(strings.Fields(piece), " "), 80))
	}
	return nil
}

// Validate refuses what is too little to be a loop.
func (l NoLoops) Validate() error {
	var p problems
	if l.Calls == 1 {
		p.add("NoLoops.Calls", "is 1", "use 2 or more, or leave it 0 for 3: the first call is no loop")
	}
	if l.Text == 1 {
		p.add("NoLoops.Text", "is 1", "use 2 or more, or leave it 0 for 8")
	}
	return p.err()
}

func (l NoLoops) String() string { return "it goes in no circles" }

func orDefaultInt(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// repeats says what a text repeats at its end, and how often; 0: nothing, or not
// often enough. A piece that is cut in the middle at the end is no matter.
func repeats(text string, least int) (piece string, times int) {
	if len(text) < leastRepeated {
		return "", 0
	}
	tail := text[max(0, len(text)-loopWindow):]
	// The shortest border of each reversed prefix is its period (Knuth, Morris, Pratt).
	n := len(tail)
	at := func(i int) byte { return tail[n-1-i] }
	border := make([]uint16, n)
	k := 0
	for i := 1; i < n; i++ {
		for k > 0 && at(i) != at(k) {
			k = int(border[k-1])
		}
		if at(i) == at(k) {
			k++
		}
		border[i] = uint16(k) //nolint:gosec // at most loopWindow
		long := i + 1
		if period := long - k; long >= leastRepeated && long/period >= least && long/period > times {
			if p := tail[n-period:]; strings.ContainsFunc(p, unicode.IsLetter) {
				piece, times = p, long/period
			}
		}
	}
	return piece, times
}
