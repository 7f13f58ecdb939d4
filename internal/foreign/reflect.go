package foreign

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"sync"
)

// The types of the standard library that hold nothing but text and other errors.
var (
	plainError = reflect.TypeOf(errors.New(""))
	wrapError  = reflect.TypeOf(fmt.Errorf("%w", io.EOF))
	wrapErrors = reflect.TypeOf(fmt.Errorf("%w%w", io.EOF, io.EOF))
	joinError  = reflect.TypeOf(errors.Join(io.EOF))
)

// Bare says that err is an error of the standard library's that holds nothing but
// text and other errors. Most errors are, and have nothing to be read.
func Bare(err error) bool {
	switch reflect.TypeOf(err) {
	case plainError, wrapError, wrapErrors, joinError:
		return true
	}
	return false
}

// These helpers look into values of unknown type. Only call runs foreign code;
// the others cannot panic.

func isNumber(s string) bool {
	_, ok := whole(s)
	return ok
}

// fieldNames are the fields that are looked for.
var fieldNames = [...]string{
	"Type", "Code", "ErrorCode", "Message", "ErrorMessage", "RetryAfter", "Details", "Body", "Event", "Data", "Status", "StatusCode",
	"HTTPStatusCode", "HTTPCode", "Response", "RawResponse", "Header", "ResponseHeader", "HTTPHeader", "Reader",
}

// layouts remembers by type where those are: most types have few of them, and to
// search them by name again and again is the dearest part of reading an error. It
// is a memory, as encoding/json has one, and no state: a program has only so many
// types of errors.
var layouts sync.Map // of reflect.Type to map[string][]int

func layout(t reflect.Type) map[string][]int {
	if known, ok := layouts.Load(t); ok {
		return known.(map[string][]int)
	}
	where := map[string][]int{}
	for _, name := range fieldNames {
		if sf, ok := t.FieldByName(name); ok {
			where[name] = sf.Index
		}
	}
	layouts.Store(t, where)
	return where
}

// field returns one of fieldNames, or the zero Value: also where the way there
// leads through an embedded nil pointer.
func field(v reflect.Value, name string) reflect.Value {
	if index, ok := layout(v.Type())[name]; ok {
		if f, err := v.FieldByIndexErr(index); err == nil {
			return f
		}
	}
	return reflect.Value{}
}

// value returns what v holds, if it is a T that may be looked at.
func value[T any](v reflect.Value) (t T, ok bool) {
	if v.IsValid() && v.CanInterface() {
		t, ok = v.Interface().(T)
	}
	return t, ok
}

// word returns the first field of these names that holds a text or a whole
// number, whatever its type is called and however it is wrapped.
func word(v reflect.Value, names ...string) string {
	for _, name := range names {
		if text := wordOf(field(v, name)); text != "" {
			return text
		}
	}
	return ""
}

func wordOf(f reflect.Value) string {
	for range 3 { // *any in an any; no deeper, for pointers may go in circles
		if f.Kind() == reflect.Pointer || f.Kind() == reflect.Interface {
			f = f.Elem()
		}
	}
	switch {
	case f.Kind() == reflect.String:
		return f.String()
	case f.CanInt() && f.Int() != 0:
		return strconv.FormatInt(f.Int(), 10)
	case f.CanUint() && f.Uint() != 0:
		return strconv.FormatUint(f.Uint(), 10)
	case f.CanFloat() && f.Float() != 0: // JSON's numbers, in an any
		return strconv.FormatFloat(f.Float(), 'f', -1, 64)
	}
	return ""
}

// call calls a method without parameters and returns its one result, unless
// that is nil.
func call(method reflect.Value) (reflect.Value, bool) {
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
		return reflect.Value{}, false
	}
	result := method.Call(nil)[0]
	if k := result.Kind(); k == reflect.Pointer || k == reflect.Interface {
		return result, !result.IsNil()
	}
	return result, true
}
