package foreign

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
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

// field returns a field by name, or the zero Value: also where the way there
// leads through an embedded nil pointer.
func field(v reflect.Value, name string) reflect.Value {
	if sf, ok := v.Type().FieldByName(name); ok {
		if f, err := v.FieldByIndexErr(sf.Index); err == nil {
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
