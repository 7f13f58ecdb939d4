package errtree_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/understudy-go/understudy/internal/errtree"
)

// The errors below are those that break errors.Is, errors.As or their caller.
type (
	typedNil struct{ err error }
	ring     struct{ next error }
	slice    []error
	holder   struct{ what any }
	angry    struct{}
	rude     struct{ error }
)

func (e *typedNil) Error() string { return e.err.Error() }
func (e *typedNil) Unwrap() error { return e.err }
func (e *ring) Error() string     { return "ring" }
func (e *ring) Unwrap() error     { return e.next }
func (e slice) Error() string     { return "slice" }
func (e holder) Error() string    { return "holder" }
func (angry) Error() string       { panic("no text") }
func (angry) Is(error) bool       { panic("no answer") }
func (angry) As(any) bool         { panic("no answer") }
func (angry) Unwrap() []error     { panic("no errors") }
func (rude) Unwrap() error        { panic("no error") }

func selfWrapped() error {
	r := &ring{}
	r.next = fmt.Errorf("again: %w", errors.Join(io.EOF, r, r))
	return r
}

func TestHostileErrors(t *testing.T) {
	var nothing *typedNil
	for name, err := range map[string]error{
		"a typed nil":                     nothing,
		"a typed nil inside":              fmt.Errorf("x: %w", error(nothing)),
		"one that wraps itself":           selfWrapped(),
		"one that cannot be compared":     slice{io.EOF},
		"one that holds what cannot be":   holder{[]int{1}},
		"one whose methods panic":         angry{},
		"one whose methods panic, joined": errors.Join(angry{}, rude{io.EOF}),
		"one that panics when unwrapped":  rude{io.EOF},
	} {
		t.Run("it bears "+name, func(t *testing.T) {
			if errtree.Is(err, io.ErrClosedPipe) || errtree.Is(err, slice{io.EOF}) || errtree.Is(err, holder{[]int{1}}) {
				t.Error("found what is not there")
			}
			if _, ok := errtree.As[*io.PipeReader](err); ok {
				t.Error("found a type that is not there")
			}
			if errtree.Text(err) == "" {
				t.Error("no text")
			}
		})
	}
	t.Run("it finds what is there, in front of and behind hostile ones", func(t *testing.T) {
		for _, err := range []error{
			errors.Join(angry{}, io.EOF), fmt.Errorf("x: %w", errors.Join(error(nothing), rude{io.EOF}, io.EOF)), selfWrapped(),
		} {
			if !errtree.Is(err, io.EOF) {
				t.Errorf("io.EOF not found in %T", err)
			}
		}
		if got, ok := errtree.As[*ring](fmt.Errorf("x: %w", errors.Join(angry{}, selfWrapped()))); !ok || got.Error() != "ring" {
			t.Error("a type is not found")
		}
	})
	t.Run("it knows an endless one", func(t *testing.T) {
		if !errtree.Endless(selfWrapped()) || errtree.Endless(errors.Join(io.EOF, angry{})) {
			t.Error("wrong")
		}
		if !errtree.Nil(nothing) || errtree.Nil(io.EOF) || errtree.Nil(angry{}) {
			t.Error("wrong about nil")
		}
	})
	t.Run("it says about sound errors what the standard library says", func(t *testing.T) {
		err := fmt.Errorf("x: %w", errors.Join(io.EOF, fmt.Errorf("y: %w", &ring{next: io.ErrNoProgress})))
		for _, target := range []error{io.EOF, io.ErrNoProgress, io.ErrClosedPipe, nil} {
			if errtree.Is(err, target) != errors.Is(err, target) {
				t.Errorf("they differ about %v", target)
			}
		}
	})
}
