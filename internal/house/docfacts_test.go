package house_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

// The table of classes is the code's: a cell begins with yes or no as the verdict
// does.
func TestTheTableOfClassesIsTheCodes(t *testing.T) {
	for _, problem := range wrongRows(read(t, "docs/failures-and-classes.md"), strategies.Classes(), strategies.VerdictOf) {
		t.Error(problem)
	}
}

var columns = []struct {
	name string
	of   func(strategies.Verdict) bool
}{
	{"retry", func(v strategies.Verdict) bool { return v.Retry }},
	{"stand-in", func(v strategies.Verdict) bool { return v.Fallback }},
	{"reduced answer", func(v strategies.Verdict) bool { return v.Degrade }},
	{"person", func(v strategies.Verdict) bool { return v.Intervene }},
	{"trips the breaker", func(v strategies.Verdict) bool { return v.Trips }},
}

// wrongRows compares the rows "| `class` | example | yes … |" with verdicts. A cell
// may go on after its word.
func wrongRows(page string, classes []strategies.Class, verdict func(strategies.Class) strategies.Verdict) (problems []string) {
	const before = 2 // the class, and an example
	for _, class := range classes {
		m := regexp.MustCompile(`(?m)^\| ` + "`" + class.String() + "`" + ` \|(.*)\|$`).FindStringSubmatch(page)
		if m == nil {
			problems = append(problems, fmt.Sprintf("there is no row for %s", class))
			continue
		}
		cells := append([]string{class.String()}, strings.Split(m[1], "|")...)
		if len(cells) != before+len(columns) {
			problems = append(problems, fmt.Sprintf("the row of %s has %d cells, want %d", class, len(cells), before+len(columns)))
			continue
		}
		for i, column := range columns {
			want := map[bool]string{true: "yes", false: "no"}[column.of(verdict(class))]
			if cell := strings.TrimSpace(cells[before+i]); !regexp.MustCompile(`^` + want + `\b`).MatchString(cell) {
				problems = append(problems, fmt.Sprintf("%s, %s: the page says %q, the code says %s", class, column.name, cell, want))
			}
		}
	}
	return problems
}

func TestWrongRowsAreSeen(t *testing.T) {
	verdict := func(strategies.Class) strategies.Verdict {
		return strategies.Verdict{Retry: true, Fallback: true, Trips: true}
	}
	for name, tc := range map[string]struct{ page, want string }{
		"as the code says":           {"| `timeout` | too slow | yes | yes | no | no | yes |", ""},
		"with more to say":           {"| `timeout` | too slow | yes, twice | yes | no: never | no | yes |", ""},
		"another word":               {"| `timeout` | too slow | no | yes | no | no | yes |", `retry: the page says "no"`},
		"a word that only begins so": {"| `timeout` | too slow | yes | yes | nobody | no | yes |", `reduced answer: the page says "nobody"`},
		"no row":                     {"| `panic` | too slow | yes | yes | no | no | yes |", "no row for timeout"},
		"a cell too few":             {"| `timeout` | too slow | yes | yes | no | yes |", "has 6 cells"},
	} {
		t.Run(name, func(t *testing.T) {
			onlyProblem(t, wrongRows(tc.page, []strategies.Class{strategies.ClassTimeout}, verdict), tc.want)
		})
	}
}

// A page that lists the words of an enum lists all of them: whoever reads it looks
// for the one that it left out.
func TestListsAreWhole(t *testing.T) {
	for _, list := range []struct{ page, dir, of string }{
		{"docs/failures-and-classes.md", "strategies", "Stop"},
		{"docs/watching.md", "middleware", "EventKind"},
		{"docs/watching.md", "strategies", "Strategy"},
		{"docs/watching.md", "strategies", "Level"},
		{"docs/people.md", "strategies", "Action"},
	} {
		page, words := read(t, list.page), constants(t, list.dir, list.of)
		if len(words) < 3 {
			t.Errorf("found %d constants of %s.%s", len(words), list.dir, list.of)
		}
		for _, word := range missingWords(page, words) {
			t.Errorf("%s lists %s.%s without %s", list.page, list.dir, list.of, word)
		}
	}
}

func missingWords(page string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(page, "`"+w+"`") })
}

func TestListsThatAreNotWholeAreSeen(t *testing.T) {
	for page, want := range map[string]int{"`StopOpen`, `StopBudget`": 0, "`StopOpen`": 1, "StopOpen": 2, "`StopOpenly`": 2} {
		if got := missingWords(page, []string{"StopOpen", "StopBudget"}); len(got) != want {
			t.Errorf("%q: %q missing, want %d", page, got, want)
		}
	}
}

// constants returns the exported constants of a type, which begin with its name, or
// with Event for an EventKind.
func constants(t *testing.T, dir, of string) (all []string) {
	t.Helper()
	for _, f := range parsed(t, dir) {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				all = append(all, constantsIn(g, of)...)
			}
		}
	}
	return all
}

func constantsIn(g *ast.GenDecl, of string) (all []string) {
	prefix := strings.TrimSuffix(of, "Kind")
	for _, s := range g.Specs {
		for _, id := range s.(*ast.ValueSpec).Names {
			if rest, ok := strings.CutPrefix(id.Name, prefix); ok && rest != "" && ast.IsExported(rest) {
				all = append(all, id.Name)
			}
		}
	}
	return all
}

// The Go that the documentation asks for is the one that go.mod asks for.
func TestDocsAskForTheGoOfGoMod(t *testing.T) {
	floor := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	for _, name := range []string{"README.md", "docs/cost.md", "CONTRIBUTING.md"} {
		if page := read(t, name); !strings.Contains(page, "Go "+floor) {
			t.Errorf("%s does not say that the core asks for Go %s", name, floor)
		}
	}
}
