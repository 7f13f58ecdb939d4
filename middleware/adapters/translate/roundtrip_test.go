package translate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// What a conversation says is the same after it was written for a provider and
// read again, whoever that is.
func TestAConversationIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		can   abilities
		there func(conversation) (conversation, error)
	}{
		"OpenAI": {abilities{system: true, big: true, seed: true, several: true, name: "plan", strict: true, stops: 4}, func(c conversation) (conversation, error) {
			params, err := toOpenAI(c, "m", Anthropic)
			if err != nil {
				return c, err
			}
			return fromOpenAI(params, Anthropic)
		}},
		"Anthropic": {abilities{big: true, topK: true, pictures: true, several: true, strict: true, stops: 9, format: true}, func(c conversation) (conversation, error) {
			params, err := toAnthropic(c, "m", OpenAI)
			if err != nil {
				return c, err
			}
			return fromAnthropic(params, OpenAI)
		}},
		"Gemini": {abilities{seed: true, topK: true, stops: 5, format: true}, func(c conversation) (conversation, error) {
			req, err := toGemini(c, "m", OpenAI)
			if err != nil {
				return c, err
			}
			return fromGemini(req, OpenAI)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(150) {
				g := &generator{rand.New(rand.NewPCG(seed, 7)), of.can, 0}
				want := g.conversation()
				got, err := of.there(want)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				plain(&want)
				plain(&got)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d:\n got %s\nwant %s", seed, shown(got), shown(want))
				}
			}
		})
	}
}

func shown(c conversation) string {
	s := fmt.Sprintf("%+v", struct {
		System any
		Turns  any
		Tools  any
		Choice any
		Stops  any
	}{c.system, c.turns, c.tools, c.choice, c.stops})
	if c.format != nil {
		s += fmt.Sprintf(" %+v", *c.format)
	}
	return s
}

// plain makes two conversations comparable that say the same: JSON in one form, no
// names where a call has them.
func plain(c *conversation) {
	if c.format != nil {
		c.format.schema = canonical(c.format.schema)
	}
	for i := range c.tools {
		c.tools[i].schema = canonical(c.tools[i].schema)
	}
	for i := range c.turns {
		for j := range c.turns[i].parts {
			p := &c.turns[i].parts[j]
			p.args = canonical(p.args)
			if p.kind == result {
				p.name = ""
				for k, said := range p.content {
					if looseObject(json.RawMessage(said.text)) != nil {
						p.content[k].text = string(canonical(json.RawMessage(said.text)))
					}
				}
			}
		}
	}
}

func canonical(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	v, err := loose(raw)
	if err != nil {
		return raw
	}
	out, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return out
}

// abilities are what a provider has a word for.
type abilities struct {
	system, seed, topK, pictures, several, strict, format, big bool
	name                                                       string // of a format
	stops                                                      int
}

type generator struct {
	*rand.Rand
	can abilities
	ids int
}

func (g *generator) coin() bool { return g.IntN(2) == 0 }

func (g *generator) words() string {
	all := []string{"Who is at the door?", "ä <b>&</b> \"quoted\"", "{\"not\": \"an id\"}", " two\n lines ", "日本", "0"}
	return all[g.IntN(len(all))]
}

func (g *generator) id() string {
	g.ids++
	return fmt.Sprintf([]string{"toolu_%d", "call_%d", "call-%d", "%d"}[g.IntN(4)], g.ids)
}

func (g *generator) json() json.RawMessage {
	all := []string{`{}`, `{"a":1}`, `{"at":"the door","n":[1,2.5,null],"o":{"deep":true}}`, `{"half":0.5}`}
	if g.can.big {
		all = append(all, `{"big":9007199254740993}`)
	}
	return json.RawMessage(all[g.IntN(len(all))])
}

func (g *generator) picture() part {
	if g.coin() {
		return part{kind: picture, image: image{mime: "image/png", data: "aGVsbG8="}}
	}
	return part{kind: picture, image: image{url: "https://example.org/a.png"}}
}

