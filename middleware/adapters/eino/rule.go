package eino

import (
	"errors"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/compose"

	"github.com/understudy-go/understudy/strategies"
)

// Rule knows eino's own errors. An interrupt, and an agent that was canceled by
// its caller, are [strategies.ClassInterrupt]: they look like failures and are none.
// Exhausted retries are what the last of them failed with, which the error keeps
// in a field where no errors.As finds it.
//
// The chains of this package have it built in. It is for chains around something
// else of eino's, such as a compiled graph:
//
//	Classifier(&strategies.Classifier{Rules: []strategies.Rule{eino.Rule}})
func Rule(err error) strategies.Class {
	if interrupted(err) {
		return strategies.ClassInterrupt
	}
	if spent, ok := errors.AsType[*adk.RetryExhaustedError](err); ok && spent.LastErr != nil {
		if interrupted(spent.LastErr) {
			return strategies.ClassInterrupt
		}
		return strategies.Classify(spent.LastErr).Class
	}
	return strategies.ClassUnclassified
}

func interrupted(err error) bool {
	if paused(err) {
		return true
	}
	if _, ok := errors.AsType[*adk.StreamCanceledError](err); ok {
		return true
	}
	_, ok := errors.AsType[*adk.CancelError](err)
	return ok
}

// paused says whether an error is a pause, after which what is paused is called again.
func paused(err error) bool {
	if _, ok := compose.ExtractInterruptInfo(err); ok {
		return true // of a graph
	}
	_, ok := compose.IsInterruptRerunError(err)
	return ok // of a node, a tool or a model
}

// pause is an interrupt on its way through the layers. It is taken off at the
// edge, so that eino sees its own error.
type pause struct{ err error }

func (p *pause) Error() string                   { return p.err.Error() }
func (p *pause) Unwrap() error                   { return p.err }
func (p *pause) RecoveryClass() strategies.Class { return strategies.ClassInterrupt }

// explain makes an error of eino's one that the layers understand, whatever
// classifier they have.
func explain(err error) error {
	if Rule(err) == strategies.ClassInterrupt {
		return &pause{err}
	}
	if spent, ok := errors.AsType[*adk.RetryExhaustedError](err); ok && spent.LastErr != nil {
		return &RetriesError{Err: err, Last: spent.LastErr}
	}
	return err
}

// untouched takes the pause off.
func untouched(err error) error {
	if p, ok := err.(*pause); ok { //nolint:errorlint // the layers pass it through as it is
		return p.err
	}
	return err
}

// RetriesError is an [adk.RetryExhaustedError] whose cause can be found: errors.Is
// finds [adk.ErrExceedMaxRetries], and errors.As the error of the provider.
type RetriesError struct {
	Err  error // as eino returned it
	Last error // what the last attempt failed with
}

func (e *RetriesError) Error() string { return e.Err.Error() }

// Unwrap returns both.
func (e *RetriesError) Unwrap() []error { return []error{e.Err, e.Last} }
