package house_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// The enums of the core, so that each can be written and read here. One that is not
// listed fails the test.
var enums = map[string]any{
	"strategies.Class":       strategies.Class(0),
	"strategies.Strategy":    strategies.Strategy(0),
	"strategies.Level":       strategies.Level(0),
	"strategies.State":       strategies.State(0),
	"strategies.Action":      strategies.Action(0),
	"strategies.Allowance":   strategies.Allowance(0),
	"strategies.Effect":      strategies.Effect(0),
	"strategies.EffectState": strategies.EffectState(0),
	"strategies.ChangeKind":  strategies.ChangeKind(0),
	"strategies.Priority":    strategies.Priority(0),
	"strategies.Memory":      strategies.Memory(0),
	"strategies.FleetKind":   strategies.FleetKind(0),
	"middleware.Stage":       middleware.Stage(0),
	"middleware.EventKind":   middleware.EventKind(0),
	"middleware.Drift":       middleware.Drift(0),
}

// What no program writes down.
var wordless = map[string]string{
	"middlewaretest.Liberty": "an argument of Conform",
	"middlewaretest.Call":    "what a test looks at",
	"strategies.Resumption":  "handed to code of ours; what is kept of it is a record of its own",
}

// The errors of the core, and each struct that reports one.
var (
	errSecret = errors.New("a cause with <text> of its own")
	failures  = map[string]error{
		"strategies.AgentError":         &strategies.AgentError{Err: errSecret},
		"strategies.AnswerError":        &strategies.AnswerError{Provider: "openai", Reason: "empty", Answer: struct{ Secret string }{"the answer"}, Err: errSecret},
		"strategies.ConfigError":        &strategies.ConfigError{Setting: "Retry", Problem: "is odd", Fix: "mend it"},
		"strategies.DriftError":         &strategies.DriftError{},
		"strategies.FullError":          &strategies.FullError{Err: errSecret},
		"strategies.InterventionError":  &strategies.InterventionError{Incident: "i", Problem: "p", Err: errSecret},
		"strategies.InvalidAnswerError": &strategies.InvalidAnswerError{Err: errSecret},
		"strategies.JournalError":       &strategies.JournalError{Err: errSecret},
		"strategies.LimitError":         &strategies.LimitError{},
		"strategies.MemberError":        &strategies.MemberError{Member: "m", Err: errSecret},
		"strategies.NoMemberError":      &strategies.NoMemberError{},
		"strategies.OpenError":          &strategies.OpenError{Breaker: "b", State: strategies.StateOpen, Cause: errSecret},
		"strategies.PaceError":          &strategies.PaceError{Err: errSecret},
		"strategies.PanicError":         &strategies.PanicError{Value: errSecret},
		"strategies.PendingError":       &strategies.PendingError{Ticket: "t", Agent: "a"},
		"strategies.SharedError":        &strategies.SharedError{Replica: "r", What: "was told to wait"},
		"strategies.StallError":         &strategies.StallError{Err: errSecret},
		"strategies.StoreError":         &strategies.StoreError{Op: "get", Key: "k", Err: strategies.ErrNotFound, Cause: errSecret},
		"strategies.StreamError":        &strategies.StreamError{Err: errSecret},
		"strategies.StreamLimitError":   &strategies.StreamLimitError{},
		"strategies.TimeoutError":       &strategies.TimeoutError{Limit: "timeout", Err: errSecret},
		"strategies.UncertainError":     &strategies.UncertainError{Err: errSecret},
		"middleware.RenewError":         &middleware.RenewError{Refusal: errSecret, Err: errSecret},
		"middleware.UndoError":          &middleware.UndoError{Err: errSecret},
		"httphint.Error":                &httphint.Error{Err: errSecret},
		"inbox.ClosedError":             &inbox.ClosedError{Entry: inbox.Entry{ID: "i", State: inbox.StateExpired}},
		"inbox.ClaimedError":            &inbox.ClaimedError{Entry: inbox.Entry{ID: "i", Claim: &inbox.Claim{By: "ada"}}},
		// It has fields of its own in JSON, with the texts of the errors in it.
		"strategies.RecoveryError": &strategies.RecoveryError{Agent: "a", Attempts: []strategies.Attempt{{Agent: "a", Err: errSecret}}, Cause: errSecret},
	}
	reports = map[string]any{
		"strategies.Attempt":       strategies.Attempt{Err: errSecret},
		"strategies.BreakerChange": strategies.BreakerChange{OpenFor: 1, Cause: errSecret},
		"strategies.Change":        strategies.Change{Kind: strategies.ChangeLost, Err: errSecret},
		"strategies.FleetChange":   strategies.FleetChange{Kind: strategies.FleetAway, Err: errSecret},
		"strategies.FleetHealth":   strategies.FleetHealth{Replica: "r", Err: errSecret},
		"middleware.Event":         middleware.Event{Kind: middleware.EventFailed, Delay: 1, Err: errSecret},
		"middleware.Failure":       middleware.Failure{Err: errSecret},
		"middleware.Outcome":       middleware.Outcome[string]{Err: errSecret, Failed: []strategies.Attempt{{Err: errSecret}}},
		"middleware.StreamOutcome": middleware.StreamOutcome{Err: errSecret},
	}
)

