package endpointtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/internal/endpoint"
)

const model = "narrator"

// patience is how long a test waits for an answer that never comes. The steps before the
// silence take a millisecond or so and have to fit in.
const patience = 300 * time.Millisecond

func start(t *testing.T, plan endpoint.Plan) *endpoint.Server {
	t.Helper()
	srv, err := endpoint.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

func client(srv *endpoint.Server) *openai.Client {
	c := openai.NewClient(
		option.WithBaseURL(srv.URL()),
		option.WithAPIKey("test"),
		option.WithMaxRetries(0),
	)
	return &c
}

func ask(model, text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
	}
}

// scripted starts a server on which the first request fails like that.
func scripted(t *testing.T, fault endpoint.Fault) *endpoint.Server {
	t.Helper()
	return start(t, endpoint.Plan{
		Script: map[string][]endpoint.Fault{model: {fault}},
		Answer: func(string, []endpoint.Message) string { return "one two three four" },
	})
}

// heard is what a client has got from a stream when it ended.
type heard struct {
	chunks  []string // the text of each chunk, "" for one without
	text    string
	refusal string
	finish  string
	usage   int64
	err     error
}

func listen(ctx context.Context, c *openai.Client, params openai.ChatCompletionNewParams) heard {
	var h heard
	stream := c.Chat.Completions.NewStreaming(ctx, params)
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		chunk := stream.Current()
		h.usage += chunk.Usage.TotalTokens
		if len(chunk.Choices) == 0 {
			continue
		}
		choice := chunk.Choices[0]
		h.chunks = append(h.chunks, choice.Delta.Content)
		h.text += choice.Delta.Content
		h.refusal += choice.Delta.Refusal
		h.finish += choice.FinishReason
	}
	h.err = stream.Err()
	return h
}

func contains(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("got %q, want it to contain %q", text, want)
	}
}
