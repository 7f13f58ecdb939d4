package house_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The documentation's names of the core must be right wherever they stand, those of
// the adapters in running text: in a block an adapter's name may be its framework's.
var (
	corePackages    = []string{"middleware", "strategies", "roles", "middleware/inbox", "middleware/zaplog", "middleware/middlewaretest"}
	adapterPackages = []string{"httphint", "openai", "anthropic", "genai", "grpc", "mcp", "eino", "adk", "genkit", "otel", "translate"}
	storePackages   = []string{"memory", "storetest", "nats", "redis", "postgres"}
)

// What the documentation calls by its Go name is there: packages' names, and the
// methods and fields of what they are.
func TestDocsNameWhatExists(t *testing.T) {
	core, all, seen := library{}, library{}, 0
	for _, dir := range corePackages {
		core[path.Base(dir)] = exports(t, dir)
		all[path.Base(dir)] = core[path.Base(dir)]
	}
	for _, adapter := range adapterPackages {
		all[adapter] = exports(t, "middleware/adapters/"+adapter)
	}
	for _, store := range storePackages {
		all[store] = exports(t, "strategies/stores/"+store)
	}
	for name, page := range pages(t) {
		if name == "CHANGELOG.md" { // which names what was
			continue
		}
		problems, n := misnamed(page, core, all)
		for _, problem := range problems {
			t.Errorf("%s: %s", name, problem)
		}
		seen += n
	}
	if seen < 150 {
		t.Errorf("%d names were looked up, there should be at least 150", seen)
	}
}

// A library is its packages' exported names, by the last part of their paths.
type library map[string]map[string]named

// named is an exported name: of a type with its members, or of what has a type.
type named struct {
	isType  bool
	members map[string]string // method or field -> the type it has, of its own package; "" otherwise
	has     string            // the type of a function's first result, of its own package
}

var span = regexp.MustCompile("`[^`\n]+`")

// misnamed returns what a page calls by a name that is not there, and how many
// names were looked up.
func misnamed(page string, core, all library) (problems []string, seen int) {
	say := func(format string, args ...any) {
		if problem := fmt.Sprintf(format, args...); !slices.Contains(problems, problem) {
			problems = append(problems, problem)
		}
	}
	plain := func(text string, in library) {
		for _, m := range dotted.FindAllStringSubmatch(text, -1) {
			pkg, ok := in[m[1]]
			if !ok {
				continue
			}
			seen++
			n, ok := pkg[m[2]]
			if !ok {
				say("names %s.%s, which is not there", m[1], m[2])
			} else if m[3] != "" && n.isType {
				if _, ok := n.members[m[3]]; !ok {
					say("names %s.%s.%s, which is not there", m[1], m[2], m[3])
				}
			}
		}
	}
	plain(page, core)
	for _, m := range span.FindAllString(withoutBlocks(page), -1) {
		text := strings.Trim(m, "`")
		plain(text, all)
		e := &evaluation{all: all, say: say, seen: &seen}
		if expr, err := parser.ParseExpr(strings.ReplaceAll(text, "…", "")); err == nil {
			e.of(expr)
		}
	}
	return problems, seen
}

var dotted = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)

// evaluation follows a Go expression as far as its types are ours.
type evaluation struct {
	all  library
	say  func(format string, args ...any)
	seen *int
}

// owned is a type of a package of ours; the zero value is one that is not known.
type owned struct{ pkg, name string }

// of returns the type of an expression, and looks up what is called in it.
func (e *evaluation) of(expr ast.Expr) owned {
	switch x := expr.(type) {
	case *ast.ParenExpr:
		return e.of(x.X)
	case *ast.StarExpr:
		return e.of(x.X)
	case *ast.UnaryExpr:
		return e.of(x.X)
	case *ast.IndexExpr:
		return e.of(x.X)
	case *ast.IndexListExpr:
		return e.of(x.X)
	case *ast.CallExpr:
		for _, arg := range x.Args {
			e.of(arg)
		}
		return e.of(x.Fun)
	case *ast.SelectorExpr:
		if id, ok := x.X.(*ast.Ident); ok && e.all[id.Name] != nil { // dotted has looked it up
			if n := e.all[id.Name][x.Sel.Name]; n.isType {
				return owned{id.Name, x.Sel.Name}
			} else if n.has != "" {
				return owned{id.Name, n.has}
			}
			return owned{}
		}
		return e.member(e.of(x.X), x.Sel.Name)
	case *ast.CompositeLit:
		t := e.literal(x.Type)
		for _, elt := range x.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok {
					e.member(t, key.Name)
				}
				e.of(kv.Value)
			} else if field, ok := elt.(*ast.Ident); ok && field.IsExported() { // Breaker{Failures, OpenFor}
				e.member(t, field.Name)
			}
		}
		return t
	}
	return owned{}
}

// literal is the type of a composite literal, whose package may be left out.
func (e *evaluation) literal(expr ast.Expr) owned {
	if id, ok := expr.(*ast.Ident); ok {
		for _, pkg := range []string{"strategies", "middleware", "roles", "inbox"} {
			if e.all[pkg][id.Name].isType {
				return owned{pkg, id.Name}
			}
		}
		return owned{}
	}
	if expr == nil {
		return owned{}
	}
	return e.of(expr)
}

func (e *evaluation) member(t owned, name string) owned {
	n, ok := e.all[t.pkg][t.name]
	if !ok || !n.isType {
		return owned{}
	}
	*e.seen++
	has, ok := n.members[name]
	switch {
	case !ok:
		e.say("names %s.%s.%s, which is not there", t.pkg, t.name, name)
		return owned{}
	case has == "":
		return owned{}
	}
	return owned{t.pkg, has}
}

