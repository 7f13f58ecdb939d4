package main

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A prompt asks for a paragraph, of which some may have been said already.
type prompt struct{ ask, said string }

// A piece is what the agent makes of a chunk. The first of a stream says nothing, and neither
// does the last, which says instead why the model stopped.
type piece struct{ model, text, finish string }

func newClient(url string, word time.Duration) openai.Client {
	return openai.NewClient(
		option.WithBaseURL(url),
		option.WithAPIKey("none needed"),
		option.WithMaxRetries(0), // or each of our retries is three of the client's
		option.WithHTTPClient(&http.Client{Transport: &wire{next: http.DefaultTransport, gap: word}}),
	)
}

// stream makes an agent of a model: the whole of what a program has to write.
func stream(client openai.Client, model string) func(context.Context, prompt) iter.Seq2[piece, error] {
	return func(ctx context.Context, p prompt) iter.Seq2[piece, error] {
		return func(yield func(piece, error) bool) {
			answer := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{Model: model, Messages: p.messages()})
			defer answer.Close()
			for answer.Next() {
				chunk := answer.Current()
				if len(chunk.Choices) == 0 {
					continue
				}
				c := chunk.Choices[0]
				if !yield(piece{chunk.Model, c.Delta.Content, c.FinishReason}, nil) {
					return
				}
			}
			if err := answer.Err(); err != nil { // nil also where the stream just ended: see complete
				yield(piece{}, err)
			}
		}
	}
}

const goOn = "Go on where you stopped. Do not repeat a word."

func (p prompt) messages() []openai.ChatCompletionMessageParamUnion {
	m := []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("You tell an old story of the river, a paragraph at a time."),
		openai.UserMessage(p.ask),
	}
	if p.said != "" {
		m = append(m, openai.AssistantMessage(p.said), openai.UserMessage(goOn))
	}
	return m
}

// says is the commit rule: until a word has come, everything can be taken back.
func says(p piece) bool { return p.text != "" }

// complete knows the last piece of a whole answer.
func complete(p piece) bool { return p.finish == "stop" }

// resume asks for the rest of a paragraph, unless all of it is there.
func resume(_ context.Context, p prompt, sent []piece) (prompt, bool) {
	var said strings.Builder
	said.WriteString(p.said)
	for _, each := range sent {
		if complete(each) {
			return p, false
		}
		said.WriteString(each.text)
	}
	return prompt{ask: p.ask, said: said.String()}, true
}

// A policy is what happens to a stream that breaks off after its first word.
type policy int

const (
	terminate policy = iota // the default
	carryOn
	buffer
)

func (p policy) String() string { return [...]string{"terminate", "continue", "buffer"}[p] }

// newTeller guards the bard. Its layers are those of any agent; only the last lines are for
// one that streams.
func newTeller(client openai.Client, how policy, t timing, watch middleware.Observer) (*middleware.GuardedStream[prompt, piece], error) {
	b := middleware.WrapStreamFunc(stream(client, "bard")).
		Named("bard").
		Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{t.retry}}).
		Fallback("sage", middleware.StreamFunc(stream(client, "sage"))).
		Degrade(strategies.LevelMinimal, middleware.Chunks[prompt](sorry...)).
		Observe(watch).
		Complete(complete).
		Idle(t.idle)
	switch how {
	case terminate:
		b.Commit(says).Timeout(t.first)
	case carryOn:
		b.Commit(says).Timeout(t.first).Continue(2, resume)
	case buffer:
		b.Timeout(t.whole).Buffer(1000) // nothing is said before all is there
	default:
		return nil, fmt.Errorf("no policy %d", how)
	}
	return b.Build()
}

// timing is every delay of the show, for one pace.
type timing struct {
	word, beat, retry  time.Duration
	first, idle, whole time.Duration
}

func timingOf(pace float64) timing {
	scale := func(d time.Duration) time.Duration { return time.Duration(float64(d) * pace) }
	return timing{
		word: scale(20 * time.Millisecond), beat: scale(200 * time.Millisecond), retry: scale(200 * time.Millisecond),
		// However fast the show and busy the machine, a healthy stream must not look like one
		// that stalls.
		first: max(scale(2*time.Second), 2*time.Second),
		idle:  max(scale(2*time.Second), 2*time.Second),
		whole: max(scale(10*time.Second), 10*time.Second),
	}
}
