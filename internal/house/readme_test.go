package house_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the documentation shows is shown by something that is tested: a block under
// a marker stands, line by line, in the file that the marker names.
var (
	marked  = regexp.MustCompile("(?s)<!-- from: ([^ ]+) -->\n+```[a-z]*\n(.*?)\n```")
	markers = regexp.MustCompile("(?m)^<!-- from: ")
	fence   = regexp.MustCompile("(?s)(?:^|\n)```([a-z]*)\n(.*?)\n```")
)

// pages are the README, its neighbours and every page of docs/, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			name = filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))
			all[name] = read(t, name)
		}
	}
	if len(all) < 14 {
		t.Fatalf("found %d pages: the walk started in the wrong place", len(all))
	}
	return all
}

func TestDocsShowWhatIsTested(t *testing.T) {
	total := 0
	for name, page := range pages(t) {
		for _, problem := range untested(page, func(path string) (string, error) {
			text, err := os.ReadFile(filepath.Join(root, path))
			return string(text), err
		}) {
			t.Errorf("%s: %s", name, problem)
		}
		total += len(markers.FindAllString(page, -1))
	}
	if total < 20 {
		t.Errorf("%d blocks are held to tested code, there should be at least 20", total)
	}
}

// untested returns the blocks of a page that no test holds.
func untested(page string, file func(path string) (string, error)) (problems []string) {
	found := marked.FindAllStringSubmatch(page, -1)
	for _, m := range found {
		text, err := file(m[1])
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("shows a block from %s: %v", m[1], err))
		case !contains(text, m[2]):
			problems = append(problems, fmt.Sprintf("shows a block that is not in %s:\n%s", m[1], m[2]))
		}
	}
	if all := len(markers.FindAllString(page, -1)); all != len(found) {
		problems = append(problems, fmt.Sprintf("has %d markers and %d blocks under them", all, len(found)))
	}
	for _, m := range fence.FindAllStringSubmatch(marked.ReplaceAllString(page, ""), -1) {
		if m[1] == "go" {
			problems = append(problems, "shows Go that is from no tested file; put <!-- from: path --> above it:\n"+m[2])
		}
	}
	return problems
}

func TestUntestedBlocksAreSeen(t *testing.T) {
	file := func(path string) (string, error) {
		if path != "a.go" {
			return "", os.ErrNotExist
		}
		return "package a\n\nfunc f() {\n\ta()\n\tb()\n}\n", nil
	}
	for name, tc := range map[string]struct {
		page string
		want string // part of the only problem, or nothing
	}{
		"a block as it stands":             {"<!-- from: a.go -->\n```go\na()\nb()\n```", ""},
		"an empty line under the marker":   {"<!-- from: a.go -->\n\n```go\na()\n```", ""},
		"a block that was changed":         {"<!-- from: a.go -->\n```go\na()\nc()\n```", "not in a.go"},
		"a line left out":                  {"<!-- from: a.go -->\n```go\nfunc f() {\n\tb()\n```", "not in a.go"},
		"a file that is not there":         {"<!-- from: b.go -->\n```go\na()\n```", "block from b.go"},
		"a marker with nothing under it":   {"<!-- from: a.go -->\nand then\n", "1 markers and 0 blocks"},
		"a marker in running text":         {"put `<!-- from: path -->` above it", ""},
		"Go without a marker":              {"text\n\n```go\na()\n```", "from no tested file"},
		"Go without a marker, after a one": {"<!-- from: a.go -->\n```go\na()\n```\n\n```go\nb()\n```", "from no tested file"},
		"a drawing without a marker":       {"```text\na -> b\n```", ""},
	} {
		t.Run(name, func(t *testing.T) { onlyProblem(t, untested(tc.page, file), tc.want) })
	}
}

// onlyProblem expects one problem that holds want, or none if want is empty.
func onlyProblem(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("nothing is wrong, but reported is %q", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("got %q, want one problem that says %q", got, want)
	}
}

func TestReadmeIsTwoScreens(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > 160 {
		t.Errorf("README.md has %d lines, it has at most 160: a question belongs on a page of docs/", n)
	}
}

// A page answers one question, which is its title, and the index lists it.
func TestEveryPageIsAQuestionInTheIndex(t *testing.T) {
	all := pages(t)
	for _, problem := range lost(all) {
		t.Error(problem)
	}
}

func lost(pages map[string]string) (problems []string) {
	for name, page := range pages {
		if !strings.HasPrefix(name, "docs/") || name == "docs/README.md" {
			continue
		}
		title, _, _ := strings.Cut(page, "\n")
		question, ok := strings.CutPrefix(title, "# ")
		if !ok || !strings.HasSuffix(question, "?") {
			problems = append(problems, fmt.Sprintf("%s begins with %q: begin with the question it answers, as a heading", name, title))
			continue
		}
		if row := fmt.Sprintf("[%s](%s)", question, strings.TrimPrefix(name, "docs/")); !strings.Contains(pages["docs/README.md"], row) {
			problems = append(problems, fmt.Sprintf("docs/README.md does not have %s", row))
		}
	}
	slices.Sort(problems)
	return problems
}

