package house_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// The go line of go.mod is a promise to those who build with that Go. The compiler keeps it for the
// language. For the standard library it does not, since it sees the one at hand only: so each name
// of it that our code uses is looked up in GOROOT/api, which says what came when.
func TestTheCodeNeedsNoNewerGoThanItSays(t *testing.T) {
	apis, floor := readAPIs(t), goLine(t)
	imports := listed(t, root, "./...")
	var newest use
	for _, p := range imports {
		if p.Module == nil || !p.Module.Main {
			continue
		}
		used, err := uses(apis, imports, p, floor)
		if err != nil {
			t.Errorf("%s is no Go 1.%d, which go.mod promises: %v", p.ImportPath, floor, err)
		}
		for _, u := range used {
			if u.since > floor {
				t.Errorf("%s: %s came with Go 1.%d, go.mod promises 1.%d", u.at, u.name, u.since, floor)
			}
			if u.since > newest.since {
				newest = u
			}
		}
	}
	t.Logf("go.mod says 1.%d; the newest name in use is %s, of 1.%d, in %s", floor, newest.name, newest.since, newest.at)
}

func TestNewerNamesAreSeen(t *testing.T) {
	apis := readAPIs(t)
	imports := listed(t, root, "iter", "log/slog", "net/http", "reflect", "strings", "sync/atomic", "testing")
	for name, tc := range map[string]struct {
		code  string
		floor int
		want  string // the names above the floor, or a part of what the compiler says
	}{
		"a function":                     {`import "strings"; var _ = strings.Lines`, 23, "strings.Lines 1.24"},
		"a type, and a generic one":      {`import "iter"; func f(s iter.Seq[int]) {}`, 22, "iter.Seq 1.23"},
		"a constant":                     {`import "net/http"; const c = http.SameSiteNoneMode`, 12, "net/http.SameSiteNoneMode 1.13"},
		"a variable":                     {`import "log/slog"; var _ = slog.DiscardHandler`, 23, "log/slog.DiscardHandler 1.24"},
		"a method":                       {`import "reflect"; func f(v reflect.Value) { _ = v.Seq }`, 22, "reflect.Value.Seq 1.23"},
		"a method of an interface":       {`import "reflect"; func f(v reflect.Type) { v.CanSeq() }`, 22, "reflect.Type.CanSeq 1.23"},
		"a method of a generic type":     {`import "sync/atomic"; func f[T any](p *atomic.Pointer[T]) { p.Load() }`, 18, "sync/atomic.Pointer 1.19, sync/atomic.Pointer.Load 1.19"},
		"a method from an embedded type": {`import "testing"; func f(t *testing.T) { t.Chdir("") }`, 23, "testing.T.Chdir 1.24"},
		"a method that was embedded":     {`import "sync/atomic"; type x struct{ atomic.Int64 }; func f(v *x) { v.And(1) }`, 22, "sync/atomic.Int64.And 1.23"},
		"a field":                        {`import "net/http"; func f(s *http.Server) { s.Protocols = nil }`, 23, "net/http.Server.Protocols 1.24"},
		"a field in a literal":           {`import "net/http"; var _ = &http.Server{Protocols: nil}`, 23, "net/http.Server.Protocols 1.24"},
		"a name that is old enough":      {`import "log/slog"; var _ = slog.DiscardHandler`, 24, ""},
		"a method that is old enough":    {`import "strings"; func f(b *strings.Builder) { b.Len() }`, 10, ""},
		"a name of our own":              {`type Seq int; func f(Seq) {}`, 1, ""},
		"nothing in a file for newer Go": {"//go:build go1.24\n\npackage a; " + `import "strings"; var _ = strings.Lines`, 23, ""},
		"a name in a file for that Go":   {"//go:build go1.23\n\npackage a; " + `import "strings"; var _ = strings.Lines`, 23, "strings.Lines 1.24"},
		"a newer language":               {`func f() { for range 10 {} }`, 21, "go1.22"},
	} {
		t.Run("it sees "+name, func(t *testing.T) {
			p := listedPackage{ImportPath: "a", Dir: t.TempDir(), GoFiles: []string{"a.go"}}
			if !strings.HasPrefix(tc.code, "//") {
				tc.code = "package a; " + tc.code
			}
			if err := os.WriteFile(filepath.Join(p.Dir, "a.go"), []byte(tc.code), 0o600); err != nil {
				t.Fatal(err)
			}
			used, err := uses(apis, imports, p, tc.floor)
			var got []string
			for _, u := range used {
				if u.since > tc.floor {
					got = append(got, fmt.Sprintf("%s 1.%d", u.name, u.since))
				}
			}
			if err != nil {
				got = []string{err.Error()}
			}
			slices.Sort(got)
			said := strings.Join(slices.Compact(got), ", ")
			if right := said == tc.want || err != nil && tc.want != "" && strings.Contains(said, tc.want); !right {
				t.Errorf("got %q, want %q", said, tc.want)
			}
		})
	}
}

// use is a name of the standard library in our code.
type use struct {
	name  string // path.Func, path.Type, path.Type.Method, path.Type.Field
	since int    // the minor version of Go it came with
	at    string
}

