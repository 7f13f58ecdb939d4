package genai_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

// response has these candidates.
func response(candidates ...string) string {
	return `{"candidates":[` + strings.Join(candidates, ",") + `],"responseId":"1"}`
}

// candidate has these parts and this finish reason; "": none.
func candidate(finish string, parts ...string) string {
	s := `{"content":{"role":"model","parts":[` + strings.Join(parts, ",") + `]}`
	if finish != "" {
		s += `,"finishReason":"` + finish + `"`
	}
	return s + `}`
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const (
		hello   = `{"text":"Hello"}`
		thought = `{"text":"Hm","thought":true}`
		unsaid  = strategies.ClassInvalidAnswer
	)
	for _, tt := range []struct {
		it     string
		answer string
		accept sdk.FinishReason
		want   sdk.FinishReason // "": it is an answer
		class  strategies.Class
		text   string
		whole  bool // streams are told apart
	}{
		{it: "takes text", answer: response(candidate("STOP", thought, hello))},
		{it: "takes a call of a function", answer: response(candidate("STOP", `{"functionCall":{"name":"f"}}`))},
		{it: "takes an image", answer: response(candidate("STOP", `{"inlineData":{"mimeType":"image/png","data":""}}`))},
		{it: "takes code", answer: response(candidate("STOP", `{"executableCode":{"code":"1+1","language":"PYTHON"}}`))},
		{it: "takes one good candidate of two", answer: response(candidate("SAFETY"), `{"index":1,"finishReason":"STOP","content":{"parts":[{"text":"Hello"}]}}`)},
		{it: "takes feedback that blocks nothing", answer: `{"promptFeedback":{"safetyRatings":[]},` + response(candidate("STOP", hello))[1:]},
		{it: "takes text without a finish reason", answer: response(candidate("", hello)), whole: true},
		{it: "takes text with an unspecified one", answer: response(candidate("FINISH_REASON_UNSPECIFIED", hello)), whole: true},

		{it: "knows a blocked prompt", answer: `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"no"}}`, want: genai.PromptBlocked, class: strategies.ClassBlocked, text: "no"},
		{it: "knows a jailbreak", answer: `{"promptFeedback":{"blockReason":"JAILBREAK"}}`, want: genai.PromptBlocked, class: strategies.ClassBlocked},
		{it: "knows what is new", answer: response(candidate("SOMETHING_NEW", hello)), want: "SOMETHING_NEW", class: unsaid},
		{it: "judges by the first when none is good", answer: response(candidate("MAX_TOKENS", hello), `{"index":1,"finishReason":"SAFETY"}`), want: sdk.FinishReasonMaxTokens, class: unsaid},
		{it: "takes no text for empty", answer: response(candidate("STOP", `{"text":""}`)), want: genai.Empty, class: unsaid},
		{it: "takes thoughts alone for empty", answer: response(candidate("STOP", thought)), want: genai.Empty, class: unsaid},
		{it: "takes a signature alone for empty", answer: response(candidate("STOP", `{"text":"","thoughtSignature":"YQ=="}`)), want: genai.Empty, class: unsaid},
		{it: "takes no parts for empty", answer: response(candidate("STOP")), want: genai.Empty, class: unsaid},
		{it: "takes an object without candidates for empty", answer: `{}`, want: genai.Empty, class: unsaid, whole: true},
		{it: "takes no body for empty", answer: ``, want: genai.Empty, class: unsaid, whole: true},

		{it: "accepts a truncated one if told to", answer: response(candidate("MAX_TOKENS", hello)), accept: sdk.FinishReasonMaxTokens},
		{it: "accepts an empty one if told to", answer: response(candidate("STOP")), accept: genai.Empty},
		{it: "accepts a blocked prompt if told to", answer: `{"promptFeedback":{"blockReason":"SAFETY"}}`, accept: genai.PromptBlocked},
		{it: "does not accept one cut before its first word", answer: response(candidate("MAX_TOKENS", thought)), accept: sdk.FinishReasonMaxTokens, want: genai.Empty, class: unsaid},
		{it: "survives an index that is none", answer: response(`{"index":-1,"finishReason":"STOP"}`, `{"index":2000000000}`), want: genai.Empty, class: unsaid, whole: true},
	} {
		for form, answer := range map[string]gemini.Answer{"whole": gemini.Body(tt.answer), "streamed": gemini.Events(tt.answer)} {
			if tt.whole && form == "streamed" {
				continue
			}
			t.Run("it "+tt.it+", "+form, func(t *testing.T) {
				server, agent := narrator(t, answer)
				agent = agent.Accept(tt.accept)
				var got *sdk.GenerateContentResponse
				var err error
				if form == "whole" {
					got, err = agent.Run(t.Context(), ask("narrator"))
				} else {
					var chunks []*sdk.GenerateContentResponse
					if chunks, err = middleware.Collect(agent.Stream(t.Context(), ask("narrator"))); len(chunks) != 1 {
						t.Errorf("%d chunks", len(chunks))
					}
				}
				if n := server.Requests("narrator"); n != 1 {
					t.Errorf("%d requests", n)
				}
				if tt.want == "" {
					if err != nil || form == "whole" && got == nil {
						t.Errorf("got %v, %v", got, err)
					}
					return
				}
				e, ok := errors.AsType[*genai.AnswerError](err)
				if !ok || got != nil || e.Reason != tt.want || e.Text != tt.text || e.Response == nil {
					t.Fatalf("got %v, %v", got, err)
				}
				class(t, err, tt.class)
				if !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), string(e.Reason)) || !strings.Contains(err.Error(), string(e.Block)) {
					t.Errorf("the error does not say why: %v", err)
				}
			})
		}
	}
	t.Run("it keeps what the API says, which the client does for Vertex AI only", func(t *testing.T) {
		server := play(t, answers{"narrator": {gemini.Body(response(`{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(f("}`))}})
		agent := genai.Models(connect(t, server.URL(), func(c *sdk.ClientConfig) { c.Backend = sdk.BackendVertexAI }))
		_, err := agent.Run(t.Context(), ask("narrator"))
		if e, ok := errors.AsType[*genai.AnswerError](err); !ok || e.Text != "print(f(" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it keeps the answer within reach, through all layers", func(t *testing.T) {
		server, agent := narrator(t, gemini.Good("one"), gemini.Body(response(candidate("MAX_TOKENS", hello))), gemini.Body(response(candidate("MAX_TOKENS", hello))), gemini.Body(response(candidate("MAX_TOKENS", hello))))
		g := built(t, middleware.Wrap(agent).Retry(soon))
		if got, err := g.Run(t.Context(), ask("narrator")); err != nil || got.Text() != "one" {
			t.Errorf("got %v, %v", got, err)
		}
		_, err := g.Run(t.Context(), ask("narrator"))
		if e, ok := errors.AsType[*genai.AnswerError](err); !ok || e.Response.Text() != "Hello" {
			t.Errorf("got %v", err)
		}
		if got := server.Requests("narrator"); got != 4 {
			t.Errorf("%d requests; an invalid answer is asked for again twice", got)
		}
	})
}

