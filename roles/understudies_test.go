package roles_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

func TestUnderstudiesValidate(t *testing.T) {
	for _, tc := range []struct {
		name  string
		table roles.Understudies
		says  string // "": it is fine
	}{
		{"it takes the nil table", nil, ""},
		{"it takes an empty table", roles.Understudies{}, ""},
		{"it takes several stand-ins", roles.Understudies{"a": {"b", "c", "d"}}, ""},
		{"it takes a chain", roles.Understudies{"a": {"b"}, "b": {"c"}, "c": {"d"}}, ""},
		{"it takes a diamond, which is no cycle", roles.Understudies{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, ""},
		{"it takes one stand-in for all", roles.Understudies{"a": {"z"}, "b": {"z"}, "c": {"z"}}, ""},
		{"it takes a short cut beside the long way", roles.Understudies{"a": {"c", "b"}, "b": {"c"}}, ""},
		{"it tells roles apart by case and space", roles.Understudies{"a": {"A", " a"}}, ""},
		{"it refuses a role that stands in for itself", roles.Understudies{"a": {"a"}}, `Understudies has a cycle: a → a`},
		{"it refuses that also after others", roles.Understudies{"a": {"b", "c", "a"}}, `Understudies has a cycle: a → a`},
		{"it refuses two that stand in for each other", roles.Understudies{"a": {"b"}, "b": {"a"}}, `Understudies has a cycle: a → b → a`},
		{"it names only the cycle, not the way to it", roles.Understudies{"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"c"}}, `Understudies has a cycle: c → d → c`},
		{"it finds a cycle behind a dead end", roles.Understudies{"a": {"x", "b"}, "b": {"y", "a"}}, `Understudies has a cycle: a → b → a`},
		{"it finds a cycle apart from the rest", roles.Understudies{"a": {"b"}, "m": {"n"}, "n": {"m"}}, `Understudies has a cycle: m → n → m`},
		{"it refuses an empty list", roles.Understudies{"a": {}}, `Understudies["a"] is an empty list`},
		{"it refuses a nil list", roles.Understudies{"a": nil}, `Understudies["a"] is an empty list`},
		{"it refuses a role named twice", roles.Understudies{"a": {"b", "c", "b"}}, `Understudies["a"] names "b" twice`},
		{"it refuses a role without a name", roles.Understudies{"": {"b"}}, `Understudies has a role without a name`},
		{"it refuses a stand-in without a name", roles.Understudies{"a": {"b", ""}}, `Understudies["a"] has a role without a name`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.table.Validate()
			if _, ok := errors.AsType[*strategies.ConfigError](err); ok != (tc.says != "") || ok && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Validate = %v, want a ConfigError that says %q", err, tc.says)
			}
			c, castErr := roles.NewCast[string, string](tc.table, nil)
			if (castErr == nil) != (err == nil) || (c == nil) != (err != nil) {
				t.Errorf("NewCast = %v, %v, want what Validate said: %v", c, castErr, err)
			}
		})
	}
}

func TestUnderstudiesValidateIsDeterministic(t *testing.T) {
	table := roles.Understudies{}
	for i := range 20 {
		a, b := roles.Role(fmt.Sprintf("a%02d", i)), roles.Role(fmt.Sprintf("b%02d", i))
		table[a], table[b] = []roles.Role{b}, []roles.Role{a}
	}
	want := table.Validate().Error()
	for range 20 {
		expect(t, "the cycle named", table.Validate().Error(), want)
	}
}

func TestUnderstudiesOf(t *testing.T) {
	table := roles.Understudies{"a": {"b", "c"}}
	of := table.Of("a")
	expect(t, "it keeps the order", of, []roles.Role{"b", "c"})
	of[0] = "changed"
	expect(t, "it returns a copy", table.Of("a"), []roles.Role{"b", "c"})
	expect(t, "it has nobody for a role that is no key", len(table.Of("b")), 0)
	expect(t, "it has nobody in a nil table", len(roles.Understudies(nil).Of("a")), 0)
}

// A walk that calls itself would need a stack as deep as the table is long, and
// one that forgets what it has seen would take forever on the second of these.
func TestUnderstudiesManyRoles(t *testing.T) {
	const many = 100_000
	name := func(i int) roles.Role { return roles.Role(fmt.Sprintf("role-%06d", i)) }
	t.Run("it walks a long chain, and finds the cycle that closes it", func(t *testing.T) {
		chain := make(roles.Understudies, many)
		for i := range many {
			chain[name(i)] = []roles.Role{name(i + 1)}
		}
		if err := chain.Validate(); err != nil {
			t.Fatalf("Validate of the chain: %v", err)
		}
		chain[name(many)] = []roles.Role{name(0)}
		err := chain.Validate()
		if !errors.Is(err, strategies.ErrConfig) {
			t.Fatalf("Validate of the circle: %v, want a ConfigError", err)
		}
		expect(t, "arrows in the error", strings.Count(err.Error(), "→"), many+1)
	})
	t.Run("it looks at each role once, however many ways lead there", func(t *testing.T) {
		const layers = 200 // 2^200 ways
		table := roles.Understudies{}
		for i := range layers {
			next := []roles.Role{name(2*i + 2), name(2*i + 3)}
			table[name(2*i)], table[name(2*i+1)] = next, next
		}
		if err := table.Validate(); err != nil {
			t.Errorf("Validate: %v", err)
		}
	})
}

// A cycle is a role that can be reached from itself: what the naive checker
// asks of every role by following all arrows until nothing new turns up.
func naivelyCyclic(table roles.Understudies) bool {
	for start := range table {
		reached := map[roles.Role]bool{}
		for grown := true; grown; {
			grown = false
			for from, to := range table {
				if from != start && !reached[from] {
					continue
				}
				for _, r := range to {
					grown = grown || !reached[r]
					reached[r] = true
				}
			}
		}
		if reached[start] {
			return true
		}
	}
	return false
}

func TestUnderstudiesAgreeWithANaiveChecker(t *testing.T) {
	name := rapid.Custom(func(t *rapid.T) roles.Role { return roles.Role(rapid.StringMatching("[a-h]").Draw(t, "role")) })
	seen := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		table := roles.Understudies(rapid.MapOfN(name, rapid.SliceOfNDistinct(name, 1, 3, rapid.ID), 0, 7).Draw(t, "table"))
		cyclic := naivelyCyclic(table)
		seen[cyclic]++
		err := table.Validate()
		if (err != nil) != cyclic {
			t.Fatalf("Validate = %v, naive checker: cycle %v", err, cyclic)
		}
		if cyclic {
			isWalk(t, table, err)
		}
	})
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("the property saw %v cyclic and %v acyclic tables, want some of each", seen[true], seen[false])
	}
}

// isWalk wants the cycle an error names to be one: every arrow in the table,
// back to where it began, no role but the first twice.
func isWalk(t *rapid.T, table roles.Understudies, err error) {
	_, cycle, _ := strings.Cut(err.Error(), "has a cycle: ")
	cycle, _, _ = strings.Cut(cycle, ":")
	steps := strings.Split(cycle, " → ")
	if len(steps) < 2 || steps[0] != steps[len(steps)-1] {
		t.Fatalf("%q does not end where it began", cycle)
	}
	visited := map[string]bool{}
	for i, from := range steps[:len(steps)-1] {
		arrow := false
		for _, to := range table[roles.Role(from)] {
			arrow = arrow || string(to) == steps[i+1]
		}
		if !arrow || visited[from] {
			t.Fatalf("%q is no cycle of the table at %q", cycle, from)
		}
		visited[from] = true
	}
}
