package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const (
	width  = 80
	margin = "    " // of the story
)

// A page is what the story is printed on, while it comes.
type page struct {
	out     io.Writer
	colour  bool
	column  int // where the next word of the story goes
	written int // how far its line is filled
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

// colours tell the voices apart.
var colours = map[string]string{"sage": purple, "": brown}

var strategyColours = map[strategies.Strategy]string{
	strategies.StrategyNone:        green,
	strategies.StrategyRetry:       teal,
	strategies.StrategyFallback:    purple,
	strategies.StrategyDegradation: brown,
}

func (p *page) paint(colour, text string) string {
	if p.colour && colour != "" && text != "" {
		return "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	return text
}

func (p *page) line(colour, text string) { fmt.Fprintln(p.out, p.paint(colour, text)) }

// paragraph writes a text that begins with first and goes on, line after line, under its end.
func (p *page) paragraph(colour, first, text string) {
	line, rest := first, strings.Repeat(" ", utf8.RuneCountInString(first))
	for word := range strings.FieldsSeq(text) {
		switch {
		case strings.TrimSpace(line) == "" || line == first:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			p.line(colour, line)
			line = rest + word
		default:
			line += " " + word
		}
	}
	p.line(colour, line)
}

// say goes on with the story. Blanks and indents are written with the word that follows, for
// often none does.
func (p *page) say(colour, text string) {
	for word := range strings.SplitAfterSeq(text, " ") {
		black := strings.TrimRight(word, " ")
		if black != "" {
			long := utf8.RuneCountInString(black)
			if p.column+long > width {
				p.endSaying()
			}
			p.column = max(p.column, len(margin))
			fmt.Fprint(p.out, strings.Repeat(" ", p.column-p.written), p.paint(colour, black))
			p.column += long
			p.written = p.column
		}
		if p.column > 0 {
			p.column += len(word) - len(black)
		}
	}
}

// endSaying ends the line in which the story stands.
func (p *page) endSaying() {
	if p.written > 0 {
		fmt.Fprintln(p.out)
	}
	p.column, p.written = 0, 0
}

// aside is not of the story, which goes on in the column where it stood.
func (p *page) aside(text string) {
	stood := p.column
	p.endSaying()
	p.paragraph(grey, margin+"  ", text)
	p.column = stood
}

// A row of the table is how a paragraph was told.
type row struct {
	scene
	first time.Duration // until the first word
	middleware.StreamOutcome
}

const columns = "%2v  %-26v%-10v%-12v%-17v%4v%7v"

func (p *page) table(rows []row) {
	p.line("", "")
	p.line(bold, "Who spoke: Outcome()")
	p.paragraph(grey, "", `Counted in chunks. A stream has one before its first word and one after its last, which say
nothing; "more" is how often it was asked to go on, "wait" the time to its first word.`)
	p.line("", "")
	p.line(grey, fmt.Sprintf(columns, "", "what went wrong", "policy", "recovery", "chunks from", "more", "wait"))
	for i, r := range rows {
		colour, how := strategyColours[r.Strategy], r.Strategy.String()
		if r.Err != nil {
			colour, how = pink, "(cut off)"
		}
		p.line(colour, fmt.Sprintf(columns, i+1, r.fault, r.policy, how, sources(r.Sources), r.Continuations, seconds(r.first)))
	}
}

func sources(all []middleware.StreamSource) string {
	var text []string
	for _, s := range all {
		text = append(text, fmt.Sprintf("%s %d", s.Agent, s.Chunks))
	}
	return strings.Join(text, ", ")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }
