package policy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Line, Column int    // 0: of the file as a whole
	Path         string // such as agents.narrator.timeout
	Text         string // what is wrong, and what to do
}

// Error is all that is wrong with a file.
type Error struct {
	File     string
	Problems []Problem // in the order of the lines
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		at := e.File
		if p.Line > 0 {
			at += ":" + strconv.Itoa(p.Line)
		}
		if p.Column > 0 {
			at += ":" + strconv.Itoa(p.Column)
		}
		lines[i] = strings.Join(slices.DeleteFunc([]string{at, p.Path, p.Text}, func(s string) bool { return s == "" }), ": ")
	}
	return strings.Join(lines, "\n")
}

// Recipe is what a file says of one agent.
type Recipe struct {
	Retry          *strategies.Retry
	CircuitBreaker *strategies.Breaker
	Timeout        *time.Duration
	Deadline       *time.Duration
	Pace           *strategies.Pace
	Bulkhead       *strategies.Bulkhead
	Hedge          *strategies.Hedge
	Ladder         *strategies.Ladder
	UsageLimits    *strategies.UsageLimits
	Keys           *middleware.Keys // for Builder.By
	// Classes are changes of rows of the table of classes.
	Classes map[strategies.Class]Row
}

// Row is what is changed of a row of the table of classes: see [strategies.Verdict].
type Row struct {
	Retry, Fallback, Degrade, Intervene, Trips *bool
	MaxRetries                                 *int
}

// Settings are those of the recipe for a chain. Each time they are others, and the
// strategies the same.
func (r *Recipe) Settings() *middleware.Settings {
	s := &middleware.Settings{}
	if r.Retry != nil {
		s.Retry(*r.Retry)
	}
	if r.CircuitBreaker != nil {
		s.CircuitBreaker(r.CircuitBreaker)
	}
	if r.Timeout != nil {
		s.Timeout(*r.Timeout)
	}
	if r.Deadline != nil {
		s.Deadline(*r.Deadline)
	}
	if r.Pace != nil {
		s.Pace(r.Pace)
	}
	if r.Bulkhead != nil {
		s.Bulkhead(r.Bulkhead)
	}
	if r.Hedge != nil {
		s.Hedge(r.Hedge)
	}
	if r.Ladder != nil {
		s.Ladder(r.Ladder)
	}
	if r.UsageLimits != nil {
		s.UsageLimits(*r.UsageLimits)
	}
	if c := r.classifier(); c != nil {
		s.Classifier(c)
	}
	return s
}

func (r *Recipe) classifier() *strategies.Classifier {
	if len(r.Classes) == 0 {
		return nil
	}
	c := &strategies.Classifier{Verdicts: map[strategies.Class]strategies.Verdict{}}
	for class, row := range r.Classes {
		v := strategies.VerdictOf(class)
		for to, is := range map[*bool]*bool{&v.Retry: row.Retry, &v.Fallback: row.Fallback, &v.Degrade: row.Degrade, &v.Intervene: row.Intervene, &v.Trips: row.Trips} {
			if is != nil {
				*to = *is
			}
		}
		if row.MaxRetries != nil {
			v.MaxRetries = *row.MaxRetries
		}
		c.Verdicts[class] = v
	}
	return c
}

// Policy is a file that was read. It does not change.
type Policy struct {
	file    string
	shadow  bool
	recipes map[string]*Recipe
	shared  map[string]any // strategies that several agents share, by kind and name

	rest   *yaml.Node // what holds for agents that are not named; nil: nothing
	mu     sync.Mutex
	others map[string]*Recipe // of those that were asked for
}

// Agents are the names that the file has recipes for, sorted.
func (p *Policy) Agents() []string { return slices.Sorted(maps.Keys(p.recipes)) }