func (g *generator) conversation() (c conversation) {
	for range g.IntN(3) {
		c.system = append(c.system, g.words())
	}
	var open []string
	for n := range 1 + 2*g.IntN(4) {
		if n%2 == 1 {
			t := turn{role: assistant}
			for range 1 + g.IntN(2) {
				t.parts = append(t.parts, part{kind: text, text: g.words()})
			}
			for range g.IntN(3) {
				p := part{kind: call, id: g.id(), name: fmt.Sprint("tool_", g.IntN(3)), args: g.json()}
				open = append(open, p.id)
				t.parts = append(t.parts, p)
			}
			c.turns = append(c.turns, t)
			continue
		}
		t := turn{role: user}
		for _, id := range open {
			t.parts = append(t.parts, g.result(id))
		}
		if len(open) == 0 || g.coin() {
			t.parts = append(t.parts, part{kind: text, text: g.words()})
			if g.coin() {
				t.parts = append(t.parts, g.picture())
			}
		}
		open = nil
		c.turns = append(c.turns, t)
		if g.can.system && g.coin() {
			c.turns = append(c.turns, turn{role: system, parts: []part{{kind: text, text: g.words()}}})
		}
	}
	g.settings(&c)
	return c
}

func (g *generator) result(id string) part {
	p := part{kind: result, id: id, failed: g.IntN(3) == 0}
	for range g.IntN(3) {
		p.content = append(p.content, part{kind: text, text: g.words()})
	}
	if p.failed && len(p.content) == 0 {
		p.content = []part{{kind: text, text: "no such door"}}
	}
	if !p.failed && len(p.content) == 0 && g.coin() {
		p.content = []part{{kind: text, text: []string{`{"found":[1,2],"in":"the hall"}`, `{"n":9007199254740993}`}[g.IntN(2)]}}
	}
	if len(p.content) == 0 && !g.can.several {
		p.content = []part{{kind: text, text: "nothing"}}
	}
	if g.can.pictures && g.coin() {
		p.content = append(p.content, g.picture())
	}
	return p
}

func pointer[T any](v T) *T { return &v }

func (g *generator) settings(c *conversation) {
	for n := range 3 {
		c.tools = append(c.tools, tool{
			name: fmt.Sprint("tool_", n), description: g.words(), strict: g.can.strict && g.coin(),
			schema: json.RawMessage(`{"$defs":{"p":{"type":"string"}},"additionalProperties":false,"properties":{"at":{"$ref":"#/$defs/p"},"n":{"default":0.5,"maximum":12345678,"minimum":-1,"type":"number"}},"required":["at"],"type":"object"}`),
		})
	}
	switch g.IntN(5) {
	case 0:
		c.choice = &choice{mode: auto}
	case 1:
		c.choice = &choice{mode: required}
	case 2:
		c.choice = &choice{mode: never}
	case 3:
		c.choice = &choice{mode: required, names: []string{"tool_1"}}
	}
	if g.can.several && c.choice != nil && c.choice.mode != never {
		c.parallel = pointer(g.coin())
	}
	c.maxTokens = pointer(int64(1 + g.IntN(5000)))
	if g.coin() {
		c.temperature, c.topP = pointer(0.25), pointer(0.5)
	}
	if g.can.topK && g.coin() {
		c.topK = pointer(40.0)
	}
	if g.can.seed && g.coin() {
		c.seed, c.presence, c.frequency = pointer(int64(7)), pointer(0.5), pointer(-0.5)
	}
	for range g.IntN(g.can.stops + 1) {
		c.stops = append(c.stops, g.words())
	}
	if g.coin() && (g.can.name != "" || g.can.format) {
		c.format = &format{name: g.can.name, schema: json.RawMessage(`{"properties":{"a":{"maxLength":5,"type":"string"}},"type":"object"}`), strict: true}
	}
}
