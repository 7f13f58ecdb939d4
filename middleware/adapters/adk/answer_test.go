package adk_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const (
		blocked = strategies.ClassBlocked
		invalid = strategies.ClassInvalidAnswer
	)
	prompt := func(reason string) string { return `{"promptFeedback":{"blockReason":"` + reason + `"}}` }
	thought := `{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"text":"Hm","thought":true}]}}]}`
	for _, tt := range []struct {
		it     string
		answer string
		accept genai.FinishReason
		want   string // "": it is an answer
		class  strategies.Class
		form   string // "": both
	}{
		{it: "takes text", answer: wire.Candidate("Hello", "STOP")},
		{it: "takes nothing but thoughts for empty", answer: thought, want: adk.Empty, class: invalid},
		{it: "leaves them to the framework, which asks again, if told to", answer: thought, accept: adk.Empty},
		{it: "takes a call of a tool", answer: `{"candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"f"}}]}}]}`},
		{it: "does without a finish reason if told to, whole", answer: wire.Candidate("Hello", ""), accept: adk.Unfinished, form: "whole"},
		{it: "misses a finish reason, whole", answer: wire.Candidate("Hello", ""), want: adk.Unfinished, class: invalid, form: "whole"},
		{it: "misses one where it is unspecified", answer: wire.Candidate("Hello", "FINISH_REASON_UNSPECIFIED"), want: adk.Unfinished, class: invalid},

		{it: "knows what is held back, without content", answer: wire.Candidate("", "SAFETY"), want: string(genai.FinishReasonSafety), class: blocked},
		{it: "knows what is held back, with content", answer: wire.Candidate("Hel", "RECITATION"), want: string(genai.FinishReasonRecitation), class: blocked},
		{it: "knows a broken call of a tool", answer: wire.Candidate("", "MALFORMED_FUNCTION_CALL"), want: string(genai.FinishReasonMalformedFunctionCall), class: invalid},
		{it: "knows other reasons", answer: wire.Candidate("", "OTHER"), want: string(genai.FinishReasonOther), class: invalid},
		{it: "knows a truncated one, without content", answer: wire.Candidate("", "MAX_TOKENS"), want: string(genai.FinishReasonMaxTokens), class: invalid},
		{it: "knows a truncated one, with content", answer: wire.Candidate("Hel", "MAX_TOKENS"), want: string(genai.FinishReasonMaxTokens), class: invalid},
		{it: "accepts a truncated one if told to", answer: wire.Candidate("Hel", "MAX_TOKENS"), accept: genai.FinishReasonMaxTokens},
		{it: "does not accept one cut before its first word", answer: wire.Candidate("", "MAX_TOKENS"), accept: genai.FinishReasonMaxTokens, want: adk.Empty, class: invalid},
		{it: "takes no content for empty", answer: wire.Candidate("", "STOP"), want: adk.Empty, class: invalid},
		{it: "takes an empty text for empty", answer: `{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"text":""}]}}]}`, want: adk.Empty, class: invalid},
		{it: "takes no candidates for empty, whatever the reason was", answer: prompt("SAFETY"), want: adk.Empty, class: invalid, form: "whole"},
		{it: "knows a blocked prompt", answer: prompt("SAFETY"), want: "SAFETY", class: blocked, form: "streamed"},
		{it: "knows a prompt blocked for other reasons", answer: prompt("OTHER"), want: "OTHER", class: blocked, form: "streamed"},
		{it: "knows a jailbreak", answer: prompt("JAILBREAK"), want: "JAILBREAK", class: blocked, form: "streamed"},
		{it: "misses a finish reason", answer: wire.Candidate("Hel", ""), want: adk.Unfinished, class: invalid, form: "streamed"},
		{it: "does without a finish reason if told to", answer: wire.Candidate("Hel", ""), accept: adk.Unfinished, form: "streamed"},
	} {
		for form, answer := range map[string]wire.Answer{"whole": wire.Body(tt.answer), "streamed": wire.Events(tt.answer)} {
			if tt.form != "" && tt.form != form {
				continue
			}
			t.Run("it "+tt.it+", "+form, func(t *testing.T) {
				server := play(t, answers{"narrator": {answer}})
				agent := adk.LLM(google(t, server.URL(), "narrator")).Accept(tt.accept)
				call := adk.Call{Request: &model.LLMRequest{Contents: genai.Text("Who?")}, Stream: form == "streamed"}
				_, err := middleware.Collect(agent.Stream(t.Context(), call))
				if n := server.Requests("narrator"); n != 1 {
					t.Errorf("%d requests", n)
				}
				if tt.want == "" {
					if err != nil {
						t.Errorf("got %v", err)
					}
					return
				}
				e, ok := errors.AsType[*strategies.AnswerError](err)
				if !ok || e.Provider != "adk" || e.Reason != tt.want || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("got %v", err)
				}
				class(t, err, tt.class)
			})
		}
	}
}

