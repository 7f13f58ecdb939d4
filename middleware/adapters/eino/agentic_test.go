package eino_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/schema"
	"github.com/cloudwego/eino/schema/claude"
	"github.com/cloudwego/eino/schema/gemini"
	"github.com/cloudwego/eino/schema/openai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

var (
	_ model.ToolCallingChatModel                                    = (*eino.ChatModel)(nil)
	_ model.AgenticModel                                            = (*eino.AgenticModel)(nil)
	_ adk.TypedChatModelAgentMiddleware[*schema.AgenticMessage]     = (*eino.AgenticHandler)(nil)
	_ middleware.Streamer[eino.AgenticCall, *schema.AgenticMessage] = eino.ReplyAgentic("")
)

// agentic is a model of agentic messages: each call has its own pieces, and an
// error at once, or after them.
type agentic struct {
	calls  int
	turns  [][]*schema.AgenticMessage
	err    error
	atOnce bool
}

func (a *agentic) next() []*schema.AgenticMessage {
	a.calls++
	return a.turns[min(a.calls, len(a.turns))-1]
}

func (a *agentic) Generate(context.Context, []*schema.AgenticMessage, ...model.Option) (*schema.AgenticMessage, error) {
	if a.err != nil {
		a.calls++
		return nil, a.err
	}
	return schema.ConcatAgenticMessages(a.next())
}

func (a *agentic) Stream(context.Context, []*schema.AgenticMessage, ...model.Option) (*schema.StreamReader[*schema.AgenticMessage], error) {
	if a.atOnce {
		a.calls++
		return nil, a.err
	}
	pieces := a.next()
	reader, writer := schema.Pipe[*schema.AgenticMessage](len(pieces) + 1)
	for _, m := range pieces {
		writer.Send(m, nil)
	}
	if a.err != nil {
		writer.Send(nil, a.err)
	}
	writer.Close()
	return reader, nil
}

func block[T schema.AssistantGenText | schema.Reasoning | schema.FunctionToolCall](index int, content T) *schema.AgenticMessage {
	b := &schema.ContentBlock{StreamingMeta: &schema.StreamingMeta{Index: index}}
	switch c := any(content).(type) {
	case schema.AssistantGenText:
		b.Type, b.AssistantGenText = schema.ContentBlockTypeAssistantGenText, &c
	case schema.Reasoning:
		b.Type, b.Reasoning = schema.ContentBlockTypeReasoning, &c
	case schema.FunctionToolCall:
		b.Type, b.FunctionToolCall = schema.ContentBlockTypeFunctionToolCall, &c
	}
	return &schema.AgenticMessage{Role: schema.AgenticRoleTypeAssistant, ContentBlocks: []*schema.ContentBlock{b}}
}

func text(s string) *schema.AgenticMessage { return block(0, schema.AssistantGenText{Text: s}) }

func callOf(name, arguments string) *schema.AgenticMessage {
	return block(0, schema.FunctionToolCall{CallID: "1", Name: name, Arguments: arguments})
}

func meta(m schema.AgenticResponseMeta) *schema.AgenticMessage {
	return &schema.AgenticMessage{Role: schema.AgenticRoleTypeAssistant, ResponseMeta: &m}
}

func status(s openai.ResponseStatus, because string) *schema.AgenticMessage {
	e := &openai.ResponseMetaExtension{Status: s}
	if because != "" {
		e.IncompleteDetails = &openai.IncompleteDetails{Reason: because}
	}
	return meta(schema.AgenticResponseMeta{OpenAIExtension: e})
}

func geminiSays(reason string) *schema.AgenticMessage {
	return meta(schema.AgenticResponseMeta{GeminiExtension: &gemini.ResponseMetaExtension{FinishReason: reason}})
}

func claudeSays(reason string) *schema.AgenticMessage {
	return meta(schema.AgenticResponseMeta{ClaudeExtension: &claude.ResponseMetaExtension{StopReason: reason}})
}

func spoken(m *schema.AgenticMessage) (said string) {
	for _, b := range m.ContentBlocks {
		if b.AssistantGenText != nil {
			said += b.AssistantGenText.Text
		}
	}
	return said
}

