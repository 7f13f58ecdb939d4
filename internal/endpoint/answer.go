package endpoint

import (
	"math/rand/v2"
	"strings"
)

// storyteller is the default Answer: it repeats what the user said last, framed by an opening
// and an ending picked by the seed, the model and those words. It keeps no state, so the same
// question gets the same line however often and in whatever order it is asked.
func storyteller(seed uint64) func(model string, messages []Message) string {
	return func(model string, messages []Message) string {
		said := lastUserMessage(messages)
		dice := rand.New(rand.NewPCG(seed, hash(model, said)))
		opening := openings[dice.IntN(len(openings))]
		ending := endings[dice.IntN(len(endings))]
		if said == "" {
			return opening + " " + ending
		}
		return opening + ` You say: "` + shorten(said) + `" ` + ending
	}
}

var openings = []string{
	"Rain drums on the roof of the Gilded Griffin.",
	"The fire in the hearth burns low and blue.",
	"A bard in the corner loses the tune.",
	"The innkeeper sets down a lamp and listens.",
	"Somewhere above, a floorboard creaks.",
	"The door swings open upon an empty road.",
}

var endings = []string{
	"Nobody answers, but one chair is pushed back.",
	"The stranger by the window smiles for the first time.",
	"A coin rolls across the table and stops at your hand.",
	"Far away, a bell begins to ring.",
	"The cat under the bench opens one eye.",
	"The map on the wall has one road more than before.",
}

func lastUserMessage(messages []Message) string {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == "user" {
			return strings.TrimSpace(messages[i].Content)
		}
	}
	return ""
}

// shorten keeps an echoed prompt to a line, however long the prompt was.
func shorten(text string) string {
	const most = 80
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
