package translate

import (
	"context"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
)

// The runners of the three providers, under short names.
type (
	// OpenAIRunner is an agent that answers chat completions.
	OpenAIRunner = middleware.Runner[openai.ChatCompletionNewParams, *openai.ChatCompletion]
	// AnthropicRunner is an agent that answers messages.
	AnthropicRunner = middleware.Runner[anthropic.MessageNewParams, *anthropic.Message]
	// GeminiRunner is an agent that generates content.
	GeminiRunner = middleware.Runner[genai.Request, *gemini.GenerateContentResponse]
)

// OpenAIForAnthropic makes an agent of OpenAI a stand-in for one of Anthropic. It
// is asked for the model; change, if given, has the last word on what it is
// asked: how much it thinks, a service tier.
//
//	Fallback("gpt", translate.OpenAIForAnthropic(openai.Chat(client), "gpt-5"))
//
// A guarded agent keeps its own layers. What has no counterpart is an
// [UnsupportedError], of the request before anything is sent.
func OpenAIForAnthropic(agent OpenAIRunner, model string, change ...func(*openai.ChatCompletionNewParams)) AnthropicRunner {
	return standIn(agent, fromAnthropic, toOpenAI, MendOpenAI, openAIAnswer, anthropicMessage, Anthropic, OpenAI, model, change)
}

// OpenAIForGemini makes an agent of OpenAI a stand-in for one of Gemini: see
// [OpenAIForAnthropic].
func OpenAIForGemini(agent OpenAIRunner, model string, change ...func(*openai.ChatCompletionNewParams)) GeminiRunner {
	return standIn(agent, fromGemini, toOpenAI, MendOpenAI, openAIAnswer, geminiResponse, Gemini, OpenAI, model, change)
}

// AnthropicForOpenAI makes an agent of Anthropic a stand-in for one of OpenAI: see
// [OpenAIForAnthropic]. An answer may have [MaxTokens] where the request does not
// say how many.
func AnthropicForOpenAI(agent AnthropicRunner, model string, change ...func(*anthropic.MessageNewParams)) OpenAIRunner {
	return standIn(agent, fromOpenAI, toAnthropic, MendAnthropic, anthropicAnswer, openAICompletion, OpenAI, Anthropic, model, change)
}

// AnthropicForGemini makes an agent of Anthropic a stand-in for one of Gemini: see
// [OpenAIForAnthropic]. An answer may have [MaxTokens] where the request does not
// say how many.
func AnthropicForGemini(agent AnthropicRunner, model string, change ...func(*anthropic.MessageNewParams)) GeminiRunner {
	return standIn(agent, fromGemini, toAnthropic, MendAnthropic, anthropicAnswer, geminiResponse, Gemini, Anthropic, model, change)
}

// GeminiForOpenAI makes an agent of Gemini a stand-in for one of OpenAI: see
// [OpenAIForAnthropic].
func GeminiForOpenAI(agent GeminiRunner, model string, change ...func(*genai.Request)) OpenAIRunner {
	return standIn(agent, fromOpenAI, toGemini, MendGemini, geminiAnswer, openAICompletion, OpenAI, Gemini, model, change)
}

// GeminiForAnthropic makes an agent of Gemini a stand-in for one of Anthropic: see
// [OpenAIForAnthropic].
func GeminiForAnthropic(agent GeminiRunner, model string, change ...func(*genai.Request)) AnthropicRunner {
	return standIn(agent, fromAnthropic, toGemini, MendGemini, geminiAnswer, anthropicMessage, Anthropic, Gemini, model, change)
}

// standIn puts a direction together: a request is read and written, an answer
// written and read.
func standIn[Req, Resp, Req2, Resp2 any](
	agent middleware.Runner[Req2, Resp2],
	readRequest func(Req, Provider) (conversation, error),
	writeRequest func(conversation, string, Provider) (Req2, error),
	mend func(context.Context, Req2) (Req2, error),
	readAnswer func(Resp2, Provider) (answer, error),
	writeAnswer func(answer) (Resp, error),
	first, second Provider, model string, change []func(*Req2),
) middleware.Runner[Req, Resp] {
	return middleware.Adapt(agent,
		func(ctx context.Context, req Req) (Req2, error) {
			var none Req2
			c, err := readRequest(req, second)
			if err != nil {
				return none, err
			}
			other, err := writeRequest(c, model, first)
			if err != nil {
				return none, err
			}
			for _, f := range change {
				if f != nil {
					f(&other)
				}
			}
			if len(change) > 0 {
				return mend(ctx, other) // thinking may be on now
			}
			return other, nil
		},
		func(_ context.Context, resp Resp2) (Resp, error) {
			var none Resp
			a, err := readAnswer(resp, first)
			if err != nil {
				return none, err
			}
			made, err := writeAnswer(a)
			if err != nil {
				return none, err
			}
			return made, nil
		})
}
