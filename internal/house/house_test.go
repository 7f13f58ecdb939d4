// Package house_test holds the rules of the house that no compiler checks: which way imports
// point, where the engines are met, what the core may depend on, how long a file may get.
package house_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root     = "../.."
	module   = "github.com/understudy-go/understudy"
	maxLines = 450
)

// An engine is a library that does real work for us. Each is met in one file, so it can be replaced.
var engines = map[string]string{
	"github.com/sony/gobreaker/v2": "strategies/gobreaker.go",
	"github.com/avast/retry-go/v4": "middleware/retrygo.go",
	"go.uber.org/zap":              "middleware/zaplog/zaplog.go",
	"golang.org/x/time":            "strategies/xrate.go",
}

var testOnly = []string{"go.uber.org/goleak", "pgregory.net/rapid"}

// Roles choose, middlewares act, strategies decide: a folder may not import the ones above it.
// Tests included: what a package's tests need is what a reader needs to understand it.
var above = map[string][]string{
	"strategies": {"middleware", "roles"},
	"middleware": {"roles"},
}

// What stands beside the core of middleware is for those who want it: the core does without. Its
// tests may use it.
var beside = []string{"middleware/adapters", "middleware/console", "middleware/inbox", "middleware/middlewaretest", "middleware/zaplog"}

// A source is one Go file, named by its slash-separated path from the root.
type source struct {
	name    string
	nested  bool // belongs to a module of its own
	imports []string
	lines   int
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// breaches returns what is wrong with a file, one sentence each.
func breaches(s source) []string {
	var found []string
	say := func(format string, args ...any) {
		found = append(found, s.name+": "+fmt.Sprintf(format, args...))
	}
	if !s.test() && s.lines > maxLines {
		say("%d lines, a file has at most %d", s.lines, maxLines)
	}
	if s.nested {
		return found // what a nested module imports never reaches a user of the core
	}
	top, _, _ := strings.Cut(s.name, "/")
	for _, imp := range s.imports {
		for _, upper := range above[top] {
			if within(imp, module+"/"+upper) {
				say("imports %s, but %s may not import %s", imp, top, upper)
			}
		}
		for _, part := range beside {
			if path.Dir(s.name) == "middleware" && !s.test() && within(imp, module+"/"+part) {
				say("imports %s, which the core of middleware does without", imp)
			}
		}
		if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") || within(imp, module) {
			continue // the standard library, or our own
		}
		only, engine := engines[owner(imp, slices.Collect(maps.Keys(engines)))]
		switch {
		case owner(imp, testOnly) != "":
			if !s.test() {
				say("imports %s, which is for _test.go files only", imp)
			}
		case !engine:
			say("imports %s, which the core does not depend on", imp)
		case !s.test() && s.name != only:
			say("imports %s, only %s may", imp, only)
		}
	}
	return found
}

// within reports whether an import path is the given one or lies below it.
func within(imp, parent string) bool {
	return imp == parent || strings.HasPrefix(imp, parent+"/")
}

// owner returns the module an import path belongs to, or nothing.
func owner(imp string, modules []string) string {
	for _, m := range modules {
		if within(imp, m) {
			return m
		}
	}
	return ""
}

func TestEveryFileKeepsTheRules(t *testing.T) {
	for _, s := range sources(t) {
		for _, b := range breaches(s) {
			t.Error(b)
		}
	}
}

