package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/understudy-go/understudy/strategies"
)

var errNothing = errors.New("it is nothing")

// checkDecision says what is wrong with a decision, as far as this process can know, and
// returns its answer as it is stored.
func (b *Inbox) checkDecision(r *record, d strategies.Decision) (*payload, error) {
	i := strategies.Incident{ID: r.ID, Agents: r.Agents}
	if d.Action != strategies.ActionAnswer {
		return nil, i.Check(d)
	}
	problem := func(text string, err error) error {
		return &strategies.InterventionError{Incident: r.ID, Problem: text, Err: err}
	}
	types, value := b.answerTypes(r), d.Value
	if value == nil {
		return nil, problem("cannot be answered so", errNothing)
	}
	if raw, is := value.(json.RawMessage); is {
		switch {
		case !json.Valid(raw):
			return nil, problem("cannot be answered so", errors.New("it is no JSON"))
		case bytes.Equal(bytes.TrimSpace(raw), []byte("null")):
			return nil, problem("cannot be answered so", errNothing)
		case len(types) > 0:
			v, err := firstOf(types, func(v any) error { return json.Unmarshal(raw, v) })
			if err != nil {
				return nil, problem("answers with what is no "+strings.Join(r.Answers, " nor a "), err)
			}
			value = v
		}
	} else if i.Answers = types; len(types) == 0 && len(r.Answers) > 0 && !slices.Contains(r.Answers, reflect.TypeOf(value).String()) {
		return nil, problem(fmt.Sprintf("answers with a %T where a %s is wanted", value, strings.Join(r.Answers, " or a ")), nil)
	} else if err := i.Check(d); err != nil {
		return nil, err
	}
	data, err := b.encodeAnswer(value)
	if err != nil {
		return nil, problem("cannot be answered so", err)
	}
	return &payload{data}, nil
}

// answerTypes are the types that an answer may have; none: this process does not know
// them.
func (b *Inbox) answerTypes(r *record) []reflect.Type {
	b.mu.Lock()
	types := b.types[r.Agent]
	b.mu.Unlock()
	if len(types) > 0 {
		return types
	}
	for _, name := range r.Answers {
		t := typeOf(name)
		if t == nil {
			return nil
		}
		types = append(types, t)
	}
	return types
}

// typeOf is the type of that name, if Go itself has it; or nil.
func typeOf(name string) reflect.Type {
	if of, is := strings.CutPrefix(name, "[]"); is {
		if t := typeOf(of); t != nil {
			return reflect.SliceOf(t)
		}
		return nil
	}
	for _, v := range []any{"", false, 0, int32(0), int64(0), uint(0), uint8(0), uint64(0), float32(0), float64(0)} {
		if t := reflect.TypeOf(v); t.String() == name {
			return t
		}
	}
	return nil
}

func (b *Inbox) encodeAnswer(v any) (data []byte, err error) {
	if err := protect("Codec.Marshal", func() error { data, err = b.s.Codec.Marshal(v); return err }); err != nil {
		return nil, err
	}
	if len(data) > b.s.MaxAnswer {
		return nil, fmt.Errorf("it has %d bytes, at most %d (Settings.MaxAnswer)", len(data), b.s.MaxAnswer)
	}
	return data, nil
}

// decodeAnswer reads an answer as the first of the types that it can be.
func (b *Inbox) decodeAnswer(p *payload, types []reflect.Type) (any, error) {
	if p == nil || bytes.Equal(bytes.TrimSpace(p.Data), []byte("null")) {
		return nil, errNothing
	}
	if len(types) == 0 {
		return json.RawMessage(p.Data), nil
	}
	return firstOf(types, func(v any) error {
		return protect("Codec.Unmarshal", func() error { return b.s.Codec.Unmarshal(p.Data, v) })
	})
}

// firstOf reads a value as the first of the types that it can be.
func firstOf(types []reflect.Type, read func(v any) error) (_ any, first error) {
	for _, t := range types {
		v := reflect.New(t)
		err := read(v.Interface())
		if err == nil {
			return v.Elem().Interface(), nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// sameAnswer says whether two votes have the same answer: a codec may write one in many
// ways, such as encrypted.
func (b *Inbox) sameAnswer(r *record) func(x, y *payload) bool {
	types := b.answerTypes(r)
	return func(x, y *payload) bool {
		switch {
		case x == nil || y == nil:
			return x == y
		case bytes.Equal(x.Data, y.Data):
			return true
		case len(types) == 0:
			return false
		}
		v, err := b.decodeAnswer(x, types)
		w, err2 := b.decodeAnswer(y, types)
		return err == nil && err2 == nil && reflect.DeepEqual(v, w)
	}
}
