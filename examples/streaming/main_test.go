package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/understudy-go/understudy/examples/internal/golden"
)

// fast leaves of every delay a hundredth, but for the silences.
const fast = "-pace=0.01"

func nothing(string) string { return "" }

var (
	wait    = regexp.MustCompile(`(?m) +[0-9.]+s$`) // ends a line of the table
	delay   = regexp.MustCompile(`\b[0-9.]+m?s\b`)
	escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

// timeless makes two runs comparable.
func timeless(out string) string {
	return delay.ReplaceAllString(wait.ReplaceAllString(out, "  TIME"), "TIME")
}

func TestTheStoryThatIsPiped(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	if err := run(t.Context(), []string{fast}, stage{out: &all, errs: io.Discard, getenv: nothing}); err != nil {
		t.Fatal(err)
	}
	out := all.String()
	golden.Check(t, "piped.txt", timeless(out))
	if strings.ContainsRune(out, '\x1b') {
		t.Error("escape sequences in a pipe")
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("blanks at the end: %q", line)
		}
	}
}

// A hand is on the key, and comes down at a word.
type hand struct {
	strings.Builder
	at   string
	down context.CancelFunc
}

func (h *hand) Write(p []byte) (int, error) {
	n, err := h.Builder.Write(p)
	if strings.Contains(h.String(), h.at) {
		h.down()
	}
	return n, err
}

// interrupted tells the story until a hand comes down at a word.
func interrupted(t *testing.T, at string, screen bool, getenv func(string) string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &hand{at: at, down: cancel}
	err := run(ctx, []string{fast}, stage{out: out, errs: io.Discard, screen: screen, getenv: getenv})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the interrupt", err)
	}
	return out.String()
}

func TestColoursAreAllThatAScreenAdds(t *testing.T) {
	t.Parallel()
	story, err := os.ReadFile("testdata/piped.txt")
	if err != nil {
		t.Fatal(err)
	}
	piped := strings.ReplaceAll(string(story), "\r\n", "\n") // a checkout may have turned line ends
	const end = "He took his lamp"                           // early, to save time
	before, _, _ := strings.Cut(piped, end)
	for _, tt := range []struct {
		name   string
		env    string
		colour bool
	}{
		{"a screen", "", true},
		{"a screen of somebody who wants no colours", "NO_COLOR=1", false},
		{"a screen without colours", "TERM=dumb", false},
	} {
		out := interrupted(t, end, true, func(name string) string {
			value, _ := strings.CutPrefix(tt.env, name+"=")
			if value == tt.env {
				return ""
			}
			return value
		})
		if got := escapes.MatchString(out); got != tt.colour {
			t.Errorf("%s: colours %v, want %v", tt.name, got, tt.colour)
		}
		if plain, _, _ := strings.Cut(timeless(escapes.ReplaceAllString(out, "")), end); plain != before {
			t.Errorf("%s:\n%s\npiped:\n%s", tt.name, plain, before)
		}
	}
}

func TestAnInterruptEndsTheStoryWhereItStands(t *testing.T) {
	t.Parallel()
	for _, at := range []string{
		"only waits.",    // before it begins
		"the two floods", // while it flows
		"Silent, but",    // in a silence that would be retried
		"burned, and",    // in a silence that would be gone on after
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			out := interrupted(t, at, false, nothing)
			_, after, _ := strings.Cut(out, at)
			if lines := strings.Count(after, "\n"); lines > 3 {
				t.Errorf("%d lines after the interrupt:\n%s", lines, after)
			}
		})
	}
}

func TestArgumentsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-pace=0"}, "-pace is 0"},
		{[]string{"-pace=-1"}, "-pace is -1"},
		{[]string{"-pace=NaN"}, "-pace is NaN"},
		{[]string{"-pace=1000"}, "-pace is 1000"},
		{[]string{"-pace=slow"}, "invalid value"},
		{[]string{"story.txt"}, "no argument is expected"},
		{[]string{"-h"}, flag.ErrHelp.Error()},
	} {
		var out strings.Builder
		err := run(t.Context(), tt.args, stage{out: &out, errs: io.Discard, getenv: nothing})
		if err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
			t.Errorf("%v: got %v and %q, want %s", tt.args, err, out.String(), tt.want)
		}
	}
}

func TestAPageTakesAnyPieces(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a stone goes around the river and back ", 4) + strings.Repeat("o", 100) + " end"
	page := func(pieces []string) string {
		var out strings.Builder
		p := &page{out: &out}
		for _, piece := range pieces {
			p.say("", piece)
		}
		p.endSaying()
		return out.String()
	}
	want := page(strings.SplitAfter(text, " "))
	if got := page([]string{text}); got != want {
		t.Errorf("in one piece:\n%s\nword by word:\n%s", got, want)
	}
	if got := strings.Join(strings.Fields(want), " "); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
	if got := page([]string{"", " ", "bro", "ken", " ", "", "words "}); got != margin+"broken words\n" {
		t.Errorf("got %q", got)
	}
	if got := page(nil); got != "" {
		t.Errorf("nothing to say: %q", got)
	}
}