// Recipe is what the file says of an agent: of one that it does not name, the defaults.
// It is the same each time, so those who ask for one agent share its strategies, and
// others do not. It must not be changed.
func (p *Policy) Recipe(agent string) *Recipe {
	if r, ok := p.recipes[agent]; ok {
		return r
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.others[agent]
	if !ok {
		if r = (&Recipe{}); p.rest != nil {
			r = newDecoder().recipe(p, "defaults", p.rest, nil, p.rest)
		}
		if p.others == nil {
			p.others = map[string]*Recipe{}
		}
		p.others[agent] = r
	}
	return r
}

// Shadow says whether the file is to be judged by, and not to be acted on.
func (p *Policy) Shadow() bool { return p.shadow }

const mostBytes = 1 << 20

var syntax = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// Parse reads a policy in YAML or JSON. file is its name, for errors, which are an
// [Error] with all that is wrong.
func Parse(file string, data []byte) (*Policy, error) {
	fail := func(problems ...Problem) (*Policy, error) { return nil, &Error{file, problems} }
	if len(data) > mostBytes {
		return fail(Problem{Text: fmt.Sprintf("is larger than %d bytes", mostBytes)})
	}
	var root, more yaml.Node
	reader := yaml.NewDecoder(bytes.NewReader(untabbed(data)))
	if err := reader.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return fail(Problem{Text: "is empty: write agents, and what holds for them"})
		}
		p := Problem{Text: err.Error()}
		if m := syntax.FindStringSubmatch(err.Error()); m != nil {
			p.Line, _ = strconv.Atoi(m[1])
			p.Text = m[2]
		}
		return fail(p)
	}
	if reader.Decode(&more) == nil {
		return fail(Problem{Line: more.Line, Column: more.Column, Text: "is a second document: write one in a file"})
	}
	d := newDecoder()
	top := resolved(&root)
	if top.Kind == yaml.DocumentNode && len(top.Content) > 0 {
		top = resolved(top.Content[0])
	}
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return fail(Problem{Text: "is empty: write agents, and what holds for them"})
	}
	p := d.policy(file, top)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return fail(slices.CompactFunc(d.problems, func(a, b Problem) bool { return a.Line == b.Line && a.Column == b.Column && a.Text == b.Text })...)
	}
	return p, nil
}

// untabbed makes spaces of the tabs that indent JSON, which YAML would refuse.
func untabbed(data []byte) []byte {
	if text := bytes.TrimSpace(data); len(text) == 0 || text[0] != '{' {
		return data
	}
	data = bytes.Clone(data)
	quoted := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '\t' && !quoted:
			data[i] = ' '
		}
	}
	return data
}

func (d *decoder) policy(file string, top *yaml.Node) *Policy {
	p := &Policy{file: file, recipes: map[string]*Recipe{}, shared: map[string]any{}}
	var defaults, agents *yaml.Node
	version := 1
	d.pairs(top, "", func(key, value *yaml.Node) {
		switch key.Value {
		case "version":
			d.into(reflect.ValueOf(&version).Elem(), value, "version")
			if version != 1 {
				d.wrong(resolved(value), "version", "is %d: this reads version 1", version)
			}
		case "shadow":
			d.into(reflect.ValueOf(&p.shadow).Elem(), value, "shadow")
		case "defaults":
			defaults = resolved(value)
		case "agents":
			agents = resolved(value)
		default:
			d.wrong(key, "", "has no field %q%s", key.Value, didYouMean(key.Value, []string{"agents", "defaults", "shadow", "version"}))
		}
	})
	names := map[string]*yaml.Node{}
	if agents != nil {
		d.pairs(agents, "agents", func(key, value *yaml.Node) { names[key.Value] = resolved(value) })
	} else if len(d.problems) == 0 && defaults == nil {
		d.wrong(top, "", "has neither agents nor defaults: write one of them")
	}
	if d.recipe(p, "defaults", defaults, nil, top); defaults != nil && !off(defaults) {
		p.rest = defaults
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		p.recipes[name] = d.recipe(p, join("agents", name), defaults, names[name], names[name])
	}
	return p
}

// recipe is what holds for an agent: the defaults, and then what is written for it.
func (d *decoder) recipe(p *Policy, path string, defaults, own, at *yaml.Node) *Recipe {
	r := &Recipe{}
	before := len(d.problems)
	clear(d.budgets)
	if defaults != nil && !off(defaults) {
		d.into(reflect.ValueOf(r).Elem(), defaults, "defaults")
		if name, ok := d.budgets["defaults.retry.budget"]; ok {
			d.budgets[path+".retry.budget"] = name
		}
	}
	if own != nil && !off(own) {
		d.into(reflect.ValueOf(r).Elem(), own, path)
	}
	if len(d.problems) > before {
		return r
	}
	d.share(p, r, path, at)
	d.check(r, path, at)
	return r
}

