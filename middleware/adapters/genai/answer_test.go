package genai_test

import (
	"encoding/json"
	"errors"
	"slices"
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
		want   string // "": it is an answer
		class  strategies.Class
		text   string
		behind string // in the text of the error
		whole  bool   // streams are told apart
	}{
		{it: "takes text", answer: response(candidate("STOP", thought, hello))},
		{it: "takes a call of a function", answer: response(candidate("STOP", `{"functionCall":{"name":"f"}}`))},
		{it: "takes an answer whose first candidate is good", answer: response(candidate("STOP", hello), `{"index":1,"finishReason":"SAFETY"}`)},
		{it: "leaves the tools of the API alone", answer: response(candidate("STOP", `{"toolCall":{"toolType":"GOOGLE_SEARCH_WEB"}}`))},
		{it: "takes a text that was cut after a call", answer: response(candidate("MAX_TOKENS", `{"functionCall":{"name":"f","args":{"a":1}}}`, hello)), accept: sdk.FinishReasonMaxTokens},

		{it: "takes an image", answer: response(candidate("STOP", `{"inlineData":{"mimeType":"image/png","data":""}}`))},
		{it: "takes code", answer: response(candidate("STOP", `{"executableCode":{"code":"1+1","language":"PYTHON"}}`))},
		{it: "takes feedback that blocks nothing", answer: `{"promptFeedback":{"safetyRatings":[]},` + response(candidate("STOP", hello))[1:]},
		{it: "accepts no finish reason if told to", answer: response(candidate("", hello)), accept: genai.Unfinished},
		{it: "accepts what is new if told to", answer: response(candidate("SOMETHING_NEW", hello)), accept: "SOMETHING_NEW"},
		{it: "accepts one held back if told to", answer: response(candidate("SAFETY")), accept: sdk.FinishReasonSafety},
		{it: "accepts half a call if told to", answer: response(candidate("STOP", `{"functionCall":{"name":"f","willContinue":true}}`)), accept: genai.Arguments},
		{it: "accepts an unknown function if told to", answer: response(candidate("STOP", `{"functionCall":{"name":"g"}}`)), accept: genai.UnknownTool},

		{it: "takes no finish reason for unfinished", answer: response(candidate("", hello)), want: genai.Unfinished, class: unsaid, text: "Hello"},
		{it: "takes an unspecified one for unfinished", answer: response(candidate("FINISH_REASON_UNSPECIFIED", hello)), want: genai.Unfinished, class: unsaid, text: "Hello"},
		{it: "judges by the first candidate, which everybody reads", answer: response(candidate("SAFETY"), `{"index":1,"finishReason":"STOP","content":{"parts":[{"text":"Hello"}]}}`), want: string(sdk.FinishReasonSafety), class: strategies.ClassBlocked},
		{it: "knows a blocked prompt", answer: `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"no"}}`, want: genai.PromptBlocked, class: strategies.ClassBlocked, behind: "PROHIBITED_CONTENT"},
		{it: "knows a jailbreak", answer: `{"promptFeedback":{"blockReason":"JAILBREAK"}}`, want: genai.PromptBlocked, class: strategies.ClassBlocked, behind: "JAILBREAK"},
		{it: "knows what is new", answer: response(candidate("SOMETHING_NEW", hello)), want: "SOMETHING_NEW", class: unsaid, text: "Hello"},
		{it: "takes no half of a call", answer: response(candidate("STOP", hello, `{"functionCall":{"name":"f","willContinue":true}}`)), want: genai.Arguments, class: unsaid, text: "Hello"},
		{it: "takes no call whose arguments a limit may have cut", answer: response(candidate("MAX_TOKENS", hello, `{"functionCall":{"name":"f"}}`)), accept: sdk.FinishReasonMaxTokens, want: genai.Arguments, class: unsaid, text: "Hello"},
		{it: "takes no half of a call of another candidate", answer: response(candidate("STOP", hello), `{"index":1,"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}`), want: genai.Arguments, class: unsaid},
		{it: "knows a function that was not declared", answer: response(candidate("STOP", `{"functionCall":{"name":"open_sesame"}}`)), want: genai.UnknownTool, class: unsaid, behind: "open_sesame"},
		{it: "knows one in a thought", answer: response(candidate("STOP", hello, `{"functionCall":{"name":"g"},"thought":true}`)), want: genai.UnknownTool, class: unsaid, text: "Hello"},
		{it: "knows a function without a name", answer: response(candidate("STOP", `{"functionCall":{}}`)), want: genai.UnknownTool, class: unsaid},
		{it: "does not keep calls without an end", answer: response(candidate("STOP", slices.Repeat([]string{`{"functionCall":{"name":"f"}}`}, 1025)...)), want: genai.Arguments, class: unsaid},
		{it: "judges by the first when none is good", answer: response(candidate("MAX_TOKENS", hello), `{"index":1,"finishReason":"SAFETY"}`), want: string(sdk.FinishReasonMaxTokens), class: unsaid, text: "Hello"},
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
				req := declaring("narrator", "f")
				var got *sdk.GenerateContentResponse
				var err error
				if form == "whole" {
					got, err = agent.Run(t.Context(), req)
				} else {
					var chunks []*sdk.GenerateContentResponse
					if chunks, err = middleware.Collect(agent.Stream(t.Context(), req)); err != nil && slices.ContainsFunc(chunks, genai.Ends) {
						t.Errorf("the end was delivered, with %v", err)
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
				e, ok := errors.AsType[*strategies.AnswerError](err)
				if !ok || got != nil || e.Provider != "genai" || e.Reason != tt.want || e.Text != tt.text {
					t.Fatalf("got %v, %v", got, err)
				}
				if r, _ := e.Answer.(*sdk.GenerateContentResponse); r == nil {
					t.Error("the answer is not within reach")
				}
				class(t, err, tt.class)
				if said := err.Error(); !strings.Contains(said, tt.behind) || !strings.Contains(said, e.Reason) || tt.text != "" && strings.Contains(said, tt.text) {
					t.Errorf("the error does not say why, or says the answer: %v", err)
				}
			})
		}
	}
	t.Run("it keeps what the API says, which the client does for Vertex AI only", func(t *testing.T) {
		server := play(t, answers{"narrator": {gemini.Body(response(`{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(f("}`))}})
		agent := genai.Models(connect(t, server.URL(), func(c *sdk.ClientConfig) { c.Backend = sdk.BackendVertexAI }))
		_, err := agent.Run(t.Context(), ask("narrator"))
		if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Answer.(*sdk.GenerateContentResponse).Candidates[0].FinishMessage != "print(f(" || strings.Contains(err.Error(), "print") {
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
		if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Answer.(*sdk.GenerateContentResponse).Text() != "Hello" {
			t.Errorf("got %v", err)
		}
		if got := server.Requests("narrator"); got != 4 {
			t.Errorf("%d requests; an invalid answer is asked for again twice", got)
		}
	})
}

