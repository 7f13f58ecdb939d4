package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the README shows is shown by something that is tested: a block of code
// or output under a marker must stand, line by line, in the file it names.
var marked = regexp.MustCompile("(?s)<!-- from: ([^ ]+) -->\n+```[a-z]*\n(.*?)\n```")

func TestReadmeShowsWhatIsTested(t *testing.T) {
	readme := read(t, "README.md")
	found := marked.FindAllStringSubmatch(readme, -1)
	if len(found) < 5 {
		t.Fatalf("README.md has %d marked blocks; it should show at least 5", len(found))
	}
	for _, m := range found {
		path, block := m[1], m[2]
		if !contains(read(t, path), block) {
			t.Errorf("README.md shows a block that is not in %s:\n%s", path, block)
		}
	}
	if all := strings.Count(readme, "<!-- from: "); all != len(found) {
		t.Errorf("README.md has %d markers and %d blocks under them", all, len(found))
	}
}

func TestReadmeNamesOnlyTargetsThatExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, m := range regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(read(t, "README.md"), -1) {
		if !strings.Contains(makefile, "\n"+m[1]+": ") {
			t.Errorf("README.md names `make %s`, which the Makefile does not have", m[1])
		}
	}
}

func TestReadmeLinksLead(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([A-Za-z0-9_./-]+)(#[a-z-]*)?\)`).FindAllStringSubmatch(read(t, "README.md"), -1) {
		if _, err := os.Stat(filepath.Join("..", "..", m[1])); err != nil {
			t.Errorf("README.md links to %s: %v", m[1], err)
		}
	}
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
