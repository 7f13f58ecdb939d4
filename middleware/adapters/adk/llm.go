package adk

import (
	"context"
	"iter"
	"net/http"
	"reflect"
	"slices"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
)

// Call is what a model is asked: the framework's request, and whether it wants
// the answer in pieces. Either way it is a stream, of one response or of many.
type Call struct {
	Request *model.LLMRequest
	Stream  bool

	asked string // the name of the model the framework believes to ask
}

// LLMAgent asks one model. It is safe for concurrent use if the model is.
type LLMAgent struct {
	llm    model.LLM
	google bool // it is Gemini: every answer ends with a finish reason
	accept []string
}

// LLM makes a model an agent, to be wrapped or to stand in. The builder refuses
// that of a nil model.
func LLM(llm model.LLM) *LLMAgent {
	if llm == nil {
		return nil
	}
	_, google := llm.(variant)
	return &LLMAgent{llm: llm, google: google || isApigee(llm)}
}

// isApigee knows the framework's model that is Gemini by a proxy, and does not say
// so.
func isApigee(llm model.LLM) bool {
	t := reflect.TypeOf(llm)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "google.golang.org/adk/v2/model/apigee"
}

// Accept returns an agent that takes a response for an answer although it ended
// for such a reason, whosever word it is: Accept(genai.FinishReasonMaxTokens) for
// texts that may be cut short, Accept(adk.Unfinished) for a model that gives no
// reasons. Half a call of a tool is still none; see [Arguments].
func (a *LLMAgent) Accept(reasons ...genai.FinishReason) *LLMAgent {
	if a == nil {
		return nil
	}
	return &LLMAgent{a.llm, a.google, slices.Concat(a.accept, names(reasons))}
}

// Stream asks the model, once. What the model has to say against its own answer
// comes as a [strategies.AnswerError], at the end. What comes after a finish
// reason and is an error is nobody's concern any more.
func (a *LLMAgent) Stream(ctx context.Context, call Call) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		ctx, report := middleware.Spending(ctx)
		cost := spent{}
		defer func() { report(cost.total()) }()
		h := hearing{agent: a, stream: call.Stream, tools: offered(call.Request), yield: yield}
		for r, err := range a.llm.GenerateContent(ctx, a.own(call), call.Stream) {
			if r != nil {
				cost.hear(r)
			}
			if err != nil {
				if h.finish == "" {
					yield(nil, explain(err))
					return
				}
				break
			}
			if r != nil && !h.hear(r) { // the framework would trip over a nil
				return
			}
		}
		h.end()
	}
}

// own copies the request for one attempt: Gemini appends to the contents and
// writes to the headers, and prefers the request's model name to its own, which
// is that of the model the framework knows. A name that a callback has chosen
// stays with the model it was chosen for.
func (a *LLMAgent) own(call Call) *model.LLMRequest {
	var req model.LLMRequest
	if call.Request != nil {
		req = *call.Request
	}
	if name := a.llm.Name(); req.Model == "" || name != call.asked {
		req.Model = name
	}
	req.Contents = slices.Clone(req.Contents)
	if req.Config == nil && !a.google {
		return &req
	}
	var config genai.GenerateContentConfig
	if req.Config != nil {
		config = *req.Config
	}
	var options genai.HTTPOptions
	if config.HTTPOptions != nil {
		options = *config.HTTPOptions
	}
	if options.Headers = options.Headers.Clone(); options.Headers == nil {
		options.Headers = http.Header{}
	}
	options.RetryOptions = &genai.HTTPRetryOptions{Attempts: genai.Ptr[int32](1)} // the retries are ours
	config.HTTPOptions = &options
	req.Config = &config
	return &req
}

// Says is for Commit: it says whether a response has something in it that a
// reader would see, text or an image, or is the end of an answer. A call of a tool
// is something only at the end, for nobody can have acted on it before. Thoughts
// are nothing, nor is an empty text or usage, with which streams open.
func Says(r *model.LLMResponse) bool { return speaks(r, false) || ends(r) }

// SaysThinking is [Says] for those who show the thoughts as well.
func SaysThinking(r *model.LLMResponse) bool { return speaks(r, true) || ends(r) }

// Alive is for Alive, beside an Idle: it says whether the model is at work, in text,
// thoughts or a call of a tool. A response with nothing in it is a heartbeat.
func Alive(r *model.LLMResponse) bool {
	return SaysThinking(r) || r != nil && r.Content != nil && slices.ContainsFunc(r.Content.Parts, func(p *genai.Part) bool {
		return p != nil && (p.Text != "" || !isText(p))
	})
}

func ends(r *model.LLMResponse) bool { return r != nil && !r.Partial && r.FinishReason != "" }

func speaks(r *model.LLMResponse, thinking bool) bool {
	return r != nil && r.Content != nil && slices.ContainsFunc(r.Content.Parts, func(p *genai.Part) bool {
		switch {
		case p == nil:
			return false
		case p.Thought:
			return thinking && (p.Text != "" || !isText(p))
		case p.FunctionCall != nil, p.ToolCall != nil:
			return !r.Partial
		}
		return p.Text != "" || !isText(p)
	})
}

// isText says of a part that it holds nothing but a text, its signature and its
// metadata.
func isText(p *genai.Part) bool {
	return p.FunctionCall == nil && p.FunctionResponse == nil && p.InlineData == nil && p.FileData == nil && p.ExecutableCode == nil &&
		p.CodeExecutionResult == nil && p.ToolCall == nil && p.ToolResponse == nil && p.AudioTranscription == nil
}
