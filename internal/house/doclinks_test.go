package house_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Every link that stays in the repository leads to a file or a folder, and to a
// heading of it if it names one.
func TestDocsLinksLead(t *testing.T) {
	all, followed := pages(t), 0
	for name, page := range all {
		problems, n := deadLinks(name, page, func(path string) (string, bool) {
			if text, ok := all[path]; ok {
				return text, true
			}
			_, err := os.Stat(filepath.Join(root, path))
			return "", err == nil
		})
		for _, problem := range problems {
			t.Error(problem)
		}
		followed += n
	}
	if followed < 40 {
		t.Errorf("%d links were followed, there should be at least 40", followed)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]*)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	inCode  = regexp.MustCompile("(?s)(?:^|\n)```.*?\n```|`[^`\n]*`")
)

// deadLinks follows the relative links of a page, and says how many there were.
func deadLinks(name, page string, file func(path string) (text string, ok bool)) (problems []string, followed int) {
	for _, m := range link.FindAllStringSubmatch(inCode.ReplaceAllString(page, ""), -1) {
		target, anchor, anchored := strings.Cut(m[1], "#")
		if strings.HasPrefix(target, "https://") {
			continue
		}
		followed++
		text, where := page, name
		if target != "" {
			where = path.Join(path.Dir(name), target)
			var ok bool
			switch text, ok = file(where); {
			case strings.Contains(target, ":") || path.IsAbs(target) || strings.HasPrefix(where, ".."):
				problems = append(problems, fmt.Sprintf("%s links to %s: use https://, or a path inside of the repository", name, m[1]))
				continue
			case !ok:
				problems = append(problems, fmt.Sprintf("%s links to %s, which is not there", name, m[1]))
				continue
			}
		}
		if anchored && !slices.Contains(anchors(text), anchor) {
			problems = append(problems, fmt.Sprintf("%s links to %s, and %s has no such heading", name, m[1], where))
		}
	}
	return problems, followed
}

// anchors are the names that a forge gives to the headings of a page.
func anchors(page string) (all []string) {
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(withoutBlocks(page), -1) {
		text := link.ReplaceAllString(strings.ReplaceAll(m[1], "`", ""), "")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, text)
		if n := seen[name]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", name, n))
		} else {
			all = append(all, name)
		}
		seen[name]++
	}
	return all
}

// withoutBlocks drops fenced blocks: a # in them is no heading.
func withoutBlocks(page string) string { return fence.ReplaceAllString(page, "\n") }

func TestDeadLinksAreSeen(t *testing.T) {
	file := func(path string) (string, bool) {
		switch path {
		case "docs/a.md":
			return "# A page, and `more`\n\n## Again\n\n## Again\n\n```sh\n# no heading\n```\n", true
		case "LICENSE", "docs", "README.md":
			return "# Top\n", true
		}
		return "", false
	}
	for name, tc := range map[string]struct{ from, page, want string }{
		"what is there":                     {"README.md", "[a](docs/a.md) [b](docs/a.md#a-page-and-more) [c](LICENSE) [d](docs) [e](https://example.org/x)", ""},
		"from a page beside it":             {"docs/b.md", "[a](a.md) [b](../LICENSE) [c](../README.md#top)", ""},
		"the same heading, twice":           {"README.md", "[a](docs/a.md#again) [b](docs/a.md#again-1)", ""},
		"a page that is not there":          {"README.md", "[a](docs/b.md)", "docs/b.md, which is not there"},
		"a path as seen from another page":  {"docs/b.md", "[a](docs/a.md)", "which is not there"},
		"a picture that is not there":       {"README.md", "![a](lab.svg)", "lab.svg, which is not there"},
		"a heading that is not there":       {"README.md", "[a](docs/a.md#nothing)", "docs/a.md has no such heading"},
		"a third heading of two":            {"README.md", "[a](docs/a.md#again-2)", "no such heading"},
		"a comment in a block":              {"README.md", "[a](docs/a.md#no-heading)", "no such heading"},
		"an empty anchor":                   {"README.md", "[a](docs/a.md#)", "no such heading"},
		"a heading of a folder":             {"README.md", "[a](docs#a)", "no such heading"},
		"a heading of the page itself":      {"README.md", "# Here\n[a](#here)", ""},
		"one that the page does not have":   {"README.md", "# Here\n[a](#there)", "no such heading"},
		"a link in a block is code":         {"README.md", "```\n[a](docs/b.md)\n```\n`[a](docs/b.md)`\n", ""},
		"a link after a block is none":      {"README.md", "```\nx\n```\n[a](docs/c.md)", "docs/c.md, which is not there"},
		"a place outside of the repository": {"README.md", "[a](../other/README.md)", "inside of the repository"},
		"a machine's own path":              {"README.md", "[a](/etc/hosts)", "inside of the repository"},
		"a link that can be listened to":    {"README.md", "[a](http://example.org)", "use https://"},
	} {
		t.Run(name, func(t *testing.T) {
			problems, _ := deadLinks(tc.from, tc.page, file)
			onlyProblem(t, problems, tc.want)
		})
	}
}

