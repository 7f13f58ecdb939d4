// Package errtree looks into the trees of errors of others. What errors.Is and
// errors.As do with an error of ours they cannot do with every foreign one: its
// methods may panic (a nil pointer that is an error, for one), it may wrap itself,
// and it may be of a type that cannot be compared. Here each of these is no find,
// and the walk ends after a while.
//
//	a failure ── Is, As, Text ── found, or not; never a panic, never for ever
package errtree

import (
	"fmt"
	"reflect"
)

// Most is how many errors of one tree are looked at.
const Most = 1000

// Is says whether target is in the tree of err.
func Is(err, target error) bool {
	if err == nil || target == nil {
		return err == target
	}
	_, found := find(err, func(e error) (struct{}, bool) {
		if Same(e, target) {
			return struct{}{}, true
		}
		is, ok := e.(interface{ Is(error) bool })
		return struct{}{}, ok && is.Is(target)
	})
	return found
}

// As returns the first error of type T in the tree of err.
func As[T any](err error) (T, bool) {
	return find(err, func(e error) (t T, ok bool) {
		if t, ok = e.(T); ok {
			return t, true
		}
		if as, can := e.(interface{ As(any) bool }); can && as.As(&t) {
			return t, true
		}
		return t, false
	})
}

// Any says whether look finds what it looks for in the tree of err.
func Any(err error, look func(error) bool) bool {
	_, found := find(err, func(e error) (struct{}, bool) { return struct{}{}, look(e) })
	return found
}

// Same says whether two errors are one and the same; those of a type that cannot
// be compared never are.
func Same(a, b error) (same bool) {
	defer func() { _ = recover() }() // a comparable type may hold what is not
	return a == b
}

// Endless says whether the tree of err is larger than anybody made on purpose, as
// that of an error which wraps itself is.
func Endless(err error) bool {
	left := Most
	count(err, &left)
	return left == 0
}

// Text is what an error says, whatever its method does.
func Text(err error) (text string) {
	if err == nil {
		return ""
	}
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T whose Error method panics", err)
		}
	}()
	return err.Error()
}

func find[T any](err error, look func(error) (T, bool)) (found T, ok bool) {
	left := Most
	walk(err, &left, func(e error) bool {
		found, ok = guarded(e, look)
		return ok
	})
	return found, ok
}

func guarded[T any](err error, look func(error) (T, bool)) (found T, ok bool) {
	defer func() {
		if recover() != nil {
			var none T
			found, ok = none, false
		}
	}()
	return look(err)
}

// walk goes through a tree, outermost first, until look is content.
func walk(err error, left *int, look func(error) bool) bool {
	for err != nil && *left > 0 {
		*left--
		if look(err) {
			return true
		}
		inner, branches := Unwrap(err)
		for _, branch := range branches {
			if walk(branch, left, look) {
				return true
			}
		}
		err = inner
	}
	return false
}

// count takes from left as many as there are in a tree.
func count(err error, left *int) {
	for err != nil && *left > 0 {
		*left--
		inner, branches := Unwrap(err)
		for _, branch := range branches {
			count(branch, left)
		}
		err = inner
	}
}

// Unwrap returns what an error wraps: one, or several, or nothing.
//
//lint:ignore ST1008 both results are errors
func Unwrap(err error) (inner error, branches []error) {
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		return tried(w.Unwrap), nil
	case interface{ Unwrap() []error }:
		return nil, tried(w.Unwrap)
	}
	return nil, nil
}

// tried is what a method returns; if it panics, nothing.
func tried[T any](method func() T) (result T) {
	defer func() {
		if recover() != nil {
			var none T
			result = none
		}
	}()
	return method()
}

// Nil says whether an error is a nil pointer, map, slice or function: an error to
// the compiler, and nothing that its methods can work on.
func Nil(err error) bool {
	switch v := reflect.ValueOf(err); v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return v.IsNil()
	}
	return false
}

// Tame returns err, or in the place of an endless one an error with its text and
// nothing else: whoever asked it with errors.Is would wait for ever.
func Tame(err error) error {
	if !wraps(err) || !Endless(err) {
		return err
	}
	return &cut{text: Text(err), kind: fmt.Sprintf("%T", err)}
}

func wraps(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }:
		return true
	}
	return false
}

type cut struct{ text, kind string }

func (e *cut) Error() string {
	return e.text + " (" + e.kind + " wraps itself, or too much: only its text is kept)"
}