// Every finish reason the client knows is looked at: what is held back for its
// content, and what went wrong in the making.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	for reason, want := range map[sdk.FinishReason]strategies.Class{
		sdk.FinishReasonSafety: strategies.ClassBlocked, sdk.FinishReasonRecitation: strategies.ClassBlocked, sdk.FinishReasonBlocklist: strategies.ClassBlocked,
		sdk.FinishReasonProhibitedContent: strategies.ClassBlocked, sdk.FinishReasonSPII: strategies.ClassBlocked, sdk.FinishReasonImageSafety: strategies.ClassBlocked,
		sdk.FinishReasonImageProhibitedContent: strategies.ClassBlocked, sdk.FinishReasonImageRecitation: strategies.ClassBlocked,
		sdk.FinishReasonMaxTokens: strategies.ClassInvalidAnswer, sdk.FinishReasonLanguage: strategies.ClassInvalidAnswer, sdk.FinishReasonOther: strategies.ClassInvalidAnswer,
		sdk.FinishReasonMalformedFunctionCall: strategies.ClassInvalidAnswer, sdk.FinishReasonUnexpectedToolCall: strategies.ClassInvalidAnswer,
		sdk.FinishReasonTooManyToolCalls: strategies.ClassInvalidAnswer, sdk.FinishReasonNoImage: strategies.ClassInvalidAnswer,
		sdk.FinishReasonImageOther: strategies.ClassInvalidAnswer, sdk.FinishReasonContinuation: strategies.ClassInvalidAnswer,
	} {
		t.Run(string(reason), func(t *testing.T) {
			answer := gemini.Candidate("Hel", string(reason))
			_, agent := narrator(t, gemini.Body(answer), gemini.Events(answer))
			_, whole := agent.Run(t.Context(), ask("narrator"))
			_, streamed := middleware.Collect(agent.Stream(t.Context(), ask("narrator")))
			for form, err := range map[string]error{"whole": whole, "streamed": streamed} {
				if e, ok := errors.AsType[*genai.AnswerError](err); !ok || e.Reason != reason {
					t.Errorf("%s: got %v", form, err)
				}
				class(t, err, want)
			}
		})
	}
}

