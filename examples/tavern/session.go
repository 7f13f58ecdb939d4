package main

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed session.txt
var defaultSession string

// A turn is one line of the session: who is asked, and what the player says. An intermission
// asks nobody.
type turn struct {
	agent        string
	line         string
	intermission bool
}

// loadSession reads a session file; "" is the one that comes with the program.
func loadSession(file string) ([]turn, error) {
	text, name := defaultSession, "the default"
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("the session cannot be read: %w", err)
		}
		text, name = string(data), file
	}
	turns, err := parseSession(text)
	if err != nil {
		return nil, fmt.Errorf("the session %s %w", name, err)
	}
	return turns, nil
}

// parseSession makes turns of the text of a session. The error continues the sentence "the
// session FILE ...".
func parseSession(text string) ([]turn, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("is not a text in UTF-8")
	}
	var turns []turn
	spoken := false
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = printable(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case len(line) >= 3 && strings.Trim(line, "-") == "":
			turns = append(turns, turn{intermission: true})
			continue
		}
		t := turn{agent: narrator, line: line}
		// Only the name of an agent is taken off, for players have names too.
		if before, after, ok := strings.Cut(line, ":"); ok {
			if name := strings.ToLower(strings.TrimSpace(before)); slices.Contains(company, name) {
				t = turn{agent: name, line: strings.TrimSpace(after)}
			}
		}
		if t.line == "" {
			return nil, fmt.Errorf("has nothing to say to %s in the line %q", t.agent, line)
		}
		turns = append(turns, t)
		spoken = true
	}
	if !spoken {
		return nil, fmt.Errorf("has no player lines, such as %q", "narrator: I open the door.")
	}
	return turns, nil
}

// printable keeps text from a file or a model from moving the cursor or changing colours.
func printable(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError
	}), " ")
}