// Each enum is a word in JSON that is read back, and no two are the same word.
func TestEveryEnumHasATextThatReadsBack(t *testing.T) {
	found := map[string]bool{}
	for _, p := range checked(t) {
		scope := p.Scope()
		for _, name := range scope.Names() {
			enum, ok := scope.Lookup(name).(*types.TypeName)
			if !ok || !enum.Exported() || enum.IsAlias() {
				continue
			}
			if basic, ok := enum.Type().Underlying().(*types.Basic); !ok || basic.Info()&types.IsInteger == 0 {
				continue
			}
			var values []int64
			for _, other := range scope.Names() {
				if c, ok := scope.Lookup(other).(*types.Const); ok && c.Exported() && types.Identical(c.Type(), enum.Type()) {
					v, _ := constant.Int64Val(c.Val())
					values = append(values, v)
				}
			}
			full := p.Name() + "." + name
			if len(values) == 0 || wordless[full] != "" {
				continue
			}
			found[full] = true
			zero, ok := enums[full]
			if !ok {
				t.Errorf("%s is not listed here: give it MarshalText and UnmarshalText, and list it", full)
				continue
			}
			readsBack(t, full, reflect.TypeOf(zero), values)
		}
	}
	for full := range enums {
		if !found[full] {
			t.Errorf("%s is listed, and is no enum any more", full)
		}
	}
}

func readsBack(t *testing.T, full string, kind reflect.Type, values []int64) {
	t.Helper()
	words := map[string]int64{}
	for _, v := range values {
		in := reflect.New(kind)
		in.Elem().Set(reflect.ValueOf(v).Convert(kind))
		writer, writes := in.Elem().Interface().(encoding.TextMarshaler)
		out := reflect.New(kind)
		reader, reads := out.Interface().(encoding.TextUnmarshaler)
		named, names := in.Elem().Interface().(fmt.Stringer)
		if !writes || !reads || !names {
			t.Errorf("%s has no String, MarshalText and UnmarshalText", full)
			return
		}
		text, err := writer.MarshalText()
		if err != nil || string(text) != named.String() || len(text) == 0 {
			t.Errorf("%s %d is written as %q, %v, and its String is %q", full, v, text, err, named)
			continue
		}
		if other, taken := words[string(text)]; taken && other != v {
			t.Errorf("%s %d and %d are both %q", full, v, other, text)
		}
		words[string(text)] = v
		if err := reader.UnmarshalText(text); err != nil || out.Elem().Interface() != in.Elem().Interface() {
			t.Errorf("%s: %q is read as %v, %v", full, text, out.Elem(), err)
		}
		for _, none := range []string{"", "unknown", "0", "\x00"} {
			if err := reader.UnmarshalText([]byte(none)); err == nil || out.Elem().Interface() != in.Elem().Interface() {
				t.Errorf("%s: %q is read as %v, %v", full, none, out.Elem(), err)
			}
		}
	}
}

// In JSON an error is its text, alone and wherever it is a part of what we report.
func TestEveryErrorIsItsTextInJSON(t *testing.T) {
	wrong := types.Universe.Lookup("error").Type()
	known := map[string]bool{}
	for _, p := range checked(t) {
		for _, name := range p.Scope().Names() {
			named, ok := p.Scope().Lookup(name).(*types.TypeName)
			if !ok || !named.Exported() {
				continue
			}
			s, ok := named.Type().Underlying().(*types.Struct)
			if !ok {
				continue
			}
			full := p.Name() + "." + name
			isError := types.Implements(types.NewPointer(named.Type()), wrong.Underlying().(*types.Interface))
			holds := false
			for i := range s.NumFields() {
				holds = holds || s.Field(i).Exported() && types.Identical(s.Field(i).Type(), wrong)
			}
			switch {
			case isError && failures[full] == nil:
				t.Errorf("%s is an error that is not listed here: give it MarshalText, and list it", full)
			case !isError && holds && reports[full] == nil && wordless[full] == "":
				t.Errorf("%s holds an error and is not listed here: give it MarshalJSON, and list it", full)
			}
			known[full] = isError || holds
		}
	}
	for full, err := range failures {
		if !known[full] {
			t.Errorf("%s is listed, and is no error", full)
		}
		text, problem := json.Marshal(map[string]any{"it": err})
		if problem != nil {
			t.Errorf("%s: %v", full, problem)
			continue
		}
		var back struct{ It any }
		if err := json.Unmarshal(text, &back); err != nil {
			t.Errorf("%s: %v", full, err)
		}
		if full == "strategies.RecoveryError" {
			if got := string(text); strings.Contains(got, "{}") || strings.Count(got, "of its own") != 2 {
				t.Errorf("%s: %s", full, got)
			}
			continue
		}
		if back.It != err.Error() {
			t.Errorf("%s is written as %s, want its text, %q", full, text, err)
		}
	}
	for _, full := range slices.Sorted(maps.Keys(reports)) {
		text, err := json.Marshal(reports[full])
		if got := string(text); err != nil || strings.Contains(got, "{}") || !strings.Contains(got, "of its own") {
			t.Errorf("%s: %s, %v", full, got, err)
		}
	}
}

// checked type-checks the public packages of the core.
func checked(t *testing.T) (all []*types.Package) {
	t.Helper()
	packages := listed(t, root, "./...")
	for _, path := range slices.Sorted(maps.Keys(packages)) {
		p := packages[path]
		if p.Module == nil || !p.Module.Main || strings.Contains(path, "/internal/") {
			continue
		}
		files := token.NewFileSet()
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		config := types.Config{Importer: importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
			dep, ok := packages[p.resolve(path)]
			if !ok || dep.Export == "" {
				return nil, fmt.Errorf("nothing is known of %s", path)
			}
			return os.Open(dep.Export)
		})}
		checked, err := config.Check(path, files, parsed, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, checked)
	}
	if len(all) < 5 {
		t.Fatalf("%d packages: the walk started in the wrong place", len(all))
	}
	return all
}