// asksAgentic calls a model in both ways.
func asksAgentic(t *testing.T, m model.AgenticModel) (answers [2]*schema.AgenticMessage, errs [2]error) {
	t.Helper()
	input := []*schema.AgenticMessage{schema.UserAgenticMessage("Who is at the door?")}
	answers[0], errs[0] = m.Generate(t.Context(), input)
	reader, err := m.Stream(t.Context(), input)
	if err != nil {
		errs[1] = err
		return answers, errs
	}
	defer reader.Close()
	var pieces []*schema.AgenticMessage
	for {
		piece, err := reader.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			errs[1] = err
			return answers, errs
		}
		pieces = append(pieces, piece)
	}
	answers[1], errs[1] = schema.ConcatAgenticMessages(pieces)
	return answers, errs
}

func wrappedAgentic(t *testing.T, m model.AgenticModel, settings func(*eino.AgenticBuilder)) *eino.AgenticModel {
	t.Helper()
	g, err := eino.WrapAgentic(m, settings)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The agentic messages of each provider say in their own place how they ended.
func TestAgenticFinishReasons(t *testing.T) {
	t.Parallel()
	invalid, blocked := strategies.ClassInvalidAnswer, strategies.ClassBlocked
	failed := meta(schema.AgenticResponseMeta{OpenAIExtension: &openai.ResponseMetaExtension{
		Status: openai.ResponseStatusFailed, Error: &openai.ResponseError{Code: openai.ResponseErrorCodeRateLimitExceeded, Message: "slow down"},
	}})
	for it, tt := range map[string]struct {
		end   *schema.AgenticMessage
		want  string // "": it is whole
		class strategies.Class
	}{
		"OpenAI, completed":       {end: status(openai.ResponseStatusCompleted, "")},
		"OpenAI, by a limit":      {status(openai.ResponseStatusIncomplete, "max_output_tokens"), "max_output_tokens", invalid},
		"OpenAI, by a filter":     {status(openai.ResponseStatusIncomplete, "content_filter"), "content_filter", blocked},
		"OpenAI, incomplete":      {status(openai.ResponseStatusIncomplete, ""), "incomplete", invalid},
		"OpenAI, canceled":        {status(openai.ResponseStatusCancelled, ""), "cancelled", invalid},
		"OpenAI, cut":             {status(openai.ResponseStatusInProgress, ""), eino.Unfinished, invalid},
		"OpenAI, not begun":       {status(openai.ResponseStatusQueued, ""), eino.Unfinished, invalid},
		"OpenAI, failed":          {failed, "rate_limit_exceeded", strategies.ClassRateLimited},
		"Claude, at the end":      {end: claudeSays("end_turn")},
		"Claude, for a tool":      {end: claudeSays("tool_use")},
		"Claude, by a limit":      {claudeSays("max_tokens"), "max_tokens", invalid},
		"Claude, refused":         {claudeSays("refusal"), "refusal", blocked},
		"Claude, paused":          {claudeSays("pause_turn"), "pause_turn", invalid},
		"Claude, by the window":   {claudeSays("model_context_window_exceeded"), "model_context_window_exceeded", strategies.ClassContextOverflow},
		"Claude, cut":             {claudeSays(""), eino.Unfinished, invalid},
		"Gemini, at the end":      {end: geminiSays("STOP")},
		"Gemini, by a limit":      {geminiSays("MAX_TOKENS"), "MAX_TOKENS", invalid},
		"Gemini, for safety":      {geminiSays("SAFETY"), "SAFETY", blocked},
		"Gemini, a broken call":   {geminiSays("MALFORMED_FUNCTION_CALL"), "MALFORMED_FUNCTION_CALL", invalid},
		"Gemini, unspecified":     {geminiSays("FINISH_REASON_UNSPECIFIED"), eino.Unfinished, invalid},
		"Gemini, cut":             {geminiSays(""), eino.Unfinished, invalid},
		"a word nobody knows":     {claudeSays("the moon is full"), "the moon is full", invalid},
		"another nobody knows":    {geminiSays("THE_SUN_IS_DOWN"), "THE_SUN_IS_DOWN", invalid},
		"a status nobody knows":   {status("archived", ""), "archived", invalid},
		"one that tells nothing":  {end: &schema.AgenticMessage{Role: schema.AgenticRoleTypeAssistant}},
		"one that tells its cost": {end: meta(schema.AgenticResponseMeta{TokenUsage: &schema.TokenUsage{TotalTokens: 2}})},
	} {
		for says, begin := range map[string]*schema.AgenticMessage{"text": text("Hello"), "a call": callOf("open_door", "{}")} {
			for _, streaming := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, streaming %v", it, says, streaming), func(t *testing.T) {
					m := &agentic{turns: [][]*schema.AgenticMessage{{begin, tt.end}, {text("Hello"), claudeSays("end_turn")}}}
					said, runs, err := agenticAgent(t, m, streaming, func(*eino.AgenticBuilder) {})
					if tt.want == "" {
						want := map[string]int{"a call": 1}[says]
						if err != nil || said != "Hello" || runs != want || m.calls != 1+want {
							t.Errorf("got %q, %v; %d runs, %d calls", said, err, runs, m.calls)
						}
						return
					}
					e, ok := errors.AsType[*strategies.AnswerError](err)
					if !ok || e.Provider != "eino" || e.Reason != tt.want || e.RecoveryClass() != tt.class || runs != 0 || m.calls != 1 {
						t.Errorf("got %q, %v; %d runs, %d calls", said, err, runs, m.calls)
					}
				})
			}
		}
	}
}

