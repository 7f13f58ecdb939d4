package main

import (
	"slices"
	"testing"
)

func TestParseSession(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []turn
	}{
		{"takes the name of an agent off", "keeper: Is it locked?", []turn{{agent: keeper, line: "Is it locked?"}}},
		{"takes it off once", "keeper: narrator: I knock.", []turn{{agent: keeper, line: "narrator: I knock."}}},
		{"does not mind case and blanks", "  Keeper :  Is it locked?  ", []turn{{agent: keeper, line: "Is it locked?"}}},
		{"leaves the name of a player", "Mira: I knock.", []turn{{agent: narrator, line: "Mira: I knock."}}},
		{"gives the narrator what names nobody", "I knock.", []turn{{agent: narrator, line: "I knock."}}},
		{"passes over comments and empty lines", "# title\n\n \nI knock.", []turn{{agent: narrator, line: "I knock."}}},
		{"knows intermissions", "I knock.\n-----\n", []turn{{agent: narrator, line: "I knock."}, {intermission: true}}},
		{"takes a dash for a line", "-", []turn{{agent: narrator, line: "-"}}},
		{"reads a file from elsewhere", "\ufeffI knock.\r\nI wait.\r\n", []turn{{agent: narrator, line: "I knock."}, {agent: narrator, line: "I wait."}}},
		{"lets no line steer the screen", "I \x1b[2Jknock\a.\t\tTwice.", []turn{{agent: narrator, line: "I [2Jknock . Twice."}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSession(tt.text)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestEveryLineOfTheDefaultSessionHasAnAnswerOfItsOwn(t *testing.T) {
	turns, err := parseSession(defaultSession)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, turn := range turns {
		if turn.intermission {
			continue
		}
		found := false
		for _, book := range [][]cue{lines, prompts, rulings} {
			for _, agent := range company {
				if text, ok := find(book, agent, turn.line); ok {
					found, used[text] = true, true
				}
			}
		}
		if !found {
			t.Errorf("nobody has a line for %q", turn.line)
		}
	}
	for _, book := range [][]cue{lines, prompts, rulings} {
		for _, c := range book {
			if !used[c.text] {
				t.Errorf("no line of the session has the words %q of %s", c.words, c.agent)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	long := "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz-Rindfleischetikettierungsüberwachung"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"keeps a short text", "one two", []string{"> one two"}},
		{"keeps an empty text", "", []string{"> "}},
		{"lets a long word stand alone", "one " + long + " two", []string{"> one", "  " + long, "  two"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := wrap("> ", "  ", tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
