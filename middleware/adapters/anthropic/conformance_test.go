package anthropic_test

import (
	"net/http"
	"slices"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

type (
	builder = middleware.Builder[sdk.MessageNewParams, *sdk.Message]
	guarded = middleware.Guarded[sdk.MessageNewParams, *sdk.Message]
	stream  = middleware.GuardedStream[sdk.MessageNewParams, sdk.MessageStreamEventUnion]
)

var (
	soon       = conformance.Soon
	overloaded = says(529, problem("overloaded_error", "Overloaded"))
	tooLong    = says(400, problem("invalid_request_error", "prompt is too long: 212345 tokens > 200000 maximum"))
	noCredit   = says(400, problem("invalid_request_error", "Your credit balance is too low to access the Anthropic API."))
	drop       = cut(func(http.ResponseWriter, *http.Request) {})
)

func built(t *testing.T, b *builder) *guarded { t.Helper(); return conformance.Built(t, b) }

// scripted is a provider with one model that fails so, and the agent asking it.
func scripted(t *testing.T, faults ...http.HandlerFunc) (*provider, *anthropic.MessagesAgent) {
	t.Helper()
	p := serve(t, script{"narrator": faults})
	return p, anthropic.Messages(connect(p.URL))
}

func builtStream(t *testing.T, messages *anthropic.MessagesAgent) *stream {
	t.Helper()
	return conformance.Built(t, middleware.WrapStream(messages).Named("narrator").Commit(anthropic.Says).Complete(anthropic.Ends).Retry(soon))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	busy := problem("overloaded_error", "Overloaded")
	conformance.Run(t, conformance.Adapter[http.HandlerFunc]{
		Faults: conformance.Faults[http.HandlerFunc]{
			conformance.Unavailable: {says(503, "")},
			conformance.RateLimited: {says(429, problem("rate_limit_error", "slow down"), "Retry-After", "0.03")},
			conformance.Quota:       {noCredit},
			// The second one is found out only while it answers.
			conformance.Overflow:   {tooLong, says(200, message("model_context_window_exceeded", "A str"))},
			conformance.Hang:       {hang},
			conformance.Overloaded: {overloaded},
			conformance.Drop:       {drop},
		},
		Ways: conformance.Ways[http.HandlerFunc]{"": func(t *testing.T, s conformance.Scene[http.HandlerFunc]) conformance.Result {
			p := serve(t, s.Script)
			messages := anthropic.Messages(connect(p.URL))
			b := conformance.Set(middleware.Wrap(messages), s)
			if s.StandIn.Name != "" {
				b.FallbackVia(s.StandIn.Name, messages, anthropic.Model(sdk.Model(s.StandIn.Model)))
			}
			if s.Reduced != "" {
				b.Degrade(strategies.LevelReduced, anthropic.Reply(s.Reduced))
			}
			return conformance.Of(built(t, b).Outcome(t.Context(), ask("narrator")), said, p)
		}},
		Cuts: []conformance.Cut[http.HandlerFunc]{
			conformance.Retried("one cut before its first event", cut(streams())),
			conformance.Retried("one cut before its first word", cut(streams(begin, block, ping))),
			conformance.Retried("one that ended before its first word", streams(begin, block)),
			conformance.Retried("one without any event", streams()),
			conformance.Retried("an overload before its first word", streams(begin, busy)),
			conformance.Retried("one that is empty to its very end", streams(begin, end("end_turn"), stop)),
			conformance.Ended("one cut after its first word", cut(streams(begin, text("A "))), "A ", strategies.ClassTransient),
			conformance.Ended("one that ended before its marker", streams(begin, text("A "), end("end_turn")), "A ", strategies.ClassInvalidAnswer),
			conformance.Ended("one with an overload after its first word", streams(begin, text("A "), busy), "A ", strategies.ClassOverloaded),
			conformance.Ended("one whose tokens ran out", streams(begin, text("A "), end("max_tokens"), stop), "A ", strategies.ClassInvalidAnswer),
			conformance.Ended("one that a policy ended", streams(begin, text("A "), end("refusal"), stop), "A ", strategies.ClassBlocked),
		},
		Stream: func(t *testing.T, c conformance.Cut[http.HandlerFunc]) conformance.Result {
			p, messages := scripted(t, c.Fault)
			return conformance.Heard(t, builtStream(t, messages), ask("narrator"), joined, p)
		},
		Interrupt: conformance.Pause[string, sdk.MessageNewParams, *sdk.Message]{
			Ask: tooled("narrator", "open_door"),
			Answers: map[string]string{
				conformance.ToolCall:          pauses[0],
				"a paused turn":               pauses[1],
				"a paused turn without words": pauses[2],
			},
			Agent: func(t *testing.T, answer string) (middleware.Runner[sdk.MessageNewParams, *sdk.Message], conformance.Provider) {
				p, messages := scripted(t, says(200, answer))
				return messages, p
			},
			Wants: func(m *sdk.Message) bool { return slices.Contains(pauses, m.RawJSON()) },
			Reply: anthropic.Reply("no"),
		}.Play,
	})
}

// pauses are answers that want something done first.
var pauses = []string{
	blocks("tool_use", `{"type":"tool_use","id":"toolu_1","name":"open_door","input":{}}`),
	blocks("pause_turn", `{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{}}`),
	blocks("pause_turn"),
}