// A command that the documentation gives can be typed: its folder, its program and
// its target are there.
func TestDocsCommandsCanBeTyped(t *testing.T) {
	makefile := read(t, "Makefile")
	for name, page := range pages(t) {
		for _, problem := range deadCommands(page, makefile, func(path string) bool {
			_, err := os.Stat(filepath.Join(root, path))
			return err == nil
		}) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

var (
	makes = regexp.MustCompile("(?m)(?:`|^    |^)make ([a-z-]+)")
	goes  = regexp.MustCompile("(?m)(?:cd ([^ `]+) && )?go (?:run|test|vet|generate) [^`\n]*")
)

func deadCommands(page, makefile string, there func(path string) bool) (problems []string) {
	for _, m := range makes.FindAllStringSubmatch(page, -1) {
		if !strings.Contains("\n"+makefile, "\n"+m[1]+": ") {
			problems = append(problems, fmt.Sprintf("names `make %s`, which the Makefile does not have", m[1]))
		}
	}
	for _, m := range goes.FindAllStringSubmatch(page, -1) {
		if m[1] != "" && !there(m[1]) {
			problems = append(problems, fmt.Sprintf("enters %s, which is not there", m[1]))
			continue
		}
		for word := range strings.FieldsSeq(m[0]) {
			if !strings.HasPrefix(word, "./") {
				continue
			}
			where := path.Join(".", m[1], strings.TrimSuffix(strings.TrimRight(word, ",;:)"), "..."))
			if !there(where) {
				problems = append(problems, fmt.Sprintf("gives `%s`, but %s is not there", m[0], where))
			}
		}
	}
	return problems
}

func TestDeadCommandsAreSeen(t *testing.T) {
	there := func(path string) bool {
		return slices.Contains([]string{"examples", "examples/quickstart", "middleware", "."}, path)
	}
	for name, tc := range map[string]struct{ page, want string }{
		"a target":                       {"`make demo`", ""},
		"a target in a block":            {"    make demo   # a story\n", ""},
		"a target that is not there":     {"`make tea`", "make tea"},
		"one in a block that is not":     {"```sh\nmake tea\n```", "make tea"},
		"to make something is no target": {"They make tea.", ""},
		"a program":                      {"`cd examples && go run ./quickstart`", ""},
		"a program that is not there":    {"`cd examples && go run ./slowstart`", "examples/slowstart is not there"},
		"a folder that is not there":     {"`cd example && go run ./quickstart`", "enters example"},
		"a package":                      {"`go test -run Example -v ./middleware`", ""},
		"a package that is not there":    {"`go test ./middlewares`", "middlewares is not there"},
		"all packages":                   {"`go test ./...`", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onlyProblem(t, deadCommands(tc.page, "demo: ## a story\n", there), tc.want)
		})
	}
}
