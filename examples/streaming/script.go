package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-go/understudy/internal/endpoint"
)

// An act is some paragraphs with one thing to show.
type act struct {
	title, about string
	scenes       []scene
}

// A scene is a paragraph of the story and how the provider fails while it is told: the fates of
// the requests to each of the two models, in order.
type scene struct {
	fault  string
	policy policy
	text   string
	about  string
	bard   []endpoint.Fault
	sage   []endpoint.Fault
}

var (
	ok   = endpoint.OK()
	down = endpoint.Status(503)

	// cutInTheMiddle is the fault that the three policies have in common.
	cutInTheMiddle = endpoint.CutAfter(13)
)

var acts = []act{{
	title: "Before the first word",
	about: "Nothing has been said, so a stream is recovered as any call is, and its reader only waits.",
	scenes: []scene{{
		fault: "nothing goes wrong",
		text:  "In the year of the two floods there was a ferry at Harrow, and the ferryman, whose name was Oswin, had never once been late.",
		bard:  []endpoint.Fault{ok},
	}, {
		fault: "503 for an answer",
		text:  "One night a bell rang from the far bank, though nobody lived there, and nobody had hung a bell.",
		bard:  []endpoint.Fault{endpoint.Overloaded(), ok},
	}, {
		fault: "cut before the first word",
		text:  "He took his lamp and his long pole and pushed off, for the rule is that whoever rings is fetched.",
		bard:  []endpoint.Fault{endpoint.CutBeforeFirst(), ok},
	}, {
		fault: "silent before the first",
		about: "Silent, but for the empty chunk that most providers begin with.",
		text:  "In the middle of the river the lamp went out. He went on by the sound, which was closer now, and below him.",
		bard:  []endpoint.Fault{endpoint.StallAfter(0), ok},
	}},
}, {
	title: "After the first word: one cut, three policies",
	about: "What the reader has seen cannot be taken back. The connection is cut after the same word, three times.",
	scenes: []scene{{
		fault:  "cut in the middle",
		policy: terminate,
		about:  "Terminate: what was said stands, and the error comes last.",
		text:   cutParagraph,
		bard:   []endpoint.Fault{cutInTheMiddle},
	}, {
		fault:  "cut in the middle",
		policy: carryOn,
		about:  "Continue: the rest is asked for, and the reader sees one stream.",
		text:   cutParagraph,
		bard:   []endpoint.Fault{cutInTheMiddle, ok},
	}, {
		fault:  "cut in the middle",
		policy: buffer,
		about:  "Buffer: nothing is shown before all of it is there. Half an answer is asked for again.",
		text:   cutParagraph,
		bard:   []endpoint.Fault{cutInTheMiddle, ok},
	}},
}, {
	title: "And worse",
	scenes: []scene{{
		fault:  "silent in the middle",
		policy: carryOn,
		about:  "The bard falls silent and then is gone. The sage goes on in the middle of the sentence.",
		text:   "Drowned men are heavy, but bells are heavier; he pulled until the rope burned, and what came up over the side held on to it with both hands.",
		bard:   []endpoint.Fault{endpoint.StallAfter(15), down, down, down},
		sage:   []endpoint.Fault{ok},
	}, {
		fault:  "ends early, politely",
		policy: carryOn,
		about:  "The stream ends as a good one does, but for its last chunk. The client reports no error.",
		text:   "He brought it home, as the rule is. It paid with an old coin, and asked whether he would be on the river again tomorrow.",
		bard:   []endpoint.Fault{endpoint.CleanEOFAfter(8), ok},
	}, {
		fault: "every model is down",
		about: "Every model is down: a fixed sentence, in a stream like any other, marked as less than asked for.",
		text:  "Since then the ferry at Harrow goes out twice a night.",
		bard:  []endpoint.Fault{down, down, down},
		sage:  []endpoint.Fault{down},
	}},
}}

const cutParagraph = `He leaned over the side, reached into the black water up to his shoulder, and found a rope. It was warm, and when he pulled, something pulled back.`

// sorry is the last rung.
var sorry = []piece{{text: "(The teller "}, {text: "has lost "}, {text: "the thread. "}, {text: "Come back "}, {text: "tomorrow night.)"}}

// plan is how the provider fails: scene by scene, and well after that.
func plan() endpoint.Plan {
	p := endpoint.Plan{Script: map[string][]endpoint.Fault{}, Answer: answer}
	for _, a := range acts {
		for _, s := range a.scenes {
			p.Script["bard"] = append(p.Script["bard"], s.bard...)
			p.Script["sage"] = append(p.Script["sage"], s.sage...)
		}
	}
	return p
}

// question is how a paragraph is asked for.
func question(n int) string { return fmt.Sprintf("Tell paragraph %d.", n) }

// answer is a paragraph, or the rest of it if the beginning is there.
func answer(_ string, messages []endpoint.Message) string {
	said := ""
	for _, m := range slices.Backward(messages) {
		switch {
		case m.Role == "assistant":
			said = m.Content
		case m.Role == "user" && m.Content != goOn:
			n := 0
			for _, a := range acts {
				for _, s := range a.scenes {
					if n++; m.Content == question(n) {
						return strings.TrimPrefix(s.text, said)
					}
				}
			}
		}
	}
	return "The story is over."
}
