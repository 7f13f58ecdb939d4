package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/understudy-go/understudy/strategies"
)

const width = 80

// A page is what the play is printed on.
type page struct {
	out    io.Writer
	colour bool
}

// The colours are of the middle of the 256, so that they can be read on white and on black.
const (
	bold   = "1"
	grey   = "38;5;244"
	green  = "38;5;28"
	teal   = "38;5;31"
	purple = "38;5;133"
	brown  = "38;5;130"
	pink   = "38;5;161"
)

var strategyColours = map[strategies.Strategy]string{
	strategies.StrategyNone:             green,
	strategies.StrategyRetry:            teal,
	strategies.StrategyFallback:         purple,
	strategies.StrategyDegradation:      brown,
	strategies.StrategyUserIntervention: pink,
}

// println writes a line in a colour; "" is none.
func (p *page) println(colour, line string) {
	if p.colour && colour != "" && line != "" {
		line = "\x1b[" + colour + "m" + line + "\x1b[0m"
	}
	fmt.Fprintln(p.out, line)
}

// text writes a text that begins with first and goes on, line after line, under its end.
func (p *page) text(colour, first, text string) {
	for _, line := range wrap(first, strings.Repeat(" ", utf8.RuneCountInString(first)), text) {
		p.println(colour, line)
	}
}

func (p *page) heading(text string) {
	p.println("", "")
	p.println(bold, text)
}

// wrap breaks a text into lines of at most width. A word that is longer stands alone.
func wrap(first, rest, text string) []string {
	var lines []string
	line, empty := first, true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return append(lines, line)
}

// fold breaks the lines of a drawing that are too long. What is left of an indented line goes
// on in the column of its text.
func fold(drawing string, column int) []string {
	var lines []string
	for line := range strings.Lines(drawing) {
		line = strings.TrimRight(line, "\n")
		indent := "  "
		if strings.HasPrefix(line, " ") {
			indent = strings.Repeat(" ", column)
		}
		for utf8.RuneCountInString(line) > width {
			cut := strings.LastIndex(string([]rune(line)[:width+1]), " ")
			if cut <= len(indent) {
				break // one long word
			}
			lines = append(lines, line[:cut])
			line = indent + strings.TrimLeft(line[cut:], " ")
		}
		lines = append(lines, line)
	}
	return lines
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