// A rule that never says no is no rule.
func TestBreachesAreSeen(t *testing.T) {
	for name, tc := range map[string]struct {
		file source
		want string // part of the only breach, or nothing
	}{
		"strategies import middleware":         {source{name: "strategies/a.go", imports: []string{module + "/middleware"}}, "strategies may not import middleware"},
		"strategies import a part of roles":    {source{name: "strategies/x/a.go", imports: []string{module + "/roles/x"}}, "strategies may not import roles"},
		"a test in strategies imports roles":   {source{name: "strategies/a_test.go", imports: []string{module + "/roles"}}, "strategies may not import roles"},
		"middleware imports roles":             {source{name: "middleware/a.go", imports: []string{module + "/roles"}}, "middleware may not import roles"},
		"middleware imports strategies":        {source{name: "middleware/a.go", imports: []string{module + "/strategies"}}, ""},
		"the core imports the inbox":           {source{name: "middleware/a.go", imports: []string{module + "/middleware/inbox"}}, "the core of middleware does without"},
		"a test of the core does":              {source{name: "middleware/a_test.go", imports: []string{module + "/middleware/inbox"}}, ""},
		"the inbox imports the core":           {source{name: "middleware/inbox/a.go", imports: []string{module + "/middleware"}}, ""},
		"roles import both":                    {source{name: "roles/a.go", imports: []string{module + "/middleware", module + "/strategies"}}, ""},
		"gobreaker in its file":                {source{name: "strategies/gobreaker.go", imports: []string{"github.com/sony/gobreaker/v2"}}, ""},
		"gobreaker elsewhere":                  {source{name: "strategies/breaker.go", imports: []string{"github.com/sony/gobreaker/v2"}}, "only strategies/gobreaker.go may"},
		"gobreaker in a test":                  {source{name: "strategies/breaker_test.go", imports: []string{"github.com/sony/gobreaker/v2"}}, ""},
		"retry-go elsewhere":                   {source{name: "middleware/retry.go", imports: []string{"github.com/avast/retry-go/v4"}}, "only middleware/retrygo.go may"},
		"a package of zap elsewhere":           {source{name: "middleware/observe.go", imports: []string{"go.uber.org/zap/zapcore"}}, "only middleware/zaplog/zaplog.go may"},
		"goleak in a test":                     {source{name: "roles/a_test.go", imports: []string{"go.uber.org/goleak"}}, ""},
		"goleak outside a test":                {source{name: "middleware/middlewaretest/a.go", imports: []string{"go.uber.org/goleak"}}, "for _test.go files only"},
		"rapid outside a test":                 {source{name: "internal/x/a.go", imports: []string{"pgregory.net/rapid"}}, "for _test.go files only"},
		"a library nobody asked for":           {source{name: "roles/a.go", imports: []string{"example.org/framework"}}, "the core does not depend on"},
		"the same in a test":                   {source{name: "roles/a_test.go", imports: []string{"example.org/framework"}}, "the core does not depend on"},
		"a framework in a nested module":       {source{name: "examples/a.go", nested: true, imports: []string{"example.org/framework"}}, ""},
		"the standard library":                 {source{name: "strategies/a.go", imports: []string{"context", "encoding/json"}}, ""},
		"a file of exactly the allowed length": {source{name: "roles/a.go", lines: maxLines}, ""},
		"a file one line too long":             {source{name: "roles/a.go", lines: maxLines + 1}, "451 lines"},
		"a long file in a nested module":       {source{name: "examples/a.go", nested: true, lines: maxLines + 1}, "451 lines"},
		"a long test":                          {source{name: "roles/a_test.go", lines: 10 * maxLines}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := breaches(tc.file)
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("no breach, but reported as %q", got)
			case tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want) || !strings.HasPrefix(got[0], tc.file.name)):
				t.Errorf("got %q, want one breach that names %s and says %q", got, tc.file.name, tc.want)
			}
		})
	}
}

func TestTheCoreRequiresItsEnginesAndNothingElse(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module {
		t.Errorf("go.mod: the module is %s, want %s", mod.Module.Path, module)
	}
	var got []string
	for _, r := range mod.Require {
		if !r.Indirect {
			got = append(got, r.Path)
		}
	}
	want := slices.Concat(slices.Collect(maps.Keys(engines)), testOnly)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("go.mod: direct requirements are\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod: replaces %s, which does not reach a user of the library", r.Old.Path)
	}
}

// sources reads every Go file of the repository, those of nested modules too.
func sources(t *testing.T) []source {
	t.Helper()
	var (
		all    []source
		nested = map[string]bool{} // folder -> lies in a nested module
		files  = token.NewFileSet()
	)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if entry.IsDir() {
			if name == "." {
				return nil
			}
			base := entry.Name()
			if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor" {
				return fs.SkipDir
			}
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			nested[name] = err == nil || nested[path.Dir(name)]
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(files, name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{
			name:   name,
			nested: nested[path.Dir(name)],
			lines:  bytes.Count(text, []byte("\n")),
		}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imp)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("found no Go files: the walk started in the wrong place")
	}
	return all
}
