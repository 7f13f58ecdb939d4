package middleware

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// argsShape is what JSON makes of the arguments of a tool, found out once a tool.
type argsShape struct {
	hides string // a part of them that it does not show: values that differ may look the same
	raw   bool   // equal values may have bytes that differ
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// look goes through a type; addressable says whether the methods of its pointer count.
func (s *argsShape) look(t reflect.Type, addressable bool, path string, seen map[reflect.Type]bool) {
	if t == nil || seen[t] {
		return
	}
	has := func(method reflect.Type) bool {
		return t.Implements(method) || addressable && reflect.PointerTo(t).Implements(method)
	}
	switch {
	case t.Kind() == reflect.Interface || has(jsonMarshaler):
		s.raw = true // whatever that says
		return
	case has(textMarshaler):
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		s.look(t.Elem(), true, path, seen)
	case reflect.Array:
		s.look(t.Elem(), addressable, path, seen)
	case reflect.Map:
		s.look(t.Elem(), false, path, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			embeds := f.Anonymous && (f.Type.Kind() == reflect.Struct || f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct)
			switch name := path + "." + f.Name; {
			case f.Name == "_" || f.Type.Size() == 0:
			case f.Tag.Get("json") == "-" || !f.IsExported() && !embeds:
				s.hides = name
			default:
				s.look(f.Type, addressable, name, seen)
			}
		}
	}
}

// canonical is JSON in which equal values are equal bytes: the keys of objects
// sorted, nothing between them.
func (s argsShape) canonical(args any) (raw json.RawMessage, err error) {
	if err := protect(func() error { raw, err = json.Marshal(args); return err }); err != nil {
		return nil, err
	}
	if !s.raw {
		return raw, nil // made by encoding/json: maps are sorted, structs have one order
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// whole says why the JSON of the arguments cannot stand for them, or nil.
func (s argsShape) whole() error {
	if s.hides == "" {
		return nil
	}
	return fmt.Errorf("their JSON does not show %s: two that differ might be taken for one", s.hides)
}
