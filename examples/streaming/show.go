package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A show is the story being told.
type show struct {
	page   *page
	client openai.Client
	times  timing
	beat   time.Duration // between two paragraphs, to read
	rows   []row
}

const header = `A story arrives word by word, as server-sent events, from a provider that fails before,
between and after its words. The lines set in say what is done about it; a reader of the story
would see the rest only.`

func (s *show) perform(ctx context.Context) error {
	watch := middleware.ObserverFunc(func(ctx context.Context, e middleware.Event) {
		// Whoever has left wants no report of how the last call ended.
		if text := describe(e); text != "" && ctx.Err() == nil {
			s.page.aside(text)
		}
	})
	tellers := map[policy]*middleware.GuardedStream[prompt, piece]{}
	for _, how := range []policy{terminate, carryOn, buffer} {
		teller, err := newTeller(s.client, how, s.times, watch)
		if err != nil {
			return err
		}
		tellers[how] = teller
	}

	s.page.paragraph("", "", header)
	n := 0
	for _, a := range acts {
		s.page.line("", "")
		s.page.line(bold, a.title)
		if a.about != "" {
			s.page.paragraph(grey, "", a.about)
		}
		for _, scene := range a.scenes {
			if err := sleep(ctx, s.beat); err != nil {
				return err
			}
			n++
			if err := s.tell(ctx, tellers[scene.policy], n, scene); err != nil {
				return err
			}
		}
	}
	s.page.table(s.rows)
	return nil
}

// tell prints a paragraph as it comes. The error is the end of ctx.
func (s *show) tell(ctx context.Context, teller *middleware.GuardedStream[prompt, piece], n int, sc scene) error {
	s.page.line("", "")
	s.page.paragraph(bold, fmt.Sprintf("%2d  ", n), cmp.Or(sc.about, strings.ToUpper(sc.fault[:1])+sc.fault[1:]+"."))
	start, first := time.Now(), time.Duration(0)

	chunks, outcome := teller.Outcome(ctx, prompt{ask: question(n)})
	for chunk, err := range chunks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			sent, _ := middleware.Sent[piece](err)
			s.page.aside(fmt.Sprintf("The stream ends with an error: %s. With it come the %d chunks that were sent: middleware.Sent.", reason(err), len(sent)))
			break
		}
		if first == 0 && says(chunk) {
			first = time.Since(start)
		}
		s.page.say(colours[chunk.model], chunk.text)
	}
	s.page.endSaying()

	s.rows = append(s.rows, row{scene: sc, first: first, StreamOutcome: outcome()})
	return nil
}

// describe says in a sentence what happened, or nothing where another event says it.
func describe(e middleware.Event) string {
	switch e.Kind {
	case middleware.EventRetryScheduled:
		return fmt.Sprintf("%s: %s. Asked again in %v.", e.Agent, reason(e.Err), e.Delay)
	case middleware.EventRetriesEnded:
		if e.Class != strategies.ClassCutOff { // which no retry could help
			return fmt.Sprintf("%s: %s. No retry: %s.", e.Agent, reason(e.Err), e.Stop)
		}
	case middleware.EventStandInCalled:
		return fmt.Sprintf("%s is asked instead of %s.", e.ServedBy, e.Agent)
	case middleware.EventStandInFailed:
		return fmt.Sprintf("%s: %s.", e.ServedBy, reason(e.Err))
	case middleware.EventStreamContinued:
		return fmt.Sprintf("%s: %s. Asked to go on.", e.Agent, reason(e.Err))
	}
	return ""
}

// reason says in a few words what went wrong.
func reason(err error) string {
	if cut, ok := errors.AsType[*strategies.StreamError](err); ok {
		return fmt.Sprintf("cut off after %d chunks, %s", cut.Chunks, reason(cut.Err))
	}
	if late, ok := errors.AsType[*strategies.TimeoutError](err); ok {
		return fmt.Sprintf("silent for %v (%s)", late.After, late.Limit)
	}
	if api, ok := errors.AsType[*openai.Error](err); ok {
		return fmt.Sprintf("%d %s", api.StatusCode, cmp.Or(api.Code, strings.ToLower(http.StatusText(api.StatusCode))))
	}
	if transport, ok := errors.AsType[*url.Error](err); ok {
		err = transport.Err // without the address, which changes from run to run
	}
	return strings.TrimPrefix(err.Error(), "understudy: ")
}
