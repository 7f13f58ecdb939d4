package house_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// What the documentation shows is shown by something that is tested: a block of
// code or output under a marker must stand, line by line, in the file it names.
var marked = regexp.MustCompile("(?s)<!-- from: ([^ ]+) -->\n+```[a-z]*\n(.*?)\n```")

// pages are the README and every page of docs/.
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
		t.Fatalf("%d pages", len(all))
	}
	return all
}

func TestDocsShowWhatIsTested(t *testing.T) {
	total := 0
	for name, page := range pages(t) {
		found := marked.FindAllStringSubmatch(page, -1)
		for _, m := range found {
			if path, block := m[1], m[2]; !contains(read(t, path), block) {
				t.Errorf("%s shows a block that is not in %s:\n%s", name, path, block)
			}
		}
		if all := strings.Count(page, "<!-- from: "); all != len(found) {
			t.Errorf("%s has %d markers and %d blocks under them", name, all, len(found))
		}
		total += len(found)
	}
	if total < 20 {
		t.Errorf("%d blocks are held to tested code, there should be at least 20", total)
	}
}

func TestReadmeIsTwoScreens(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > 160 {
		t.Errorf("README.md has %d lines, it has at most 160: a question belongs on a page of docs/", n)
	}
}

func TestDocsNameOnlyTargetsThatExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for name, page := range pages(t) {
		for _, m := range regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(page, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+": ") {
				t.Errorf("%s names `make %s`, which the Makefile does not have", name, m[1])
			}
		}
	}
}

// Every link that stays in the repository leads to a file, and to a heading of it.
func TestDocsLinksLead(t *testing.T) {
	all := pages(t)
	for name, page := range all {
		for _, problem := range deadLinks(name, page, func(path string) (string, bool) {
			if text, ok := all[path]; ok {
				return text, true
			}
			_, err := os.Stat(filepath.Join(root, path))
			return "", err == nil
		}) {
			t.Error(problem)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]*)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

// deadLinks follows the relative links of a page.
func deadLinks(name, page string, file func(path string) (text string, ok bool)) (problems []string) {
	for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, "://") {
			continue
		}
		text := page
		if target != "" {
			var ok bool
			if text, ok = file(path.Join(path.Dir(name), target)); !ok {
				problems = append(problems, fmt.Sprintf("%s links to %s, which is not there", name, m[1]))
				continue
			}
		}
		if anchor != "" && !slices.Contains(anchors(text), anchor) {
			problems = append(problems, fmt.Sprintf("%s links to %s, which has no such heading", name, m[1]))
		}
	}
	return problems
}

// anchors are the names that a forge gives to the headings of a page.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return all
}

func TestDeadLinksAreSeen(t *testing.T) {
	file := func(path string) (string, bool) {
		return "# A page, and more\n", path == "docs/a.md" || path == "LICENSE"
	}
	for page, want := range map[string]int{
		"[a](docs/a.md) [b](docs/a.md#a-page-and-more) [c](LICENSE) [d](https://example.org/x)": 0,
		"[a](docs/b.md)":                           1,
		"[a](docs/a.md#nothing)":                   1,
		"# Here\n[a](#here) [b](#there)":           1,
		"```\n[a](docs/b.md)\n```\n[b](docs/c.md)": 1,
	} {
		if got := deadLinks("README.md", page, file); len(got) != want {
			t.Errorf("%q: %q, want %d", page, got, want)
		}
	}
}

// What the documentation calls by its Go name is there.
func TestDocsNameWhatExists(t *testing.T) {
	exported := map[string]map[string]bool{}
	for _, dir := range []string{"middleware", "strategies", "roles", "middleware/inbox", "middleware/zaplog", "middleware/middlewaretest"} {
		exported[path.Base(dir)] = names(t, dir)
	}
	for name, page := range pages(t) {
		if name == "CHANGELOG.md" { // which names what was
			continue
		}
		for _, m := range regexp.MustCompile(`\b(middleware|strategies|roles|inbox|zaplog|middlewaretest)\.([A-Z]\w*)`).FindAllStringSubmatch(page, -1) {
			if !exported[m[1]][m[2]] {
				t.Errorf("%s names %s.%s, which is not there", name, m[1], m[2])
			}
		}
	}
}

// names are the exported names of a package, without methods and fields.
func names(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	found, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(found), err)
	}
	for _, name := range found {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					all[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						all[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, id := range s.Names {
							all[id.Name] = true
						}
					}
				}
			}
		}
	}
	return all
}

func TestABlockIsFoundWhateverItsIndentation(t *testing.T) {
	file := "func f() {\n\tif x {\n\t\ta()\n\n\t\tb()\n\t}\n}\n"
	for block, want := range map[string]bool{
		"a()\n\nb()":        true,
		"if x {\n\ta()":     true,
		"a()\nb()":          false,
		"\ta()\n\n\tb()":    true,
		"if x {\n\t\t\ta()": false,
	} {
		if got := contains(file, block); got != want {
			t.Errorf("contains(%q) = %v, want %v", block, got, want)
		}
	}
}

// contains says whether block stands in file as it is, but for the indentation
// of the whole.
func contains(file, block string) bool {
	want := dedent(strings.Split(block, "\n"))
	lines := strings.Split(file, "\n")
	for i := 0; i+len(want) <= len(lines); i++ {
		if equal(dedent(lines[i:i+len(want)]), want) {
			return true
		}
	}
	return false
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

func equal(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
