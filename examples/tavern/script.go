package main

import (
	"strings"
	"time"

	"github.com/understudy-go/understudy/internal/endpoint"
)

// plan is how the provider on the loopback interface fails. Seed 0 is the night of the default
// session, request by request; any other seed leaves it to the dice.
func plan(seed uint64, t timing) endpoint.Plan {
	fails := []endpoint.Fault{
		endpoint.Overloaded(), endpoint.RateLimit(t.scale(3 * time.Second)), endpoint.Hang(),
		endpoint.CutBody(), endpoint.Malformed(), endpoint.Refusal(), endpoint.Unauthorized(),
	}
	p := endpoint.Plan{Seed: seed, Rate: 0.4, Kinds: fails, Answer: answer(seed)}
	if seed != 0 {
		// Whoever keeps the module is away for a while in any night.
		p.Down = map[string][]endpoint.Outage{keeper: {{From: 2, To: 6}}}
		return p
	}
	ok := endpoint.OK()
	p.Script = map[string][]endpoint.Fault{
		narrator: {
			ok,
			endpoint.Overloaded(), ok,
			endpoint.Refusal(),
			ok, ok, ok, // in the part of the keeper
			endpoint.CutBody(), ok,
			ok,
		},
		archivist: {
			endpoint.RateLimit(t.scale(3 * time.Second)), ok,
			endpoint.Hang(), ok,
			endpoint.Unauthorized(),
			ok,                      // in the part of consistency
			endpoint.Unauthorized(), // again in that part
		},
		keeper: {
			ok,
			endpoint.Status(503), endpoint.Status(503), endpoint.Status(503), endpoint.Status(503), endpoint.Status(503),
			ok,
		},
		consistency: {
			endpoint.Malformed(), ok,
			endpoint.Quota(), endpoint.Quota(),
		},
	}
	return p
}

// answer gives the models of the loopback provider their lines. For a scene they do not know
// they say something that fits any.
func answer(seed uint64) func(model string, messages []endpoint.Message) string {
	return func(model string, messages []endpoint.Message) string {
		said := messages[len(messages)-1].Content
		if text, ok := find(lines, model, said); ok {
			return text
		}
		sum := seed
		for _, r := range model + said {
			sum = sum*31 + uint64(r)
		}
		return anything[sum%uint64(len(anything))]
	}
}

// A cue is a line for whoever hears these words.
type cue struct{ agent, words, text string }

func find(cues []cue, agent, said string) (string, bool) {
	for _, c := range cues {
		if c.agent == agent && strings.Contains(said, c.words) {
			return c.text, true
		}
	}
	return "", false
}

var lines = []cue{
	{narrator, "push the door", `The Gilded Griffin smells of wet wool and onions. Every stool is taken but one, and the talk goes around that one as a river goes around a stone.`},
	{narrator, "one free stool", `The talk stops. Without being asked the innkeeper sets a cup before you. "That was the ferryman's," she says. "Drink, then. He won't."`},
	{archivist, "this ferryman", `Harrow Ferry, eleven years ago: Oswin Pell, ferryman, lost in the river with the chapel bell he was paid to bring across. Neither was raised. Below, in another hand: it rings before a drowning.`},
	{keeper, "another way out", `Room 3, the cellar. A trapdoor under the barrels leads to the old landing. It is locked, and the innkeeper wears the key on her belt.`},
	{consistency, "melted down", `No. In the first session the priest said "lost", and he wept when he said it. Lost stands. Tobin is thinking of the candlesticks.`},
	{archivist, "last to see him", `The toll book has one entry for that night, in a child's hand: "Father took the bell and the flute. He did not take his cup."`},
	{narrator, "open the trapdoor", `Stairs, slick with river mud. At the bottom black water laps at a landing, and a boat is tied there that ought to have rotted ten winters ago. It is dry.`},
	{narrator, "search the boat", `Under the thwart lie a coil of bell rope, still dripping, and a wooden flute, small, made for small hands. Somebody has kept it oiled.`},
	{narrator, "boat trapped", `You find no wire and no needle. But look at the knot: it was tied by somebody who stood in the water.`},
	{keeper, "three notes", `Room 7, the drowned bell. Three notes are the ferryman's call, so it is answered: one stroke, from under the boat. The rope draws tight by itself.`},
	{narrator, "grab the rope", `It comes up hand over hand, easily, as if somebody were pushing. The bell breaks the surface mouth upward, full to the brim, and begins to swing. Nobody has touched it.`},
	{archivist, "ferryman? He is", `The books agree with each other and not with you: his death was reported by three people, and seen by none. He may well come up the stairs.`},
	{narrator, "his cup in the boat", `The boat goes out against the current. Far off a bell rings, once, like a latch falling. When you come up the stairs the rain has stopped, and on the one stool sits a man in wet boots, who nods to you, and drinks.`},
}

// prompts is the prompt book: what is said when nobody can say more.
var prompts = []cue{
	{narrator, "knife", `(The candle gutters out. When it burns again the knife lies on the table, and the key beside it. Nobody speaks of it.)`},
	{archivist, "silence it", `(The archive is locked. Of the card in its window only this can be read: "Bell, Harrow. See: what is owed.")`},
}

// rulings is what the game master says when asked.
var rulings = []cue{
	{consistency, "whose is the bell", `You rang it, so it is yours, and so is the debt. Give back something of his and I will call it even.`},
}

var anything = []string{
	`The fire settles in the hearth. Somebody at the long table says a name, and somebody else says: not tonight.`,
	`For a moment there is only the rain. Then a chair is moved, upstairs, where no guest is staying.`,
	`The innkeeper wipes the same cup for the third time. "Ask me that again tomorrow," she says, "by daylight."`,
	`A coin rolls across the floor, stops at your boot, and lies there with the wrong king upward.`,
	`The cat under the bench opens one eye, thinks better of it, and closes it again.`,
	`The map on the wall has one road more than it had when you came in.`,
}
