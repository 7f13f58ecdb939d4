package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// code returns the lines of the non-test files of a folder, as "file:line: text".
func code(t *testing.T, dir string) map[string][]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = strings.Split(string(text), "\n")
	}
	if len(files) == 0 {
		t.Fatalf("no code in %s", dir)
	}
	return files
}

// found counts the lines that match, and shows each.
func found(t *testing.T, dir, pattern string) (n int) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for name, lines := range code(t, dir) {
		for i, line := range lines {
			if at := strings.Index(line, "//"); at >= 0 {
				line = line[:at]
			}
			if re.MatchString(line) {
				n++
				t.Logf("%s/%s:%d: %s", dir, name, i+1, strings.TrimSpace(line))
			}
		}
	}
	return n
}

// The class table alone decides: a layer that names a class has a reason that no
// row can say.
func TestLayersNameFewClasses(t *testing.T) {
	if n := found(t, "middleware", `strategies\.Class[A-Z]`); n == 0 || n > 8 {
		t.Errorf("%d lines of middleware name a class, want at most 8: let a field of strategies.Verdict say it", n)
	}
}

// What a call carries hangs in one context of ours, under one key.
func TestOneContextKey(t *testing.T) {
	if n := found(t, "middleware", `context\.WithValue`); n > 1 {
		t.Errorf("%d places put a value into a context, want one: see call.go", n)
	}
	if n := found(t, "middleware", `^type \w*[kK]ey struct`); n != 1 {
		t.Errorf("%d context keys, want one", n)
	}
}

// Every setting can be found on the type that a user holds.
func TestBuildersListEverySetting(t *testing.T) {
	methods := map[string]map[string]bool{}
	for _, f := range parsed(t, "middleware") {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.IsExported() {
				on := base(fn.Recv.List[0].Type)
				if methods[on] == nil {
					methods[on] = map[string]bool{}
				}
				methods[on][fn.Name.Name] = true
			}
		}
	}
	for _, builder := range []string{"Builder", "StreamBuilder"} {
		for setting := range methods["Settings"] {
			if !methods[builder][setting] {
				t.Errorf("%s has no %s: run go generate ./middleware", builder, setting)
			}
		}
		if n := len(methods[builder]); n < 22 {
			t.Errorf("go doc lists %d methods of %s, want at least 22", n, builder)
		}
	}
}

// parsed is the same as syntax trees.
func parsed(t *testing.T, dir string) (all []*ast.File) {
	t.Helper()
	for name, lines := range code(t, dir) {
		f, err := parser.ParseFile(token.NewFileSet(), name, strings.Join(lines, "\n"), parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// Every setting is used in a program that is run: an example, or one of examples/.
func TestEverySettingHasAnExample(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		slashed := filepath.ToSlash(name)
		if !strings.HasSuffix(name, "example_test.go") && (!strings.Contains(slashed, "/examples/") || strings.HasSuffix(name, "_test.go")) || !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if method, ok := call.Fun.(*ast.SelectorExpr); ok {
					used[method.Sel.Name] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := 0
	for _, f := range parsed(t, "middleware") {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || !fn.Name.IsExported() {
				continue
			}
			if on := base(fn.Recv.List[0].Type); on == "Builder" || on == "StreamBuilder" {
				settings++
				if !used[fn.Name.Name] {
					t.Errorf("no example uses %s.%s", on, fn.Name.Name)
				}
			}
		}
	}
	if settings < 40 {
		t.Errorf("%d settings: the walk started in the wrong place", settings)
	}
}