// exports reads the exported names of a package.
func exports(t *testing.T, dir string) map[string]named {
	t.Helper()
	all := map[string]named{}
	for _, f := range parsed(t, dir) {
		declare(all, f)
	}
	return all
}

func declare(all map[string]named, f *ast.File) {
	typed := func(name string) named {
		n, ok := all[name]
		if !ok || n.members == nil {
			n.members = map[string]string{}
		}
		return n
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			has := ""
			if r := d.Type.Results; r != nil && len(r.List) > 0 {
				has = base(r.List[0].Type)
			}
			if d.Recv == nil {
				all[d.Name.Name] = named{has: has}
			} else {
				on := typed(base(d.Recv.List[0].Type))
				on.members[d.Name.Name] = has
				all[base(d.Recv.List[0].Type)] = on
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					n := typed(s.Name.Name)
					n.isType = true
					members(n.members, s.Type)
					all[s.Name.Name] = n
				case *ast.ValueSpec:
					for _, id := range s.Names {
						all[id.Name] = named{has: base(s.Type)}
					}
				}
			}
		}
	}
}

// members notes the fields of a struct and the methods of an interface.
func members(into map[string]string, expr ast.Expr) {
	var fields *ast.FieldList
	switch x := expr.(type) {
	case *ast.StructType:
		fields = x.Fields
	case *ast.InterfaceType:
		fields = x.Methods
	default:
		return
	}
	for _, f := range fields.List {
		for _, id := range f.Names {
			into[id.Name] = base(f.Type)
		}
		if len(f.Names) == 0 {
			into[base(f.Type)] = base(f.Type)
		}
	}
}

// base is the name of a type of the package itself, without * and type arguments.
func base(expr ast.Expr) string {
	switch x := expr.(type) {
	case *ast.Ident:
		if x.IsExported() {
			return x.Name
		}
	case *ast.StarExpr:
		return base(x.X)
	case *ast.IndexExpr:
		return base(x.X)
	case *ast.IndexListExpr:
		return base(x.X)
	}
	return ""
}

func TestMisnamesAreSeen(t *testing.T) {
	src := `package middleware
type Builder[Req, Resp any] struct{}
func Wrap[Req, Resp any](r Req) *Builder[Req, Resp] { return nil }
func (b *Builder[Req, Resp]) Retry(p Retry) *Builder[Req, Resp] { return b }
func (b *Builder[Req, Resp]) Build() (*Guarded[Req, Resp], error) { return nil, nil }
type Guarded[Req, Resp any] struct{}
func (g *Guarded[Req, Resp]) Health() Health { return Health{} }
type Health struct { Breaker string; Failures, Spent int }
const StageRetry = 1
type Observer interface { Observe() }
`
	f, err := parser.ParseFile(token.NewFileSet(), "a.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	core, adapter := map[string]named{}, map[string]named{"Says": {}}
	declare(core, f)
	for name, tc := range map[string]struct{ page, want string }{
		"a function":                       {"`middleware.Wrap(agent)`", ""},
		"a function that is not there":     {"`middleware.Wrapped(agent)`", "names middleware.Wrapped"},
		"a constant that is not there":     {"`middleware.StageTry`", "names middleware.StageTry"},
		"in running text, without marks":   {"see middleware.Wrapped", "names middleware.Wrapped"},
		"in a block":                       {"```go\nmiddleware.Wrapped(agent)\n```", "names middleware.Wrapped"},
		"a method":                         {"`middleware.Builder.Retry`", ""},
		"a method that is not there":       {"`middleware.Builder.Retries`", "middleware.Builder.Retries"},
		"a method of an interface":         {"`middleware.Observer.Observe`", ""},
		"one that the interface lacks":     {"`middleware.Observer.Watch`", "middleware.Observer.Watch"},
		"a chain of calls":                 {"`middleware.Wrap(agent).Retry(x).Build()`", ""},
		"a call in a chain that is none":   {"`middleware.Wrap(agent).Retry(x).Bild()`", "names middleware.Builder.Bild"},
		"what a chain comes to":            {"`middleware.Wrap(agent).Build().Health().Breaker`", ""},
		"a field that it does not have":    {"`middleware.Wrap(agent).Build().Health().Open`", "names middleware.Health.Open"},
		"an argument":                      {"`f(middleware.Health{Spend: 1})`", "names middleware.Health.Spend"},
		"a field of a literal":             {"`&middleware.Health{Failures: 3}`", ""},
		"one that the type lacks":          {"`&middleware.Health{Failed: 3}`", "names middleware.Health.Failed"},
		"a literal without its package":    {"`Health{Failed: 3}`", "names middleware.Health.Failed"},
		"a literal with fields alone":      {"`Health{Spent, Failed}`", "names middleware.Health.Failed"},
		"a literal of a stranger":          {"`Settings{Failed: 3}`", ""},
		"a stranger's package":             {"`gobreaker.Settings{}` and `retry.Dont`", ""},
		"an adapter":                       {"`openai.Says`", ""},
		"an adapter's name that is not":    {"`openai.Said`", "names openai.Said"},
		"a framework's name in a block":    {"```go\nopenai.NewClient()\n```", ""},
		"an ellipsis does not hide it":     {"`middleware.Wrapped(…)`", "names middleware.Wrapped"},
		"what is no expression is read on": {"`err := middleware.Wrapped(`", "names middleware.Wrapped"},
	} {
		t.Run(name, func(t *testing.T) {
			problems, _ := misnamed(tc.page, library{"middleware": core}, library{"middleware": core, "openai": adapter})
			onlyProblem(t, problems, tc.want)
		})
	}
}