// agenticAgent asks an agent of eino's own whose model has agentic messages.
func agenticAgent(t *testing.T, m model.AgenticModel, streaming bool, settings func(*eino.AgenticBuilder)) (said string, runs int, err error) {
	t.Helper()
	ran, door := doors(t, 0)["plain"]()
	h, err := eino.HandlerAgentic(settings)
	if err != nil {
		t.Fatal(err)
	}
	config := &adk.TypedChatModelAgentConfig[*schema.AgenticMessage]{
		Name: "narrator", Description: "tells the story", Model: m, Handlers: []adk.TypedChatModelAgentMiddleware[*schema.AgenticMessage]{h},
	}
	config.ToolsConfig.Tools = []tool.BaseTool{door}
	a, err := adk.NewTypedChatModelAgent(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	r := adk.NewTypedRunner(adk.TypedRunnerConfig[*schema.AgenticMessage]{Agent: a, EnableStreaming: streaming})
	events := r.Query(t.Context(), "Open the door")
	for {
		event, more := events.Next()
		if !more {
			return said, ran.runs, err
		}
		if event.Err != nil {
			err = event.Err
		} else if event.Output != nil && event.Output.MessageOutput != nil {
			answer, aerr := event.Output.MessageOutput.GetMessage()
			if aerr != nil {
				err = aerr
			} else {
				said = spoken(answer)
			}
		}
	}
}

func TestAgenticModels(t *testing.T) {
	t.Parallel()
	hello := []*schema.AgenticMessage{text("Hel"), text("lo"), claudeSays("end_turn")}
	down := func() *agentic { return &agentic{err: errors.New("down"), atOnce: true} }
	for it, tt := range map[string]struct {
		model    *agentic
		settings func(*eino.AgenticBuilder)
		want     string
		level    strategies.Level
		calls    int // of both ways together
	}{
		"answers": {&agentic{turns: [][]*schema.AgenticMessage{hello}}, func(*eino.AgenticBuilder) {}, "Hello", strategies.LevelFull, 2},
		"repeats what is no whole answer": {&agentic{turns: [][]*schema.AgenticMessage{{callOf("open_door", `{"door":`), claudeSays("tool_use")}, hello}},
			func(b *eino.AgenticBuilder) { b.Retry(soon) }, "Hello", strategies.LevelFull, 3},
		"asks a stand-in": {down(), func(b *eino.AgenticBuilder) {
			b.Fallback("other", eino.StandInAgentic(&agentic{turns: [][]*schema.AgenticMessage{hello}}))
		}, "Hello", strategies.LevelFull, 2},
		"asks one with layers of its own": {down(), func(b *eino.AgenticBuilder) {
			b.Fallback("other", eino.StandInAgentic(wrappedAgentic(t, &agentic{turns: [][]*schema.AgenticMessage{hello}}, func(b *eino.AgenticBuilder) { b.Named("other") })))
		}, "Hello", strategies.LevelFull, 2},
		"answers in a reduced way": {down(), func(b *eino.AgenticBuilder) { b.Degrade(strategies.LevelReduced, eino.ReplyAgentic("Later.")) }, "Later.", strategies.LevelReduced, 2},
		"marks the model of a rung": {down(), func(b *eino.AgenticBuilder) {
			b.Degrade(strategies.LevelMinimal, eino.StandInAgentic(&agentic{turns: [][]*schema.AgenticMessage{hello}}))
		}, "Hello", strategies.LevelMinimal, 2},
		"takes the end, whatever comes then": {&agentic{turns: [][]*schema.AgenticMessage{hello}}, func(b *eino.AgenticBuilder) { b.Commit(eino.SaysThinking).Complete(eino.Ends) }, "Hello", strategies.LevelFull, 2},
	} {
		t.Run("it "+it, func(t *testing.T) {
			answers, errs := asksAgentic(t, wrappedAgentic(t, tt.model, tt.settings))
			for i, answer := range answers {
				if errs[i] != nil || spoken(answer) != tt.want || eino.Level(answer) != tt.level {
					t.Errorf("got %v, %v", answer, errs[i])
				}
			}
			if tt.model.calls != tt.calls {
				t.Errorf("%d calls, want %d", tt.model.calls, tt.calls)
			}
		})
	}
	t.Run("it asks the stand-in of an agent, and tells eino's callbacks of it", func(t *testing.T) {
		for _, streaming := range []bool{false, true} {
			for _, err := range []error{nil, errors.New("down too")} {
				other := &agentic{turns: [][]*schema.AgenticMessage{hello}, err: err, atOnce: err != nil}
				said, _, got := agenticAgent(t, down(), streaming, func(b *eino.AgenticBuilder) { b.Fallback("other", eino.StandInAgentic(other)) })
				if (got != nil) != (err != nil) || err == nil && said != "Hello" || other.calls != 1 {
					t.Errorf("got %q, %v; %d calls", said, got, other.calls)
				}
			}
		}
	})
	t.Run("it takes images, and what the provider's own tools did, for an answer", func(t *testing.T) {
		for kind, b := range map[string]*schema.ContentBlock{
			"image": {Type: schema.ContentBlockTypeAssistantGenImage, AssistantGenImage: &schema.AssistantGenImage{URL: "x"}},
			"tool":  {Type: schema.ContentBlockTypeServerToolCall, ServerToolCall: &schema.ServerToolCall{Name: "search"}},
		} {
			m := &schema.AgenticMessage{Role: schema.AgenticRoleTypeAssistant, ContentBlocks: []*schema.ContentBlock{nil, b}}
			_, errs := asksAgentic(t, wrappedAgentic(t, &agentic{turns: [][]*schema.AgenticMessage{{m, claudeSays("end_turn")}}}, func(*eino.AgenticBuilder) {}))
			if errs != [2]error{} {
				t.Errorf("%s: %v", kind, errs)
			}
			if eino.Says(m) != (kind == "image") {
				t.Errorf("it says of the %s that it says something: %v", kind, eino.Says(m))
			}
		}
	})
	t.Run("it takes what comes after the end for nothing", func(t *testing.T) {
		m := &agentic{turns: [][]*schema.AgenticMessage{hello}, err: errors.New("reset")}
		answers, errs := asksAgentic(t, wrappedAgentic(t, m, func(*eino.AgenticBuilder) {}))
		if errs[0] == nil || errs[1] != nil || spoken(answers[1]) != "Hello" {
			t.Errorf("got %v, %v", answers, errs)
		}
	})
	t.Run("it takes a refusal for blocked, and reasoning alone for empty", func(t *testing.T) {
		refusal := block(0, schema.AssistantGenText{OpenAIExtension: &openai.AssistantGenTextExtension{Refusal: &openai.OutputRefusal{Reason: "no"}}})
		for want, pieces := range map[string][]*schema.AgenticMessage{
			"refusal": {refusal, status(openai.ResponseStatusCompleted, "")}, eino.Empty: {block(0, schema.Reasoning{Text: "Hm"}), claudeSays("end_turn")},
		} {
			g := wrappedAgentic(t, &agentic{turns: [][]*schema.AgenticMessage{pieces}}, func(*eino.AgenticBuilder) {})
			_, errs := asksAgentic(t, g)
			for _, err := range errs {
				if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != want {
					t.Errorf("%s: got %v", want, err)
				}
			}
			if _, errs := asksAgentic(t, g.Accept(want, eino.Empty)); errs != [2]error{} {
				t.Errorf("%s, accepted: got %v", want, errs)
			}
		}
	})
	t.Run("it refuses nonsense", func(t *testing.T) {
		for _, build := range []func() error{
			func() error { _, err := eino.WrapAgentic(nil, func(*eino.AgenticBuilder) {}); return err },
			func() error { _, err := eino.WrapAgentic(&agentic{}, nil); return err },
			func() error {
				_, err := eino.HandlerAgentic(func(b *eino.AgenticBuilder) { b.Fallback("x", eino.StandInAgentic(nil)) })
				return err
			},
		} {
			if err := build(); !errors.Is(err, strategies.ErrConfig) {
				t.Errorf("got %v", err)
			}
		}
	})
}
