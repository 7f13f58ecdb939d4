package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An object is a JSON object whose fields are taken one by one, so that what has
// not been taken at the end is known: no field is dropped because nobody thought
// of it, those that a later version of a client adds included.
type object struct {
	path   string
	fields map[string]json.RawMessage
	p      *problem
}

func (p *problem) object(path string, raw json.RawMessage) object {
	o := object{path: path, p: p}
	if len(raw) == 0 || isNull(raw) {
		return o
	}
	if err := json.Unmarshal(raw, &o.fields); err != nil {
		p.say(path, "is no JSON object", "send one")
	}
	return o
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

func (o object) at(name string) string {
	switch {
	case o.path == "":
		return name
	case name == "":
		return o.path
	}
	return o.path + "." + name
}

// take returns a field, once; nil: it is not there, or null.
func (o object) take(name string) json.RawMessage {
	raw := o.fields[name]
	delete(o.fields, name)
	if isNull(raw) {
		return nil
	}
	return raw
}

// has says whether a field is there and not null.
func (o object) has(name string) bool {
	raw, ok := o.fields[name]
	return ok && !isNull(raw)
}

// leave drops fields that are known to say nothing to another provider.
func (o object) leave(names ...string) {
	for _, n := range names {
		delete(o.fields, n)
	}
}

// refuse names a field that has no counterpart.
func (o object) refuse(name, what, fix string) {
	if o.take(name) != nil {
		o.p.say(o.at(name), what, fix)
	}
}

// done names a field that has not been taken.
func (o object) done() {
	var rest []string
	for name, raw := range o.fields {
		if !isNull(raw) {
			rest = append(rest, name)
		}
	}
	if len(rest) > 0 {
		slices.Sort(rest)
		o.p.say(o.at(brief(rest[0])), "has no counterpart", leaveOut)
	}
}

func brief(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

func decode[T any](o object, name string) *T {
	raw := o.take(name)
	if raw == nil {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal(raw, v); err != nil {
		o.p.say(o.at(name), "cannot be read", "send a value of the kind that the provider asks for")
		return nil
	}
	return v
}

func (o object) str(name string) string {
	if s := decode[string](o, name); s != nil {
		return *s
	}
	return ""
}

func (o object) flag(name string) bool {
	b := decode[bool](o, name)
	return b != nil && *b
}

// list returns the elements of an array.
func (o object) list(name string) []json.RawMessage {
	if l := decode[[]json.RawMessage](o, name); l != nil {
		return *l
	}
	return nil
}

// objects returns the elements of an array of objects.
func (o object) objects(name string) []object {
	var all []object
	for i, raw := range o.list(name) {
		all = append(all, o.p.object(fmt.Sprintf("%s[%d]", o.at(name), i), raw))
	}
	return all
}

func (o object) object(name string) object { return o.p.object(o.at(name), o.take(name)) }

// arguments returns a JSON object in its compact form. "": one without fields.
func (p *problem) arguments(path, raw string) json.RawMessage {
	if strings.TrimSpace(raw) == "" || isNull(json.RawMessage(raw)) {
		return json.RawMessage("{}")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(raw)); err != nil || !strings.HasPrefix(b.String(), "{") {
		p.say(path, "is no JSON object, which arguments of a call have to be", leaveOut)
		return json.RawMessage("{}")
	}
	return b.Bytes()
}

// loose decodes JSON without rounding its numbers.
func loose(raw json.RawMessage) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// looseObject is the same of an object; nil if it is none.
func looseObject(raw json.RawMessage) map[string]any {
	v, err := loose(raw)
	if err != nil {
		return nil
	}
	m, _ := v.(map[string]any)
	return m
}

// rawObject is the same with values that are left as they are: the clients of
// OpenAI and Anthropic write a json.Number as a text.
func rawObject(raw json.RawMessage) map[string]any {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil
	}
	values := make(map[string]any, len(fields))
	for name, value := range fields {
		values[name] = value
	}
	return values
}

// marshal reads a request as it would go over the wire.
func (p *problem) marshal(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		p.say("the request", "is no JSON", "send one that its own provider can read")
		return nil
	}
	return raw
}