// uses type-checks a package as one of Go 1.floor, without the files that a build constraint such as
// go1.25 keeps from that Go, and returns the names of the standard library it uses.
func uses(apis map[string]int, imports map[string]listedPackage, p listedPackage, floor int) (all []use, err error) {
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if _, later, _ := strings.Cut(f.GoVersion, "."); later != "" {
			if n, err := strconv.Atoi(later); err != nil || n > floor {
				continue // it is not built by a Go that old
			}
		}
		parsed = append(parsed, f)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{
		GoVersion: fmt.Sprint("go1.", floor),
		Importer: importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
			dep, ok := imports[p.resolve(path)]
			if !ok || dep.Export == "" {
				return nil, fmt.Errorf("nothing is known of %s", path)
			}
			return os.Open(dep.Export)
		}),
	}
	if _, err := config.Check(p.ImportPath, files, parsed, info); err != nil {
		return nil, err
	}
	add := func(pos token.Pos, name string) bool {
		since, ok := apis[name]
		if ok {
			at := files.Position(pos)
			all = append(all, use{name, since, fmt.Sprintf("%s/%s:%d", p.ImportPath, filepath.Base(at.Filename), at.Line)})
		}
		return ok
	}
	for id, object := range info.Uses { // of packages; members are below
		if pkg := object.Pkg(); pkg != nil && object.Parent() == pkg.Scope() {
			add(id.Pos(), pkg.Path()+"."+object.Name())
		}
	}
	for selector, s := range info.Selections {
		// From the outside in: what has the member counts, not what it has it from.
		for _, holder := range holders(s) {
			if add(selector.Sel.Pos(), holder+"."+selector.Sel.Name) {
				break
			}
		}
	}
	for expr, typed := range info.Types {
		if literal, ok := expr.(*ast.CompositeLit); ok {
			for _, element := range literal.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); ok {
					if key, ok := pair.Key.(*ast.Ident); ok {
						add(key.Pos(), nameOf(typed.Type)+"."+key.Name)
					}
				}
			}
		}
	}
	return all, nil
}

// holders are the names of the types on the way to a selected member.
func holders(s *types.Selection) (all []string) {
	at := s.Recv()
	all = append(all, nameOf(at))
	for _, i := range s.Index()[:len(s.Index())-1] {
		if p, ok := at.Underlying().(*types.Pointer); ok {
			at = p.Elem()
		}
		at = at.Underlying().(*types.Struct).Field(i).Type()
		all = append(all, nameOf(at))
	}
	return all
}

// nameOf is a type's path and name, or nothing.
func nameOf(t types.Type) string {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != nil {
		return named.Obj().Pkg().Path() + "." + named.Obj().Name()
	}
	return ""
}

// listedPackage is what `go list` says of a package.
type listedPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	ImportMap               map[string]string // of the standard library's own vendored packages
	Module                  *struct{ Main bool }
}

func (p listedPackage) resolve(path string) string {
	if real, ok := p.ImportMap[path]; ok {
		return real
	}
	return path
}

// listed returns packages and all they import, with their export data.
func listed(t *testing.T, dir string, patterns ...string) map[string]listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,ImportMap,Module"}, patterns...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		t.Fatalf("go list: %v\n%s", err, failed.Stderr)
	} else if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]listedPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listedPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	return all
}

// apiName is what an entry of GOROOT/api is about, or nothing. A member is listed apart from its type:
//
//	pkg net/http, type Server struct, Protocols *Protocols #67814
//	pkg sync/atomic, method (*Pointer[$0]) Load() *$0
func apiName(line string) string {
	about, ok := strings.CutPrefix(line, "pkg ")
	path, about, ok2 := strings.Cut(about, ", ")
	if !ok || !ok2 {
		return ""
	}
	path, _, _ = strings.Cut(path, " (") // a platform
	kind, about, _ := strings.Cut(about, " ")
	switch kind {
	case "method":
		receiver, about, _ := strings.Cut(strings.TrimLeft(about, "(*"), ") ")
		return path + "." + word(receiver) + "." + word(about)
	case "type":
		name := word(about)
		for _, form := range []string{" struct, ", " interface, "} {
			if _, member, ok := strings.Cut(about, form); ok {
				return path + "." + name + "." + word(member)
			}
		}
		return path + "." + name
	default:
		return path + "." + word(about)
	}
}

// word is the identifier that a text begins with.
func word(s string) string {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return s[:i]
		}
	}
	return s
}

// readAPIs returns the minor version of Go that each exported name of the standard library came with.
func readAPIs(t *testing.T) map[string]int {
	t.Helper()
	dir := filepath.Join(goroot(t), "api")
	lists, err := filepath.Glob(filepath.Join(dir, "go1*.txt"))
	if err != nil || len(lists) == 0 {
		t.Skipf("this Go comes without its lists of names (%s)", dir)
	}
	apis := map[string]int{}
	for _, list := range lists {
		base := strings.TrimSuffix(filepath.Base(list), ".txt")
		version := 0
		if base != "go1" {
			if version, err = strconv.Atoi(strings.TrimPrefix(base, "go1.")); err != nil {
				t.Fatalf("%s: %v", list, err)
			}
		}
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			name := apiName(strings.TrimSpace(line))
			if name == "" {
				continue
			}
			if since, ok := apis[name]; !ok || version < since {
				apis[name] = version
			}
		}
	}
	return apis
}

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// goLine is the minor version that go.mod promises.
func goLine(t *testing.T) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^go 1\.(\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil {
		t.Fatal("go.mod has no go line")
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
