package house_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// What a reader types who copies the two first blocks of the README, line by line.
var typed = []string{
	`package main`,
	`import (`,
	`	"context"`,
	`	"fmt"`,
	`	"os"`,
	`	"time"`,
	`	"github.com/understudy-go/understudy/middleware"`,
	`	"github.com/understudy-go/understudy/strategies"`,
	`)`,
	`func mine(_ context.Context, q string) (string, error) { return "You asked: " + q, nil }`,
	`func newNarrator() func(context.Context, string) (string, error) { return mine }`,
	`var archivist, innkeeper = mine, mine`,
	`func run(ctx context.Context, question string) error {`,
	`	out := os.Stdout`,
	`	//copied`,
	`	return nil`,
	`}`,
	`func main() { fmt.Println(run(context.Background(), "Who is there?")) }`,
}

// TestAStrangerIsAtHome follows the README in a module of its own: get the library, copy
// two blocks, type no more than fifteen lines, run.
func TestAStrangerIsAtHome(t *testing.T) {
	lines := 0
	for _, line := range typed {
		if strings.ContainsFunc(line, unicode.IsLetter) && !strings.Contains(line, "//copied") {
			lines++
		}
	}
	if lines > 15 {
		t.Errorf("%d lines to type, at most 15", lines)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(readme), "```go\n")[1:3] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := strings.Replace(strings.Join(typed, "\n"), "	//copied", strings.Join(blocks, "\n"), 1)
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"main.go": program, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out []byte
	for _, command := range [][]string{
		{"mod", "init", "example.test/stranger"},
		{"mod", "edit", "-replace", module + "=" + here, "-require", module + "@v0.0.0"}, // go get, of a version that is not out yet
		{"run", "-mod=mod", "."},
	} {
		cmd := exec.Command("go", command...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if out, err = cmd.Output(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(command, " "), err, &stderr)
		}
	}
	if want := "Who is there?\n  You asked: Who is there?\n  by narrator, strategy none, 1 attempts\n<nil>\n"; string(out) != want {
		t.Errorf("printed:\n%s\nwant:\n%s", out, want)
	}
}