func TestStreamsThatAreNone(t *testing.T) {
	t.Parallel()
	hello, stop := gemini.Candidate("Hello", ""), gemini.Candidate("", "STOP")
	second := `{"candidates":[{"index":1,"content":{"parts":[{"text":"Hi"}]}}]}`
	usage := `{"usageMetadata":{"totalTokenCount":2}}`
	for _, tt := range []struct {
		it     string
		events []string
		accept sdk.FinishReason
		want   sdk.FinishReason
	}{
		{it: "delivers every chunk, usage too", events: []string{usage, hello, stop, usage}},
		{it: "misses a finish reason", events: []string{hello}, want: genai.Unfinished},
		{it: "does without a finish reason if told to", events: []string{hello}, accept: genai.Unfinished},
		{it: "misses a finish reason in nothing", want: genai.Unfinished},
		{it: "does not take usage alone for an answer", events: []string{usage}, want: genai.Unfinished},
		{it: "waits for the end of every candidate", events: []string{hello, second, stop}, want: genai.Unfinished},
		{it: "takes an end without a word for empty", events: []string{stop}, want: genai.Empty},
		{it: "reports a filter after what it let through", events: []string{hello, gemini.Candidate("", "SAFETY")}, want: sdk.FinishReasonSafety},
		{it: "needs no finish reason of a blocked prompt", events: []string{`{"promptFeedback":{"blockReason":"SAFETY"}}`, usage}, want: genai.PromptBlocked},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			_, agent := narrator(t, gemini.Events(tt.events...))
			chunks, err := middleware.Collect(agent.Accept(tt.accept).Stream(t.Context(), ask("narrator")))
			if len(chunks) != len(tt.events) {
				t.Errorf("%d chunks, want %d", len(chunks), len(tt.events))
			}
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if e, ok := errors.AsType[*genai.AnswerError](err); !ok || e.Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{
		`{}`:                                   {},
		`{"usageMetadata":{}}`:                 {},
		`{"candidates":[{}]}`:                  {},
		`{"candidates":[null]}`:                {},
		response(candidate("")):                {},
		response(candidate("", `null`)):        {},
		response(candidate("", `{"text":""}`)): {},
		response(candidate("", `{"thoughtSignature":"YQ=="}`)):                      {},
		response(candidate("", `{"text":" "}`)):                                     {true, false},
		response(candidate("", `{"text":"Hm","thought":true}`)):                     {true, false},
		response(candidate("", `{"functionCall":{"name":"f"}}`)):                    {true, false},
		response(candidate("", `{"codeExecutionResult":{"outcome":"OUTCOME_OK"}}`)): {true, false},
		response(candidate("FINISH_REASON_UNSPECIFIED")):                            {},
		response(candidate("STOP")):                                                 {false, true},
		response(candidate("SAFETY")):                                               {false, true},
		response(candidate("STOP", `{"text":"Hello"}`)):                             {true, true},
	} {
		var chunk sdk.GenerateContentResponse
		if err := json.Unmarshal([]byte(text), &chunk); err != nil {
			t.Fatal(err)
		}
		if says, ends := genai.Says(&chunk), genai.Ends(&chunk); says != want[0] || ends != want[1] {
			t.Errorf("of %s: it says something: %v, it ends: %v", text, says, ends)
		}
	}
	if genai.Says(nil) || genai.Ends(nil) {
		t.Error("it finds something in no chunk")
	}
}
