package translate

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// lined is a history in one line a turn.
func lined(turns []turn) string {
	var lines []string
	for _, t := range turns {
		line := []string{"user", "assistant", "system"}[t.role] + ":"
		for _, p := range t.parts {
			switch p.kind {
			case call:
				line += " " + p.name + "(" + p.id + ")"
			case result:
				said := ""
				for _, c := range p.content {
					said += c.text
				}
				line += fmt.Sprintf(" %s=%q", p.id, said)
				if p.failed {
					line += "!"
				}
			case picture:
				line += " picture"
			default:
				line += fmt.Sprintf(" %q", p.text)
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func says(text string) part     { return part{text: text} }
func calls(id string) part      { return part{kind: call, id: id, name: "look"} }
func results(id, s string) part { return part{kind: result, id: id, content: []part{says(s)}} }

func TestHistoriesAreSettled(t *testing.T) {
	t.Parallel()
	u := func(parts ...part) turn { return turn{role: user, parts: parts} }
	a := func(parts ...part) turn { return turn{role: assistant, parts: parts} }
	long := strings.Repeat("x", 41)
	missing := fmt.Sprintf("%q", noResult)
	for name, tc := range map[string]struct {
		rules rules
		turns []turn
		want  string
	}{
		"as it should be": {anthropicRules(), []turn{u(says("q")), a(says("look"), calls("1")), u(results("1", "r")), a(says("end"))},
			"user: \"q\"\nassistant: \"look\" look(1)\nuser: 1=\"r\"\nassistant: \"end\""},
		"a call that nobody answered": {anthropicRules(), []turn{u(says("q")), a(calls("1")), u(says("never mind"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=" + missing + "! \"never mind\""},
		"one of two results": {openAIRules(), []turn{u(says("q")), a(calls("1"), calls("2")), u(results("2", "r"))},
			"user: \"q\"\nassistant: look(1) look(2)\nuser: 1=" + missing + "! 2=\"r\""},
		"calls at the very end": {geminiRules(), []turn{u(says("q")), a(calls("1"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=" + missing + "!"},
		"a result in the wrong order": {geminiRules(), []turn{u(says("q")), a(calls("1"), calls("2")), u(results("2", "b"), results("1", "a"))},
			"user: \"q\"\nassistant: look(1) look(2)\nuser: 1=\"a\" 2=\"b\""},
		"a result that comes late": {anthropicRules(), []turn{u(says("q")), a(calls("1")), u(says("and?")), a(says("wait")), u(results("1", "r"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=\"r\" \"and?\"\nassistant: \"wait\""},
		"a result without a call": {anthropicRules(), []turn{u(results("9", "r"), says("q"))},
			"user: \"" + strayResult + "\" \"r\" \"q\""},
		"a result before its call": {openAIRules(), []turn{u(results("1", "r")), a(calls("1"))},
			"user: \"" + strayResult + "\" \"r\"\nassistant: look(1)\nuser: 1=" + missing + "!"},
		"a second result": {anthropicRules(), []turn{u(says("q")), a(calls("1")), u(results("1", "r"), results("1", "s"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=\"r\" \"" + strayResult + "\" \"s\""},
		"an id that is used in every round": {anthropicRules(), []turn{u(says("q")), a(calls("1")), u(results("1", "r")), a(calls("1")), u(results("1", "s"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=\"r\"\nassistant: look(" + derived("1", 2) + ")\nuser: " + derived("1", 2) + "=\"s\""},
		"an id that is used in every round, the first unanswered": {anthropicRules(), []turn{u(says("q")), a(calls("1")), u(says("go on")), a(calls("1")), u(results("1", "s"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=" + missing + "! \"go on\"\nassistant: look(" + derived("1", 2) + ")\nuser: " + derived("1", 2) + "=\"s\""},
		"an id that is too long": {openAIRules(), []turn{u(says("q")), a(calls(long)), u(results(long, "r"))},
			"user: \"q\"\nassistant: look(" + derived(long, 1) + ")\nuser: " + derived(long, 1) + "=\"r\""},
		"an id of foreign letters": {anthropicRules(), []turn{u(says("q")), a(calls("a.b")), u(results("a.b", "r"))},
			"user: \"q\"\nassistant: look(" + derived("a.b", 1) + ")\nuser: " + derived("a.b", 1) + "=\"r\""},
		"two users":                     {anthropicRules(), []turn{u(says("a")), u(says("b"))}, "user: \"a\" \"b\""},
		"two users, where that is fine": {openAIRules(), []turn{u(says("a")), u(says("b"))}, "user: \"a\"\nuser: \"b\""},
		"empty texts and turns":         {anthropicRules(), []turn{u(says("a")), a(says(" ")), u(says("b"), says(""))}, "user: \"a\" \"b\""},
		"an assistant who begins":       {geminiRules(), []turn{a(says("Welcome.")), u(says("q"))}, "user: \"" + opening + "\"\nassistant: \"Welcome.\"\nuser: \"q\""},
		"an assistant who may begin":    {openAIRules(), []turn{a(says("Welcome.")), u(says("q"))}, "assistant: \"Welcome.\"\nuser: \"q\""},
		"nobody":                        {anthropicRules(), nil, "user: \"" + opening + "\""},
		"a system prompt in the middle": {anthropicRules(), []turn{u(says("a")), {role: system, parts: []part{says("s")}}, u(says("b"))}, "user: \"a\" \"b\""},
		"the same, where it may stay":   {openAIRules(), []turn{u(says("a")), {role: system, parts: []part{says("s")}}}, "user: \"a\"\nsystem: \"s\""},
		"a system prompt before a result": {openAIRules(), []turn{u(says("q")), a(calls("1")), {role: system, parts: []part{says("s")}}, u(results("1", "r"))},
			"user: \"q\"\nassistant: look(1)\nuser: 1=\"r\"\nsystem: \"s\""},
		"a picture in a result": {openAIRules(), []turn{u(says("q")), a(calls("1")), u(part{kind: result, id: "1", content: []part{{kind: picture}}})},
			"user: \"q\"\nassistant: look(1)\nuser: 1=\"(a picture, which follows)\" \"Picture from the result of 1:\" picture"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := settle(tc.turns, tc.rules)
			if lined(got) != tc.want {
				t.Errorf("got\n%s\nwant\n%s", lined(got), tc.want)
			}
		})
	}
}

// However broken a history is, what comes out keeps the rules, is settled when it
// is settled again, and no word of it is lost.
func TestBrokenHistoriesAreSettledForGood(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 11))
		turns := brokenTurns(r)
		before := lined(turns)
		for name, rules := range map[string]rules{"openai": openAIRules(), "anthropic": anthropicRules(), "gemini": geminiRules()} {
			hoisted, got := settle(turns, rules)
			if lined(turns) != before {
				t.Fatalf("seed %d, %s: what was given is written to", seed, name)
			}
			broken(t, fmt.Sprintf("seed %d, %s", seed, name), got, rules)
			if _, again := settle(got, rules); lined(again) != lined(got) {
				t.Fatalf("seed %d, %s: not settled for good:\n%s\n\n%s", seed, name, lined(got), lined(again))
			}
			all := lined(got) + strings.Join(hoisted, "\n")
			for n := range 40 {
				if word := fmt.Sprintf("w%d.", n); strings.Contains(before, word) && strings.Count(all, word) != 1 {
					t.Fatalf("seed %d, %s: %s is there %d times in\n%s", seed, name, word, strings.Count(all, word), all)
				}
			}
		}
	}
}

func brokenTurns(r *rand.Rand) (turns []turn) {
	ids := []string{"1", "a.b", strings.Repeat("y", 50), "", derived("a.b", 1), "2"}
	for n := range r.IntN(8) {
		t := turn{role: role(r.IntN(3))}
		for k := range r.IntN(4) {
			p := says(fmt.Sprintf("w%d.", 4*n+k))
			switch {
			case t.role == assistant && r.IntN(2) == 0:
				p = calls(ids[r.IntN(len(ids))])
			case t.role == user && r.IntN(2) == 0:
				p = results(ids[r.IntN(len(ids))], p.text)
			}
			t.parts = append(t.parts, p)
		}
		turns = append(turns, t)
	}
	return turns
}

func broken(t *testing.T, at string, turns []turn, r rules) {
	t.Helper()
	seen := map[string]bool{}
	var open []string
	for i, one := range turns {
		if r.merge && i > 0 && turns[i-1].role == one.role {
			t.Fatalf("%s: %v speaks twice:\n%s", at, one.role, lined(turns))
		}
		if len(one.parts) == 0 {
			t.Fatalf("%s: an empty turn", at)
		}
		for _, p := range one.parts {
			if p.kind == result {
				if len(open) == 0 || open[0] != p.id {
					t.Fatalf("%s: %s is answered, but %q wait:\n%s", at, p.id, open, lined(turns))
				}
				open = open[1:]
				continue
			}
			if one.role != assistant && len(open) > 0 {
				t.Fatalf("%s: %q wait:\n%s", at, open, lined(turns))
			}
			if p.kind == call {
				if seen[p.id] || p.id == "" || r.fits != nil && !r.fits(p.id) {
					t.Fatalf("%s: id %q is used twice, or does not fit", at, p.id)
				}
				seen[p.id] = true
				open = append(open, p.id)
			}
		}
	}
	if len(open) > 0 {
		t.Fatalf("%s: %q wait at the end", at, open)
	}
}

// An id stays what it was made when the history grows, and two ids never become one.
func TestIDsAreStableAndNeverCollide(t *testing.T) {
	t.Parallel()
	var turns []turn
	var before []string
	for n := range 60 {
		id := []string{fmt.Sprint(n), fmt.Sprint("a.", n), strings.Repeat("z", 30+n), "same"}[n%4]
		turns = append(turns, turn{role: assistant, parts: []part{calls(id)}}, turn{role: user, parts: []part{results(id, "r")}})
		_, settled := settle(turns, rules{fits: func(id string) bool { return word(id, "") && len(id) <= openAIIDs }})
		var ids []string
		for _, t := range settled {
			for _, p := range t.parts {
				if p.kind == call {
					ids = append(ids, p.id)
				}
			}
		}
		if !reflect.DeepEqual(ids[:len(before)], append([]string{}, before...)) {
			t.Fatalf("ids have changed:\n%q\n%q", before, ids)
		}
		unique := slices.Compact(slices.Sorted(slices.Values(ids)))
		if len(unique) != len(ids) {
			t.Fatalf("ids collide: %q", ids)
		}
		before = ids
	}
}