// Every finish reason the client knows, and some that it does not: only the one
// that is known to be whole is.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	for finish, want := range map[sdk.FinishReason]strategies.Class{
		sdk.FinishReasonStop:   0,
		sdk.FinishReasonSafety: strategies.ClassBlocked, sdk.FinishReasonRecitation: strategies.ClassBlocked, sdk.FinishReasonBlocklist: strategies.ClassBlocked,
		sdk.FinishReasonProhibitedContent: strategies.ClassBlocked, sdk.FinishReasonSPII: strategies.ClassBlocked, sdk.FinishReasonImageSafety: strategies.ClassBlocked,
		sdk.FinishReasonImageProhibitedContent: strategies.ClassBlocked, sdk.FinishReasonImageRecitation: strategies.ClassBlocked,
		sdk.FinishReasonMaxTokens: strategies.ClassInvalidAnswer, sdk.FinishReasonLanguage: strategies.ClassInvalidAnswer, sdk.FinishReasonOther: strategies.ClassInvalidAnswer,
		sdk.FinishReasonMalformedFunctionCall: strategies.ClassInvalidAnswer, sdk.FinishReasonUnexpectedToolCall: strategies.ClassInvalidAnswer,
		sdk.FinishReasonTooManyToolCalls: strategies.ClassInvalidAnswer, sdk.FinishReasonNoImage: strategies.ClassInvalidAnswer,
		sdk.FinishReasonImageOther: strategies.ClassInvalidAnswer, sdk.FinishReasonContinuation: strategies.ClassInvalidAnswer,
		sdk.FinishReasonUnspecified: strategies.ClassInvalidAnswer,

		"SOMETHING_NEW":                            strategies.ClassInvalidAnswer,
		"MISSING_THOUGHT_SIGNATURE":                strategies.ClassInvalidAnswer,
		"MODEL_ARMOR":                              strategies.ClassBlocked,
		sdk.FinishReason(strings.Repeat("X", 100)): strategies.ClassInvalidAnswer,
	} {
		reason := string(finish[:min(len(finish), 64)])
		switch finish {
		case sdk.FinishReasonStop:
			reason = ""
		case sdk.FinishReasonUnspecified:
			reason = genai.Unfinished
		}
		for form, answer := range map[string]gemini.Answer{"whole": gemini.Body(gemini.Candidate("Hel", string(finish))), "streamed": gemini.Events(gemini.Candidate("Hel", string(finish)))} {
			t.Run(string(finish)[:min(len(finish), 64)]+", "+form, func(t *testing.T) {
				server, agent := narrator(t, answer, answer)
				for _, accept := range [][]sdk.FinishReason{nil, {finish, sdk.FinishReason(reason)}} {
					agent, err := agent.Accept(accept...), error(nil)
					if form == "whole" {
						_, err = agent.Run(t.Context(), ask("narrator"))
					} else {
						_, err = middleware.Collect(agent.Stream(t.Context(), ask("narrator")))
					}
					if accept == nil {
						judged(t, err, reason, want)
					} else {
						judged(t, err, "", 0)
					}
				}
				if n := server.Requests("narrator"); n != 2 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
}

// judged compares an error with the reason and the class it has to have; "": none.
func judged(t *testing.T, err error, reason string, want strategies.Class) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Provider != "genai" || e.Reason != reason {
		t.Fatalf("got %v, want %q", err, reason)
	}
	class(t, err, want)
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
		want   string
		chunks int
	}{
		{it: "delivers every chunk, usage too", events: []string{usage, hello, stop, usage}, chunks: 4},
		{it: "misses a finish reason", events: []string{hello}, want: genai.Unfinished, chunks: 1},
		{it: "does without a finish reason if told to", events: []string{hello}, accept: genai.Unfinished, chunks: 1},
		{it: "misses a finish reason in nothing", want: genai.Unfinished},
		{it: "does not take usage alone for an answer", events: []string{usage}, want: genai.Unfinished, chunks: 1},
		{it: "waits for the end of every candidate", events: []string{hello, second, stop}, want: genai.Unfinished, chunks: 3},
		{it: "takes an end without a word for empty", events: []string{stop}, want: genai.Empty},
		{it: "reports a filter after what it let through", events: []string{hello, gemini.Candidate("", "SAFETY")}, want: string(sdk.FinishReasonSafety), chunks: 1},
		{it: "needs no finish reason of a blocked prompt", events: []string{`{"promptFeedback":{"blockReason":"SAFETY"}}`, usage}, want: genai.PromptBlocked},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			_, agent := narrator(t, gemini.Events(tt.events...))
			chunks, err := middleware.Collect(agent.Accept(tt.accept).Stream(t.Context(), ask("narrator")))
			if len(chunks) != tt.chunks {
				t.Errorf("%d chunks, want %d", len(chunks), tt.chunks)
			}
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ says, thinking, ends bool }{
		`{}`:                                   {},
		`{"usageMetadata":{}}`:                 {},
		`{"candidates":[{}]}`:                  {},
		`{"candidates":[null]}`:                {},
		response(candidate("")):                {},
		response(candidate("", `null`)):        {},
		response(candidate("", `{"text":""}`)): {},
		response(candidate("", `{"thoughtSignature":"YQ=="}`)):                      {},
		response(candidate("", `{"text":" "}`)):                                     {says: true, thinking: true},
		response(candidate("", `{"inlineData":{"mimeType":"image/png"}}`)):          {says: true, thinking: true},
		response(candidate("", `{"text":"Hm","thought":true}`)):                     {thinking: true},
		response(candidate("", `{"functionCall":{"name":"f"}}`)):                    {},
		response(candidate("", `{"codeExecutionResult":{"outcome":"OUTCOME_OK"}}`)): {},
		response(candidate("FINISH_REASON_UNSPECIFIED")):                            {},
		response(candidate("STOP")):                                                 {says: true, thinking: true, ends: true},
		response(candidate("SAFETY")):                                               {says: true, thinking: true, ends: true},
		response(candidate("STOP", `{"text":"Hello"}`)):                             {says: true, thinking: true, ends: true},
		response(`{"index":1,"finishReason":"STOP"}`):                               {ends: true},
	} {
		var chunk sdk.GenerateContentResponse
		if err := json.Unmarshal([]byte(text), &chunk); err != nil {
			t.Fatal(err)
		}
		if says, thinking, ends := genai.Says(&chunk), genai.SaysThinking(&chunk), genai.Ends(&chunk); says != want.says || thinking != want.thinking || ends != want.ends {
			t.Errorf("of %s: it says something: %v, it thinks: %v, it ends: %v", text, says, thinking, ends)
		}
	}
	if genai.Says(nil) || genai.SaysThinking(nil) || genai.Ends(nil) {
		t.Error("it finds something in no chunk")
	}
}
