package eino_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/callbacks"
	"github.com/cloudwego/eino/components"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

// log counts callbacks by the type of the component.
type log struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *log) note(what string, info *callbacks.RunInfo) {
	if info.Component != components.ComponentOfChatModel {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]int{}
	}
	l.seen[info.Type+" "+what]++
}

func (l *log) handler() callbacks.Handler {
	return callbacks.NewHandlerBuilder().
		OnStartFn(func(ctx context.Context, info *callbacks.RunInfo, _ callbacks.CallbackInput) context.Context {
			l.note("start", info)
			return ctx
		}).
		OnEndFn(func(ctx context.Context, info *callbacks.RunInfo, _ callbacks.CallbackOutput) context.Context {
			l.note("end", info)
			return ctx
		}).
		OnEndWithStreamOutputFn(func(ctx context.Context, info *callbacks.RunInfo, s *schema.StreamReader[callbacks.CallbackOutput]) context.Context {
			s.Close()
			l.note("end", info)
			return ctx
		}).
		OnErrorFn(func(ctx context.Context, info *callbacks.RunInfo, _ error) context.Context {
			l.note("error", info)
			return ctx
		}).Build()
}

func TestCallbacksStillFire(t *testing.T) {
	t.Parallel()
	answer := []*schema.Message{schema.AssistantMessage("Hello", nil)}
	downed := func() *scripted { return &scripted{err: errors.New("down"), atOnce: true} }
	server := play(t, endpoint.Plan{Down: map[string][]endpoint.Outage{"narrator": {{}}}})
	for it, tt := range map[string]struct {
		model   model.ToolCallingChatModel
		standIn model.BaseChatModel
		agent   bool
		want    map[string]int // of one Generate and one Stream
	}{
		"tells of each attempt of a model that tells itself": {
			connect(t, server, "narrator"), connect(t, server, "archivist"), false,
			map[string]int{"OpenAI start": 6, "OpenAI error": 4, "OpenAI end": 2},
		},
		"tells of a stand-in that does not tell itself": {
			connect(t, server, "narrator"), &scripted{says: answer}, false,
			map[string]int{"OpenAI start": 4, "OpenAI error": 4, "scripted start": 2, "scripted end": 2},
		},
		"tells once of a model that leaves it to the graph": {
			downed(), &scripted{says: answer}, false,
			map[string]int{"scripted start": 2, "scripted end": 2},
		},
		"tells of each attempt, and the stand-in, in an agent": {
			downed(), connect(t, server, "archivist"), true,
			map[string]int{"scripted start": 4, "scripted error": 4, "OpenAI start": 2, "OpenAI end": 2},
		},
		"tells of a stand-in that fails too": {
			connect(t, server, "narrator"), downed(), true,
			map[string]int{"OpenAI start": 4, "OpenAI error": 4, "scripted start": 2, "scripted error": 2},
		},
	} {
		t.Run("it "+it, func(t *testing.T) {
			seen := &log{}
			settings := func(b *eino.Builder) {
				b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Millisecond}}).
					Fallback("archivist", eino.StandIn(tt.standIn)).Degrade(strategies.LevelReduced, eino.Reply("Later."))
			}
			for _, streaming := range []bool{false, true} {
				if tt.agent {
					h, err := eino.Handler(settings)
					if err != nil {
						t.Fatal(err)
					}
					r, err := runner(t.Context(), tt.model, streaming, nil, nil, h)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := last(r.Query(t.Context(), "Hello", adk.WithCallbacks(seen.handler()))); err != nil {
						t.Fatal(err)
					}
					continue
				}
				graph := compose.NewChain[[]*schema.Message, *schema.Message]().AppendChatModel(wrapped(t, tt.model, settings))
				run, err := graph.Compile(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if streaming {
					reader, err := run.Stream(t.Context(), question, compose.WithCallbacks(seen.handler()))
					if err != nil {
						t.Fatal(err)
					}
					_, err = drain(reader)
					if err != nil {
						t.Fatal(err)
					}
				} else if _, err := run.Invoke(t.Context(), question, compose.WithCallbacks(seen.handler())); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprint(seen.seen) != fmt.Sprint(tt.want) {
				t.Errorf("got  %v\nwant %v", seen.seen, tt.want)
			}
		})
	}
	t.Run("it goes by the model's own type", func(t *testing.T) {
		own, theirs := wrapped(t, connect(t, server, "narrator"), func(*eino.Builder) {}), wrapped(t, &scripted{}, func(*eino.Builder) {})
		if own.GetType() != "OpenAI" || !own.IsCallbacksEnabled() || theirs.GetType() != "scripted" || theirs.IsCallbacksEnabled() {
			t.Errorf("got %s %v, %s %v", own.GetType(), own.IsCallbacksEnabled(), theirs.GetType(), theirs.IsCallbacksEnabled())
		}
	})
}
