package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// watch prints what the layers do while the players wait. The turns come one after the other,
// so the page needs no lock.
func watch(p *page) middleware.Observer {
	return middleware.ObserverFunc(func(ctx context.Context, e middleware.Event) {
		// Whoever has left the table wants no report of how the last call ended.
		if text := describe(e); text != "" && ctx.Err() == nil {
			p.text(grey, "      ", text)
		}
	})
}

// describe says in a sentence what happened, or nothing where another event says it.
func describe(e middleware.Event) string {
	switch e.Kind {
	case middleware.EventRetryScheduled:
		return fmt.Sprintf("%s: %s. Asked again in %v.", e.Agent, reason(e.Err), e.Delay)
	case middleware.EventRetriesEnded:
		if _, open := errors.AsType[*strategies.OpenError](e.Err); open {
			return fmt.Sprintf("%s: %s.", e.Agent, reason(e.Err))
		}
		return fmt.Sprintf("%s: %s. No retry: %s.", e.Agent, reason(e.Err), e.Stop)
	case middleware.EventStandInCalled:
		return fmt.Sprintf("%s is asked to play the part of %s.", e.ServedBy, e.Agent)
	case middleware.EventStandInFailed:
		return fmt.Sprintf("%s: %s.", e.ServedBy, reason(e.Err))
	case middleware.EventRungFailed:
		return fmt.Sprintf("no %s: %s.", e.ServedBy, reason(e.Err))
	case middleware.EventPersonAsked:
		return "The game master is asked."
	case middleware.EventPersonDecided:
		decision := decided(e)
		if e.Err != nil {
			return fmt.Sprintf("No decision (%s); what stands for it: %s.", reason(e.Err), decision)
		}
		return fmt.Sprintf("Decision: %s.", decision)
	case middleware.EventBreakerChanged:
		if held := strategies.StateHeld.String(); e.From != held && e.To != held {
			return fmt.Sprintf("Circuit breaker of %s: %s -> %s.", e.Agent, e.From, e.To)
		}
	}
	return ""
}

// decided says what the game master wants, and who that was.
func decided(e middleware.Event) string {
	text := e.Decision
	if e.To != "" {
		text += " " + e.To
	}
	if e.By != "" {
		text += " (by " + e.By + ")"
	}
	return text
}

// verdict says in a few words why nobody answered.
func verdict(err error) string {
	failure, ok := errors.AsType[*strategies.RecoveryError](err)
	if !ok {
		return reason(err)
	}
	text := fmt.Sprintf("%s after %s", failure.Class, plural(len(failure.Attempts), "attempt"))
	if decision, ok := errors.AsType[*strategies.InterventionError](failure.Cause); ok {
		text += ", " + decision.Problem
	}
	return text
}

// reason says in a few words what went wrong.
func reason(err error) string {
	if open, ok := errors.AsType[*strategies.OpenError](err); ok {
		if open.State == strategies.StateHeld && open.Cause != nil {
			return fmt.Sprintf("not called, its circuit breaker is held (%s)", reason(open.Cause))
		}
		return "not called, its circuit breaker is " + open.State.String()
	}
	if late, ok := errors.AsType[*strategies.TimeoutError](err); ok {
		return fmt.Sprintf("no answer within %v", late.After)
	}
	if api, ok := errors.AsType[*openai.Error](err); ok {
		return fmt.Sprintf("%d %s", api.StatusCode, cmp.Or(api.Code, strings.ToLower(http.StatusText(api.StatusCode))))
	}
	if transport, ok := errors.AsType[*url.Error](err); ok {
		err = transport.Err // without the address, which changes from run to run
	}
	const most = 100
	text := []rune(printable(err.Error()))
	if len(text) > most {
		text = append(text[:most], []rune("...")...)
	}
	return strings.TrimRight(string(text), ".")
}