// share gives agents that name the same thing the same one.
func (d *decoder) share(p *Policy, r *Recipe, path string, at *yaml.Node) {
	if r.CircuitBreaker != nil {
		r.CircuitBreaker = shared(d, p, "circuit_breaker", r.CircuitBreaker.Name, r.CircuitBreaker, path, at)
	}
	if r.Pace != nil {
		r.Pace = shared(d, p, "pace", r.Pace.Name, r.Pace, path, at)
	}
	if r.Bulkhead != nil {
		r.Bulkhead = shared(d, p, "bulkhead", r.Bulkhead.Name, r.Bulkhead, path, at)
	}
	if r.Retry != nil && r.Retry.Budget != nil {
		r.Retry.Budget = shared(d, p, "retry.budget", d.budgets[path+".retry.budget"], r.Retry.Budget, path, at)
	}
}

func shared[S any](d *decoder, p *Policy, kind, name string, s *S, path string, at *yaml.Node) *S {
	if name == "" {
		return s
	}
	first, ok := p.shared[kind+" "+name].(*S)
	if !ok {
		p.shared[kind+" "+name] = s
		return s
	}
	if !alike(first, s) {
		n := d.at[join(path, kind)]
		if n == nil {
			n = at
		}
		d.wrong(n, join(path, kind), "is shared as %q, and another agent has it with other settings: write them once, under defaults", name)
	}
	return first
}

// alike says whether two strategies have the same settings.
func alike(a, b any) bool {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		if x.Type().Field(i).IsExported() && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// sections say where a setting of Go's stands in a recipe.
var sections = map[string]string{
	"Breaker": "circuit_breaker", "Retry": "retry", "Budget": "retry.budget", "Pace": "pace", "Bulkhead": "bulkhead", "Hedge": "hedge",
	"Ladder": "ladder", "UsageLimits": "usage_limits", "Keys": "keys", "Timeout": "timeout", "Deadline": "deadline", "Delays": "retry.backoff", "Exponential": "retry.backoff",
}

// check says what Build would say, and where.
func (d *decoder) check(r *Recipe, path string, at *yaml.Node) {
	for _, problem := range flat(chain("agent", r).Problems()) {
		kind, name, _ := strings.Cut(problem.Setting, ".")
		kind, _, _ = strings.Cut(kind, "[")
		where := join(path, sections[kind])
		n := d.at[join(where, snake(name))]
		for _, other := range []string{where, join("defaults", join(sections[kind], snake(name))), join("defaults", sections[kind])} {
			if n == nil && sections[kind] != "" {
				n = d.at[other]
			}
		}
		if n == nil {
			n = at
		}
		text := problem.Problem
		if problem.Fix != "" {
			text += ": " + problem.Fix
		}
		d.wrong(n, path, "%s %s", problem.Setting, text)
	}
}

// chain is one with the recipe's settings, for what Build and Explain say of them.
func chain(name string, r *Recipe) *middleware.Builder[string, string] {
	b := middleware.Wrap(middleware.Func(answer)).Named(name).With(r.Settings())
	if r.Ladder != nil {
		b.Degrade(strategies.LevelReduced, middleware.Func(answer))
	}
	if r.Keys != nil {
		b.By(func(string) string { return "" }, *r.Keys)
	}
	return b
}

// flat are the problems that an error joins.
func flat(err error) (all []*strategies.ConfigError) {
	switch e := err.(type) {
	case nil:
	case *strategies.ConfigError:
		all = append(all, e)
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			all = append(all, flat(each)...)
		}
	default:
		all = append(all, &strategies.ConfigError{Problem: err.Error()})
	}
	return all
}

// Explain says what a chain with an agent's recipe does; who stands in for it is not in
// the file.
func (p *Policy) Explain(agent string) (middleware.Explanation, error) {
	g, err := chain(agent, p.Recipe(agent)).Build()
	if err != nil {
		return middleware.Explanation{}, err
	}
	return g.Explain(), nil
}

func answer(context.Context, string) (string, error) { return "", nil }
