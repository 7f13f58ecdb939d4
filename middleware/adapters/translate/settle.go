package translate

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

const (
	// noResult is what stands in the place of a result that never came. It says
	// so: nothing may look as if a tool had run.
	noResult = "No result: the conversation moved on before the tool answered."
	// opening is the user's turn where a history has none to begin with.
	opening = "(The conversation begins here.)"
	// strayResult introduces a result whose call is gone.
	strayResult = "Result of an earlier tool call that is no longer part of the conversation:"
	// pictureOf introduces the picture of a result, for models whose results are text.
	pictureOf = "Picture from the result of %s:"
)

// rules are a provider's own of how a history has to look.
type rules struct {
	fits      func(id string) bool // nil: any id does
	hoist     bool                 // a system prompt stands before all turns only
	merge     bool                 // roles alternate
	userFirst bool
	textOnly  bool // results hold no pictures
}

// settle returns turns that keep the rules: every call has its result right
// behind it, every result its call, ids have the provider's form, and nothing is
// empty. It keeps to what is there: what it changes it copies.
func settle(turns []turn, r rules) (hoisted []string, settled []turn) {
	turns = slices.Clone(turns)
	if r.hoist {
		turns = slices.DeleteFunc(turns, func(t turn) bool {
			if t.role != system || t.own != nil {
				return false
			}
			for _, p := range t.parts {
				hoisted = append(hoisted, p.text)
			}
			return true
		})
	}
	turns = pair(turns, r)
	for _, t := range turns {
		t.parts = withoutEmpty(t.parts)
		if len(t.parts) == 0 && t.own == nil {
			continue
		}
		last := len(settled) - 1
		if r.merge && t.own == nil && last >= 0 && settled[last].own == nil && settled[last].role == t.role && t.role != system {
			settled[last].parts = slices.Concat(settled[last].parts, t.parts)
			continue
		}
		settled = append(settled, t)
	}
	first := slices.IndexFunc(settled, func(t turn) bool { return t.role != system })
	if r.userFirst && (first < 0 || settled[first].role != user) {
		settled = slices.Insert(settled, max(first, 0), turn{role: user, parts: []part{{kind: text, text: opening}}})
	}
	return hoisted, settled
}

// withoutEmpty leaves out texts of nothing, which some providers refuse.
func withoutEmpty(parts []part) []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool {
		return p.kind == text && strings.TrimSpace(p.text) == ""
	})
}

// place is where a part is.
type place struct{ turn, part int }

// pair puts every result right behind its call, and gives both one id.
func pair(turns []turn, r rules) []turn {
	calls, results := places(turns)
	matches, claimed := match(turns, calls, results)
	ids := identify(turns, calls, r)

	var all []turn
	n := 0 // calls so far
	for i, t := range turns {
		var kept, answers []part
		for j, p := range t.parts {
			at := place{i, j}
			switch {
			case p.kind == call:
				p.id = ids[n]
				kept = append(kept, p)
				answers = append(answers, resultOf(turns, p, matches, n))
				n++
			case p.kind == result && claimed[at]:
				// It stands behind its call.
			case p.kind == result:
				kept = append(kept, stray(p)...)
			default:
				kept = append(kept, p)
			}
		}
		if gone := len(kept) == 0 && len(t.parts) > 0; !gone {
			t.parts = kept
			all = append(all, t)
		}
		if len(answers) > 0 {
			all = append(all, turn{role: user, parts: inText(answers, r)})
		}
	}
	return all
}

func places(turns []turn) (calls, results []place) {
	for i, t := range turns {
		for j, p := range t.parts {
			switch p.kind {
			case call:
				calls = append(calls, place{i, j})
			case result:
				results = append(results, place{i, j})
			}
		}
	}
	return calls, results
}

// match finds the result of each call: the first one of its id behind it, and
// before the next call of that id.
func match(turns []turn, calls, results []place) (matches map[int]place, claimed map[place]bool) {
	matches, claimed = map[int]place{}, map[place]bool{}
	open := map[string][]int{} // ids -> calls that wait
	n := 0
	for _, at := range results {
		for ; n < len(calls) && before(calls[n], at); n++ {
			id := turns[calls[n].turn].parts[calls[n].part].id
			if last := len(open[id]) - 1; last >= 0 && calls[open[id][last]].turn != calls[n].turn {
				open[id] = nil // an id that is used again means the newer call
			}
			open[id] = append(open[id], n)
		}
		id := turns[at.turn].parts[at.part].id
		if waiting := open[id]; len(waiting) > 0 {
			matches[waiting[0]], claimed[at] = at, true
			open[id] = waiting[1:]
		}
	}
	return matches, claimed
}

func before(a, b place) bool { return a.turn < b.turn || a.turn == b.turn && a.part < b.part }

// identify gives every call an id of the provider's form, the same one whenever
// the history is read again, and no two calls the same.
func identify(turns []turn, calls []place, r rules) []string {
	ids, taken, seen := make([]string, len(calls)), map[string]bool{}, map[string]int{}
	fits := func(id string) bool { return id != "" && (r.fits == nil || r.fits(id)) }
	for _, at := range calls {
		if id := turns[at.turn].parts[at.part].id; fits(id) {
			taken[id] = true
		}
	}
	for n, at := range calls {
		id := turns[at.turn].parts[at.part].id
		seen[id]++
		if seen[id] == 1 && fits(id) {
			ids[n] = id
			continue
		}
		ids[n] = derived(id, seen[id])
		for again := seen[id] + 1; taken[ids[n]]; again++ {
			ids[n] = derived(id, again)
		}
		taken[ids[n]] = true
	}
	return ids
}

// derived makes an id that every provider takes, out of one that it does not, or
// that a conversation has already: 37 characters.
func derived(id string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, id))
	return "call_" + hex.EncodeToString(sum[:16])
}

// resultOf is the result of a call, or one that says that there is none.
func resultOf(turns []turn, c part, matches map[int]place, n int) part {
	at, ok := matches[n]
	if !ok {
		return part{kind: result, id: c.id, name: c.name, failed: true, content: []part{{kind: text, text: noResult}}}
	}
	p := turns[at.turn].parts[at.part]
	p.id, p.name = c.id, c.name
	return p
}

// stray is what remains of a result whose call is gone: its text, which says what
// it is. A call for it would be made up.
func stray(p part) []part {
	all := []part{{kind: text, text: strayResult}}
	return append(all, p.content...)
}

// inText moves the pictures of results behind them, for models that read no
// pictures in results.
func inText(results []part, r rules) []part {
	if !r.textOnly {
		return results
	}
	var behind []part
	for i, p := range results {
		var words []part
		for _, c := range p.content {
			if c.kind != picture {
				words = append(words, c)
				continue
			}
			behind = append(behind, part{kind: text, text: fmt.Sprintf(pictureOf, p.id)}, c)
		}
		if len(words) < len(p.content) && p.own == nil {
			if len(words) == 0 {
				words = []part{{kind: text, text: "(a picture, which follows)"}}
			}
			results[i].content = words
		}
	}
	return slices.Concat(results, behind)
}

// idOf is the id of the call that is a part of an answer, in the form that the
// reader's provider has. One that came without an id gets one of its own.
func (a answer) idOf(n int, r rules) string {
	id := a.parts[n].id
	switch {
	case id == "" && a.id != "":
		return derived(a.id, n)
	case id == "":
		return derived(rand.Text(), n) // nothing tells this answer from the next
	case r.fits != nil && !r.fits(id):
		return derived(id, 1)
	}
	return id
}
