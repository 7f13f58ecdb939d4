package eino_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/flow/agent/react"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

func wrapped(t *testing.T, m model.ToolCallingChatModel, settings func(*eino.Builder)) *eino.ChatModel {
	t.Helper()
	g, err := eino.Wrap(m, settings)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// asks calls a model in both ways.
func asks(t *testing.T, m model.BaseChatModel) (answers [2]string, errs [2]error) {
	t.Helper()
	answer, err := m.Generate(t.Context(), question)
	if errs[0] = err; err == nil {
		answers[0] = answer.Content
	}
	reader, err := m.Stream(t.Context(), question)
	if errs[1] = err; err == nil {
		answers[1], errs[1] = drain(reader)
	}
	return answers, errs
}

func TestToolsStillBind(t *testing.T) {
	t.Parallel()
	door := []*schema.ToolInfo{{Name: "open_door", Desc: "opens the door"}}
	names := func(w *wire) (tools []int) {
		for _, r := range w.requests() {
			tools = append(tools, len(r.Tools))
		}
		return tools
	}
	t.Run("it sends bound tools with every attempt, and to stand-ins", func(t *testing.T) {
		narrator, archivist := serve(t, unavailable), serve(t, callsDoor)
		g := wrapped(t, connectTo(t, narrator.URL, "narrator"), func(b *eino.Builder) {
			b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Millisecond}}).
				Fallback("archivist", eino.StandIn(connectTo(t, archivist.URL, "archivist")))
		})
		bound, err := g.WithTools(door)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := bound.Generate(t.Context(), question)
		if err != nil || len(answer.ToolCalls) != 1 || answer.ToolCalls[0].Function.Name != "open_door" {
			t.Errorf("got %v, %v", answer, err)
		}
		if !slices.Equal(names(narrator), []int{1, 1}) || !slices.Equal(names(archivist), []int{1}) {
			t.Errorf("the requests had %v and %v tools", names(narrator), names(archivist))
		}
		if _, err := g.Generate(t.Context(), question); err != nil || names(archivist)[1] != 0 {
			t.Errorf("the model they were not bound to sent %v tools, %v", names(archivist), err)
		}
		if g.Guarded().Health().Failures != bound.(*eino.ChatModel).Guarded().Health().Failures {
			t.Error("the chain is not the same one")
		}
	})
	t.Run("it binds them to a stand-in that cannot, by an option", func(t *testing.T) {
		narrator, archivist := serve(t, unavailable), serve(t, callsDoor)
		plain := struct{ model.BaseChatModel }{connectTo(t, archivist.URL, "archivist")}
		g, err := wrapped(t, connectTo(t, narrator.URL, "narrator"), func(b *eino.Builder) {
			b.Fallback("archivist", eino.StandIn(plain))
		}).WithTools(door)
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := asks(t, g); errs != [2]error{} || !slices.Equal(names(archivist), []int{1, 1}) {
			t.Errorf("the requests had %v tools, %v", names(archivist), errs)
		}
	})
	t.Run("it serves eino's react agent", func(t *testing.T) {
		server := serve(t, unavailable, callsDoor, unavailable, saysHello)
		ran, door := doors(t, 0)["plain"]()
		config := &react.AgentConfig{ToolCallingModel: wrapped(t, connectTo(t, server.URL, "gpt"), func(b *eino.Builder) { b.Retry(soon) })}
		config.ToolsConfig.Tools = []tool.BaseTool{door}
		agent, err := react.NewAgent(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := agent.Generate(t.Context(), question)
		if err != nil || answer.Content != "Hello" || ran.runs != 1 || !slices.Equal(names(server), []int{1, 1, 1, 1}) {
			t.Errorf("got %v, %v, %d runs, requests with %v tools", answer, err, ran.runs, names(server))
		}
	})
	t.Run("it returns the model's error if they do not bind", func(t *testing.T) {
		if g, err := wrapped(t, &scripted{}, func(*eino.Builder) {}).WithTools(nil); g != nil || err == nil || err.Error() != "no tools to bind" {
			t.Errorf("got %v, %v", g, err)
		}
	})
	t.Run("it brings a guarded stand-in's own layers, model and tools", func(t *testing.T) {
		narrator, archivist := serve(t, unavailable), serve(t, callsDoor, broken) // of its own: it is no failure of the request
		breaker := &strategies.Breaker{Failures: 1}
		own := wrapped(t, connectTo(t, archivist.URL, "archivist"), func(b *eino.Builder) { b.Named("archivist").CircuitBreaker(breaker) })
		g, err := wrapped(t, connectTo(t, narrator.URL, "narrator"), func(b *eino.Builder) {
			b.Fallback("archivist", eino.StandIn(own))
		}).WithTools(door)
		if err != nil {
			t.Fatal(err)
		}
		_, errs := asks(t, g)
		if errs[0] != nil || errs[1] == nil || breaker.State() != strategies.StateOpen {
			t.Errorf("got %v, its breaker is %v", errs, breaker.State())
		}
		if !slices.Equal(names(archivist), []int{1, 1}) || archivist.requests()[0].Model != "archivist" {
			t.Errorf("it sent %+v", archivist.requests())
		}
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	short := strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Millisecond}}
	for it, tt := range map[string]struct {
		answer   string
		settings func(*eino.Builder)
		want     string
		class    strategies.Class // of the error; 0: none
		requests int              // of one call
	}{
		"does not repeat what a filter stopped":     {isFiltered, func(b *eino.Builder) { b.Retry(short) }, "", strategies.ClassBlocked, 1},
		"answers in a reduced way what it stopped":  {isFiltered, func(b *eino.Builder) { b.Retry(short).Degrade(strategies.LevelReduced, eino.Reply("No.")) }, "No.", 0, 1},
		"repeats what is empty":                     {saysNothing, func(b *eino.Builder) { b.Retry(short) }, "", strategies.ClassInvalidAnswer, 2},
		"repeats what is cut short":                 {isTruncated, func(b *eino.Builder) { b.Retry(short) }, "", strategies.ClassInvalidAnswer, 2},
		"puts an answer in several pieces together": {unavailable, func(b *eino.Builder) { b.Degrade(strategies.LevelMinimal, pieces("La", "ter.")) }, "Later.", 0, 1},
		"validates chunk and message by the same":   {saysHello, func(b *eino.Builder) { b.Retry(short).Validate(noHello) }, "", strategies.ClassInvalidAnswer, 2},
		"delivers only whole streams, if told to":   {saysHello, func(b *eino.Builder) { b.Buffer(100).Complete(eino.Ends) }, "Hello", 0, 1},
		"finds a whole answer by its finish reason": {saysHello, func(b *eino.Builder) { b.Complete(eino.Ends) }, "Hello", 0, 1},
		"bounds every silence, and the whole":       {saysHello, func(b *eino.Builder) { b.Idle(time.Minute).Deadline(time.Minute) }, "Hello", 0, 1},
	} {
		t.Run("it "+it, func(t *testing.T) {
			for way, ask := range ways() {
				server := serve(t, tt.answer)
				answer, err := ask(t.Context(), connectTo(t, server.URL, "gpt"), tt.settings)
				if (err == nil) != (tt.class == 0) || err == nil && answer.Content != tt.want || err != nil && strategies.Classify(err).Class != tt.class {
					t.Errorf("%s: got %v, %v", way, answer, err)
				}
				conformance.Requests(t, way, len(server.requests()), tt.requests)
			}
		})
	}
	t.Run("it says what the reason was", func(t *testing.T) {
		_, errs := asks(t, wrapped(t, connectTo(t, serve(t, isFiltered).URL, "gpt"), func(*eino.Builder) {}))
		for _, err := range errs {
			if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Provider != "eino" || e.Reason != "content_filter" || e.Text != "He" {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("it marks what a model said on a rung, on a copy", func(t *testing.T) {
		shared := schema.AssistantMessage("Later.", nil)
		g := wrapped(t, &scripted{err: errors.New("down"), atOnce: true}, func(b *eino.Builder) {
			b.Degrade(strategies.LevelMinimal, eino.StandIn(&scripted{says: []*schema.Message{shared}}))
		})
		answer, err := g.Generate(t.Context(), question)
		if err != nil || eino.Level(answer) != strategies.LevelMinimal || eino.Level(shared) != strategies.LevelFull || eino.Level[*schema.Message](nil) != strategies.LevelFull {
			t.Errorf("got %v, %v; the model's own is %v", answer, err, shared)
		}
	})
	t.Run("it gives a stand-in's message the id that eino gives to others", func(t *testing.T) {
		for _, streaming := range []bool{false, true} {
			answer, err := handled(t.Context(), &scripted{err: errors.New("down"), atOnce: true}, func(b *eino.Builder) {
				b.Fallback("archivist", eino.StandIn(&scripted{says: []*schema.Message{schema.AssistantMessage("Hel", nil), schema.AssistantMessage("lo", nil)}}))
			}, streaming)
			if err != nil || answer.Content != "Hello" || len(adk.GetMessageID(answer)) != 36 {
				t.Errorf("got %v, %v", answer, err)
			}
		}
	})
}

func pieces(texts ...string) eino.Agent {
	var chunks []*schema.Message
	for _, text := range texts {
		chunks = append(chunks, schema.AssistantMessage(text, nil))
	}
	return middleware.Chunks[eino.Call](chunks...)
}

func noHello(_ context.Context, _ eino.Call, m *schema.Message) error {
	if m.Content == "Hello" {
		return errors.New("too friendly")
	}
	return nil
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	server := play(t, script(slices.Repeat([]endpoint.Fault{endpoint.Status(503), endpoint.CutAfter(0)}, 4)...))
	g := wrapped(t, connect(t, server, "narrator"), func(b *eino.Builder) {
		b.Retry(strategies.Retry{MaxRetries: 8, Backoff: strategies.Delays{time.Millisecond}})
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if answers, errs := asks(t, g); errs != [2]error{} || answers[0] != answers[1] {
				t.Errorf("got %q, %v", answers, errs)
			}
		})
	}
	all.Wait()
	conformance.Requests(t, "narrator", server.Requests("narrator"), 16+8)
}
