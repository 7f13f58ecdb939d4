package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Cut is a stream that breaks.
type Cut[F any] struct {
	It       string // "retries one cut before its first chunk"
	Fault    F      // of the first request; the next one is answered with Says
	Said     string // what the reader gets of it
	Requests int
	// Behind is the class of the failure of a stream that ended too early; zero:
	// it was recovered, and ended well.
	Behind strategies.Class
}

// Ends says that the stream ends with an error.
func (c Cut[F]) Ends() bool { return c.Behind != strategies.ClassUnclassified }

// Script is the cut as the script of the narrator's model.
func (c Cut[F]) Script() map[string][]F { return map[string][]F{Narrator: {c.Fault}} }

// Retried is a stream that breaks before anything was said: it is begun anew, and
// the reader gets the whole of the second.
func Retried[F any](it string, fault F) Cut[F] {
	return Cut[F]{It: "retries " + it, Fault: fault, Said: Says(Narrator), Requests: 2}
}

// Ended is a stream that breaks after something was said: it ends with an error.
func Ended[F any](it string, fault F, said string, behind strategies.Class) Cut[F] {
	return Cut[F]{It: "ends " + it, Fault: fault, Said: said, Requests: 1, Behind: behind}
}

// Heard is the result of reading a stream. joined is the text of chunks.
func Heard[Req, Chunk any](t *testing.T, g *middleware.GuardedStream[Req, Chunk], req Req, joined func([]Chunk) string, p Provider) Result {
	t.Helper()
	chunks, err := middleware.Collect(g.Stream(t.Context(), req))
	return Result{Text: joined(chunks), Err: err, Provider: p, Sent: SentBefore(err, joined)}
}

// SentBefore is the text that an error says was sent before it.
func SentBefore[Chunk any](err error, joined func([]Chunk) string) string {
	sent, _ := middleware.Sent[Chunk](err)
	return joined(sent)
}

func (a Adapter[F]) playCuts(t *testing.T) {
	t.Helper()
	if len(a.Cuts) == 0 || a.Stream == nil {
		t.Fatal("the adapter does not say how a stream breaks, or how one is read")
	}
	for _, c := range a.Cuts {
		t.Run("it "+c.It, func(t *testing.T) {
			for _, problem := range c.problems(a.Stream(t, c)) {
				t.Error(problem)
			}
		})
	}
}

// problems compares what came of a stream with what had to come.
func (c Cut[F]) problems(got Result) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if got.Text != c.Said {
		say("got %q, want %q", got.Text, c.Said)
	}
	var cut *strategies.StreamError
	switch {
	case !c.Ends():
		if got.Err != nil {
			say("got the error %v", got.Err)
		}
	case !errors.As(got.Err, &cut) || strategies.Classify(got.Err).Class != strategies.ClassCutOff:
		say("got the error %v, want a StreamError of class cut off", got.Err)
	default:
		if class := strategies.Classify(cut.Err).Class; class != c.Behind {
			say("the failure behind is of class %v, want %v: %v", class, c.Behind, cut.Err)
		}
		if got.Sent != c.Said {
			say("the error says that %q was sent", got.Sent)
		}
	}
	return append(found, counted(got.Provider, map[string]int{Narrator: c.Requests})...)
}
