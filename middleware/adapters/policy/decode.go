package policy

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-go/understudy/strategies"
)

// decoder reads nodes into the settings themselves, by their names in snake case: a
// setting that is added to the library is one that a file can have.
type decoder struct {
	problems []Problem
	at       map[string]*yaml.Node // where each path stands
	budgets  map[string]string     // the names of shared budgets, which have none themselves
}

func newDecoder() *decoder {
	return &decoder{at: map[string]*yaml.Node{}, budgets: map[string]string{}}
}

func (d *decoder) wrong(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{Line: n.Line, Column: n.Column, Path: path, Text: fmt.Sprintf(format, args...)})
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	backoffType  = reflect.TypeFor[strategies.Backoff]()
	moneyType    = reflect.TypeFor[money]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	budgetType   = reflect.TypeFor[strategies.Budget]()
)

// money is written in currency units, and kept in millionths.
type money int64

// snake is the name that a Go name has in a file.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// field is one that a file can have.
type field struct {
	name string
	at   int
	is   reflect.Type
}

// fieldsOf are the fields of a struct, as a file names them. A strategy's Name is what
// it is shared under.
func fieldsOf(t reflect.Type) (all []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case !f.IsExported():
		case f.Name == "Name":
			all = append(all, field{"share", i, f.Type})
		case f.Name == "Money":
			all = append(all, field{"money", i, moneyType})
		default:
			all = append(all, field{snake(f.Name), i, f.Type})
		}
	}
	if t == budgetType {
		all = append(all, field{"share", -1, reflect.TypeFor[string]()})
	}
	return all
}

func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func off(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!null" || n.Value == "off" || n.Value == "false")
}

// into reads a node into a value.
func (d *decoder) into(v reflect.Value, n *yaml.Node, path string) {
	if n = resolved(n); d.at != nil {
		d.at[path] = n
	}
	switch t := v.Type(); {
	case t == durationType:
		d.duration(v, n, path)
	case t == backoffType:
		d.backoff(v, n, path)
	case v.CanAddr() && v.Addr().Type().Implements(textType):
		if n.Kind != yaml.ScalarNode {
			d.wrong(n, path, "is %s: write a word", kindOf(n))
		} else if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)); err != nil {
			d.wrong(n, path, "%s", strings.TrimPrefix(err.Error(), "understudy: "))
		}
	case t.Kind() == reflect.Pointer:
		switch {
		case off(n):
			v.SetZero()
		case n.Kind != yaml.MappingNode && t.Elem().Kind() == reflect.Struct:
			d.wrong(n, path, "is %s: write its settings, or off", kindOf(n))
		default:
			if v.IsNil() {
				v.Set(reflect.New(t.Elem()))
			}
			d.into(v.Elem(), n, path)
		}
	case t.Kind() == reflect.Struct:
		d.object(v, n, path)
	case t.Kind() == reflect.Slice:
		d.list(v, n, path)
	case t.Kind() == reflect.Map:
		d.dictionary(v, n, path)
	default:
		d.scalar(v, n, path)
	}
}

// pairs goes through a mapping, and refuses what stands in it twice.
func (d *decoder) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "is %s: write fields and their values", kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolved(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			d.wrong(key, path, "has a field whose name is %s", kindOf(key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.wrong(key, join(path, key.Value), "is set twice: first in line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, n.Content[i+1])
	}
}

func (d *decoder) object(v reflect.Value, n *yaml.Node, path string) {
	fields := fieldsOf(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			var names []string
			for _, f := range fields {
				names = append(names, f.name)
			}
			d.wrong(key, path, "has no field %q%s", key.Value, didYouMean(key.Value, names))
			return
		}
		f, at := fields[i], join(path, key.Value)
		switch {
		case f.at < 0:
			var name string
			d.into(reflect.ValueOf(&name).Elem(), value, at)
			d.budgets[path] = name
		case f.is == moneyType:
			var m money
			d.into(reflect.ValueOf(&m).Elem(), value, at)
			v.Field(f.at).SetInt(int64(m))
		default:
			d.into(v.Field(f.at), value, at)
		}
	})
}

func (d *decoder) list(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "is %s: write a list, such as [a, b]", kindOf(n))
		return
	}
	all := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, each := range n.Content {
		d.into(all.Index(i), each, fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(all)
}

func (d *decoder) dictionary(v reflect.Value, n *yaml.Node, path string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	d.pairs(n, path, func(key, value *yaml.Node) {
		k := reflect.New(v.Type().Key()).Elem()
		before := len(d.problems)
		d.into(k, key, path)
		if len(d.problems) > before {
			return
		}
		is := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(k); old.IsValid() {
			is.Set(old)
		}
		d.into(is, value, join(path, key.Value))
		v.SetMapIndex(k, is)
	})
}

func (d *decoder) duration(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "is %s: write a time with its unit, such as 30s", kindOf(n))
		return
	}
	is, err := time.ParseDuration(n.Value)
	if _, number := strconv.ParseFloat(n.Value, 64); err != nil && number == nil {
		d.wrong(n, path, "has no unit: write %ss for seconds, or %sms for milliseconds", n.Value, n.Value)
		return
	}
	if err != nil {
		d.wrong(n, path, "is %q: write a time with its unit, such as 30s, 1m30s or 200ms", n.Value)
		return
	}
	v.SetInt(int64(is))
}

func (d *decoder) backoff(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind == yaml.SequenceNode {
		var delays strategies.Delays
		d.into(reflect.ValueOf(&delays).Elem(), n, path)
		v.Set(reflect.ValueOf(delays))
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "is %s: write delays, such as [1s, 2s], or {base: 1s, factor: 2, cap: 1m}", kindOf(n))
		return
	}
	var grows strategies.Exponential
	d.into(reflect.ValueOf(&grows).Elem(), n, path)
	v.Set(reflect.ValueOf(grows))
}

func (d *decoder) scalar(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "is %s: write one value", kindOf(n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		is, err := strconv.ParseBool(n.Value)
		if err != nil {
			d.wrong(n, path, "is %q: write true or false", n.Value)
		}
		v.SetBool(is)
	case reflect.Float64:
		is, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			d.wrong(n, path, "is %q: write a number", n.Value)
		}
		v.SetFloat(is)
	default:
		text, factor := n.Value, 1.0
		if v.Type() == moneyType {
			factor = 1e6
		}
		is, err := strconv.ParseInt(text, 10, 64)
		if f, number := strconv.ParseFloat(text, 64); factor != 1 && number == nil && f >= -9e12 && f <= 9e12 {
			is, err = int64(f*factor+0.5), nil
		}
		if err != nil || v.OverflowInt(is) {
			d.wrong(n, path, "is %q: write a whole number", n.Value)
			return
		}
		v.SetInt(is)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "empty"
	}
	return strconv.Quote(n.Value)
}

// didYouMean names what is nearest, if it is near.
func didYouMean(name string, names []string) string {
	best, least := "", 1+max(len(name), 3)/3
	for _, n := range names {
		if d := distance(name, n); d < least || d == least && best == "" {
			best, least = n, d
		}
	}
	if best == "" {
		return fmt.Sprintf(": there are %s", strings.Join(names, ", "))
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// distance is how many letters two words differ by (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j+1], row[j]) + 1
			if a[i] == b[j] {
				next = min(next, last)
			} else {
				next = min(next, last+1)
			}
			last, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
