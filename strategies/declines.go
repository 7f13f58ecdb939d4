package strategies

import (
	"strings"
	"unicode"
)

// NoRefusals refuses an answer in which the model says, in prose and in English, that
// it will not do what it was asked: "I'm sorry, but I can't help with that." It is
// [ClassBlocked], as a refusal that a provider marks is: nobody asks the same model
// again, and a stand-in is asked that was named for it (FallbackFor).
//
// It reads the beginning of the answer and guesses. docs/checks.md says how often it
// is wrong. Do not use it where answers are quoted speech, or where "I cannot find
// that order" is a good answer to hide from nobody: what cannot be found, seen or
// known is not taken for a refusal, what cannot be told, written or given is.
type NoRefusals struct{}

// Check looks at the beginning of the text. An answer with tool calls is none.
func (NoRefusals) Check(a Answer) error {
	if len(a.Calls) == 0 && declines(a.Text) {
		return &AnswerError{Reason: "refusal", Text: a.Text, Class: ClassBlocked}
	}
	return nil
}

func (NoRefusals) String() string { return "it is no refusal in prose" }

// mostDeclining is how many words at the beginning are looked at.
const mostDeclining = 40

// declines says whether a text begins by refusing: in its first words somebody who
// calls himself I says that he will not, or cannot, do one of the things that an
// assistant is asked to do. It is said where a sentence begins, or behind an excuse.
func declines(text string) bool {
	words, starts := beginning(text)
	for i := range words {
		if !starts[i] && (i == 0 || !excuses(words[i-1])) {
			continue
		}
		if n := unwilling(words[i:]); n > 0 && denied(words[i+n:]) {
			return true
		}
	}
	return false
}

func excuses(word string) bool {
	switch word {
	case "but", "however", "unfortunately", "afraid", "sorry", "apologies", "and", "so", "therefore", "that's":
		return true
	}
	return false
}

// beginning is the first words of a text, in lower case, without marks, and which of
// them begin a sentence or a part of one. What is quoted is somebody else's.
func beginning(text string) (words []string, starts []bool) {
	text = strings.ReplaceAll(text[:min(len(text), 16*mostDeclining)], "\u2019", "'")
	quoted, starting := false, true
	for _, w := range strings.Fields(text) {
		opens := strings.HasPrefix(w, `"`) || strings.HasPrefix(w, "\u201c") || strings.HasPrefix(w, ">") || strings.HasPrefix(w, "```")
		quoted = quoted || opens
		closes := strings.Contains(strings.TrimLeft(w, `"`), `"`) || strings.Contains(w, "\u201d")
		if !quoted {
			starts = append(starts, starting)
			words = append(words, strings.ToLower(strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })))
		}
		if quoted && closes {
			quoted = false
		}
		starting = !quoted && !opens && strings.ContainsAny(w[len(w)-1:], ".,!?;*")
		if len(words) == mostDeclining {
			break
		}
	}
	return words, starts
}

// unwilling is how many words say "I will not" or "I cannot"; 0: they do not.
func unwilling(words []string) int {
	at := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	n := 1
	switch at(0) {
	case "i'm", "i'd":
	case "i":
		switch at(1) {
		case "can't", "cannot", "won't", "cant", "couldn't", "decline", "refuse":
			return 2
		case "can", "will", "would", "do", "could":
			if at(2) != "not" || at(1) == "do" && at(3) != "feel" || at(1) == "would" && at(3) != "be" {
				return 0
			}
			n = 3
		case "don't":
			if at(2) != "feel" {
				return 0
			}
			n = 2
		case "respectfully", "politely":
			return 2
		case "must", "have", "need", "am":
			n = 2
		default:
			return 0
		}
		if n == 3 && at(1) != "do" {
			return 3
		}
	case "unable": // "Unable to help with that."
		if at(1) == "to" {
			return 2
		}
		return 0
	default:
		return 0
	}
	switch at(n) {
	case "not":
		switch at(n + 1) {
		case "able", "going", "allowed", "permitted", "comfortable", "programmed", "designed", "willing", "capable", "in":
			return n + 2
		}
	case "unable", "refusing", "declining", "forbidden", "prohibited":
		return n + 1
	case "decline", "refuse", "respectfully", "politely":
		return n
	case "feel":
		if at(n+1) == "comfortable" {
			return n + 2
		}
	case "to":
		if at(n+1) == "decline" || at(n+1) == "refuse" || at(n+1) == "respectfully" {
			return n + 1
		}
	}
	return 0
}

// denied says whether what comes behind "I cannot" is what an assistant is asked for.
func denied(words []string) bool {
	for i, w := range words[:min(len(words), 6)] {
		switch w {
		case "help":
			next := ""
			if i+1 < len(words) {
				next = words[i+1]
			}
			return next != "but" && next != "feeling" && next != "noticing" && next != "thinking" && next != "it" && next != "myself"
		case "assist", "helping", "assisting", "comply", "complying", "fulfill", "fulfil", "fulfilling", "satisfy", "accommodate", "oblige", "engage", "engaging", "participate",
			"participating", "provide", "providing", "offer", "offering", "give", "giving", "generate", "generating", "create", "creating", "produce", "producing",
			"write", "writing", "support", "supporting", "endorse", "encourage", "promote", "promoting", "condone", "advise", "advising", "suggest", "suggesting", "recommend",
			"discuss", "discussing", "answer", "answering", "respond", "responding", "fabricate", "facilitate", "share", "sharing", "teach", "instruct", "continue", "request", "describe", "describing", "decline", "refuse", "that", "this":
			return true
		case "directly", "really", "ethically", "knowingly", "personally", "simply", "to", "with", "be", "able", "in", "good", "conscience", "or", "any", "you",
			"actually", "currently", "just", "also", "morally", "legally", "of", "do", "a", "position", "respectfully", "politely", "your", "at", "all":
		default:
			return false
		}
	}
	return false
}
