package conformance

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Ending asks an agent "whole", or else as a stream, and returns how that ended. It wants
// one request, and of a stream its terminal chunk with an answer and no other.
func Ending[Req, Resp, Chunk any](t *testing.T, way string, agent interface {
	Run(ctx context.Context, req Req) (Resp, error)
	Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error]
}, req Req, ends func(Chunk) bool, requests func() int) error {
	t.Helper()
	var err error
	if way == "whole" {
		_, err = agent.Run(t.Context(), req)
	} else {
		var chunks []Chunk
		chunks, err = middleware.Collect(agent.Stream(t.Context(), req))
		if ended := len(chunks) > 0 && ends(chunks[len(chunks)-1]); ended == (err != nil) {
			t.Errorf("it ends: %v, with %v", ended, err)
		}
	}
	if n := requests(); n != 1 {
		t.Errorf("%d requests", n)
	}
	return err
}

// Judged compares an error with the reason and the class it has to have; "": none.
func Judged(t *testing.T, err error, provider, reason string, want strategies.Class) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	var e *strategies.AnswerError
	if !errors.As(err, &e) || e.Provider != provider || e.Reason != reason {
		t.Fatalf("got %v, want %q", err, reason)
	}
	Class(t, err, want)
}