// script is a model that says what it is told to.
type script struct {
	responses []*model.LLMResponse
	asked     []*model.LLMRequest
}

func (s *script) Name() string { return "script" }

func (s *script) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	s.asked = append(s.asked, req)
	return func(yield func(*model.LLMResponse, error) bool) {
		for _, r := range s.responses {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func says(word string) *model.LLMResponse {
	return &model.LLMResponse{Content: genai.NewContentFromText(word, genai.RoleModel)}
}

func TestOtherModels(t *testing.T) {
	t.Parallel()
	piece := says("Hel")
	piece.Partial = true
	for _, tt := range []struct {
		it        string
		responses []*model.LLMResponse
		want      string
		class     strategies.Class
	}{
		{it: "wants no finish reason of a model that is not Google's", responses: []*model.LLMResponse{piece, says("Hello")}},
		{it: "misses one that is unspecified", responses: []*model.LLMResponse{piece, {Content: says("Hello").Content, FinishReason: genai.FinishReasonUnspecified}}, want: adk.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "steps over a nil", responses: []*model.LLMResponse{nil, says("Hello")}},
		{it: "misses a response that is not partial", responses: []*model.LLMResponse{piece}, want: adk.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "misses any response", want: adk.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "reads the code of a rate limit", responses: []*model.LLMResponse{{ErrorCode: "RESOURCE_EXHAUSTED"}}, want: "RESOURCE_EXHAUSTED", class: strategies.ClassRateLimited},
		{it: "reads the code of a quota", responses: []*model.LLMResponse{{ErrorCode: "insufficient_quota"}}, want: "insufficient_quota", class: strategies.ClassQuotaExhausted},
		{it: "reads a code that is a status", responses: []*model.LLMResponse{{ErrorCode: "529"}}, want: "529", class: strategies.ClassOverloaded},
		{it: "takes a code that nobody knows for transient", responses: []*model.LLMResponse{{ErrorCode: "OH_NO", ErrorMessage: "oh no"}}, want: "OH_NO", class: strategies.ClassTransient},
		{it: "lets the last response sum up", responses: []*model.LLMResponse{{ErrorCode: "OH_NO", Partial: true}, says("Hello")}},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			got, err := middleware.Collect(adk.LLM(&script{responses: tt.responses}).Stream(t.Context(), adk.Call{Stream: true}))
			if tt.want == "" {
				if err != nil || text(got[len(got)-1]) != "Hello" {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != tt.want {
				t.Fatalf("got %v", err)
			}
			class(t, err, tt.class)
		})
	}
	t.Run("it says of what a reader would see that it says something", func(t *testing.T) {
		part := func(p *genai.Part) *model.LLMResponse {
			return &model.LLMResponse{Content: &genai.Content{Parts: []*genai.Part{p}}}
		}
		piece := func(p *genai.Part) *model.LLMResponse {
			r := part(p)
			r.Partial = true
			return r
		}
		for name, tt := range map[string]struct {
			response       *model.LLMResponse
			want, thinking bool
		}{
			"nothing":             {nil, false, false},
			"no content":          {&model.LLMResponse{}, false, false},
			"no part":             {&model.LLMResponse{Content: &genai.Content{}}, false, false},
			"a nil part":          {part(nil), false, false},
			"empty text":          {part(&genai.Part{}), false, false},
			"a signature":         {part(&genai.Part{ThoughtSignature: []byte("x")}), false, false},
			"text":                {says("H"), true, true},
			"a piece of text":     {piece(&genai.Part{Text: "H"}), true, true},
			"a thought":           {piece(&genai.Part{Text: "Hm", Thought: true}), false, true},
			"an empty thought":    {piece(&genai.Part{Thought: true}), false, false},
			"a call":              {part(&genai.Part{FunctionCall: &genai.FunctionCall{}}), true, true},
			"a piece of a call":   {piece(&genai.Part{FunctionCall: &genai.FunctionCall{}}), false, false},
			"an image":            {part(&genai.Part{InlineData: &genai.Blob{}}), true, true},
			"the end of thoughts": {&model.LLMResponse{FinishReason: genai.FinishReasonStop}, true, true},
			"a piece of the end":  {&model.LLMResponse{FinishReason: genai.FinishReasonStop, Partial: true}, false, false},
		} {
			if got := adk.SaysThinking(tt.response); got != tt.thinking {
				t.Errorf("%s, with thoughts: %v", name, got)
			}
			if got := adk.Says(tt.response); got != tt.want {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
}