func TestLostPagesAreSeen(t *testing.T) {
	index := "| [What is it?](is.md) |"
	for name, tc := range map[string]struct{ path, page, want string }{
		"a page of the index":           {"docs/is.md", "# What is it?\n\nThis.", ""},
		"a page that nobody links to":   {"docs/of.md", "# What of it?\n\nThat.", "docs/README.md does not have"},
		"a title that differs":          {"docs/is.md", "# What was it?\n", "docs/README.md does not have"},
		"a page that asks nothing":      {"docs/is.md", "# What it is\n", "begin with the question"},
		"a page without a title":        {"docs/is.md", "What is it?\n", "begin with the question"},
		"a page that is not of docs":    {"NEWS.md", "news\n", ""},
		"the index need not ask itself": {"docs/README.md", index, ""},
	} {
		t.Run(name, func(t *testing.T) {
			onlyProblem(t, lost(map[string]string{"docs/README.md": index, tc.path: tc.page}), tc.want)
		})
	}
}

// Long lines are hard to read in a terminal and to compare in a change. A row of a
// table cannot be broken, nor can a block of code.
func TestLinesFitAScreen(t *testing.T) {
	const most = 140
	for name, page := range pages(t) {
		for _, problem := range tooLong(page, most) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func tooLong(page string, most int) (problems []string) {
	inBlock := false
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		}
		if n := len([]rune(line)); n > most && !inBlock && !strings.HasPrefix(line, "|") {
			problems = append(problems, fmt.Sprintf("line %d has %d characters, at most %d fit a screen", i+1, n, most))
		}
	}
	return problems
}

func TestLongLinesAreSeen(t *testing.T) {
	long := strings.Repeat("x", 11)
	for name, tc := range map[string]struct{ page, want string }{
		"a line that fits":     {"xxxxxxxxxx\n", ""},
		"a line that does not": {"a\n" + long + "\n", "line 2 has 11 characters"},
		"letters, not bytes":   {"ääääääääää\n", ""},
		"a row of a table":     {"| " + long + " |\n", ""},
		"a block of code":      {"```\n" + long + "\n```\n", ""},
		"after a block":        {"```\nx\n```\n" + long, "line 4"},
	} {
		t.Run(name, func(t *testing.T) { onlyProblem(t, tooLong(tc.page, 10), tc.want) })
	}
}

func TestABlockIsFoundWhateverItsIndentation(t *testing.T) {
	file := "func f() {\n\tif x {\n\t\ta()\n\n\t\tb()\n\t}\n\t// Output:\n\t// one\n\t//   two\n\t// three\n}\n"
	for block, want := range map[string]bool{
		"a()\n\nb()":                  true,
		"if x {\n\ta()":               true,
		"a()\nb()":                    false,
		"\ta()\n\n\tb()":              true,
		"if x {\n\t\t\ta()":           false,
		"// one\n//   two":            true,
		"one\n  two":                  true, // what a comment says
		"one\ntwo":                    false,
		"one\n  two\nthree\n}":        false, // but not beyond its end
		"a()\n\nb()\n}\nOutput:\none": false,
	} {
		if got := contains(file, block); got != want {
			t.Errorf("contains(%q) = %v, want %v", block, got, want)
		}
	}
}

// contains says whether block stands in file as it is, or is what a comment of it
// says, but for the indentation of the whole.
func contains(file, block string) bool {
	want, lines := dedent(strings.Split(block, "\n")), strings.Split(file, "\n")
	return among(lines, want) || among(comments(lines), want)
}

func among(lines, want []string) bool {
	for i := 0; i+len(want) <= len(lines); i++ {
		if slices.Equal(dedent(lines[i:i+len(want)]), want) {
			return true
		}
	}
	return false
}

// comments is what the comments of a file say; in the place of code stand lines that
// match nothing.
func comments(lines []string) []string {
	said := make([]string, len(lines))
	for i, l := range lines {
		text, ok := strings.CutPrefix(strings.TrimLeft(l, "\t "), "//")
		if !ok {
			text = "\x00"
		}
		said[i] = strings.TrimPrefix(text, " ")
	}
	return said
}

func dedent(lines []string) []string {
	indent := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, "\t")); strings.TrimSpace(l) != "" && (indent < 0 || n < indent) {
			indent = n
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight(l[min(max(indent, 0), len(l)-len(strings.TrimLeft(l, "\t"))):], " \t")
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
