// Command gateway is an OpenAI-compatible endpoint over three providers, with streaming
// and a policy file, and a day on which one of them after the other has trouble. The
// client is the official one, and notices nothing. It needs no key: all is on this
// machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/policy"
)

func main() {
	file := flag.String("policy", "gateway/policy.yaml", "the policy file")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	model     = "gpt-small"
	questions = 40
	slowness  = 300 * time.Millisecond
)

// day is what is wrong with whom.
var day = []struct {
	trouble string
	who     string
	fault   endpoint.Fault
}{
	{"everybody is well", "", endpoint.OK()},
	{"east is limited: 429, come back in a minute", "east", endpoint.RateLimit(time.Minute)},
	{"west is slow: every answer takes 300 ms longer", "west", endpoint.Slow(slowness)},
	{"north is dead: its connections are reset", "north", endpoint.Drop()},
}

func run(ctx context.Context, out io.Writer, path string) error {
	file, err := policy.Open(path, policy.Options{})
	if err != nil {
		return err
	}
	for _, d := range day {
		told, err := act(ctx, file, d.who, d.fault)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n  %s\n", d.trouble, told)
	}
	return nil
}

// act asks the gateway questions while one of its three providers has trouble.
func act(ctx context.Context, file *policy.File, who string, fault endpoint.Fault) (string, error) {
	var providers []provider
	servers := map[string]*endpoint.Server{}
	for _, name := range []string{"east", "west", "north"} {
		plan := endpoint.Plan{Answer: func(_ string, m []endpoint.Message) string { return "You asked: " + m[len(m)-1].Content }}
		if name == who {
			plan.Down = map[string][]endpoint.Outage{model: {{Fault: fault}}}
		}
		server, err := endpoint.Start(plan)
		if err != nil {
			return "", err
		}
		defer server.Close()
		servers[name] = server
		providers = append(providers, provider{name, server.URL(), "no-key"})
	}
	g, err := newGateway(file, providers...)
	if err != nil {
		return "", err
	}
	front := httptest.NewServer(g)
	defer front.Close()
	client := sdk.NewClient(option.WithBaseURL(front.URL+"/v1"), option.WithAPIKey("of the gateway"), option.WithMaxRetries(0))
	whole, streamed := 0, 0
	for n := range questions {
		question := fmt.Sprintf("what is %d and %d?", n, n)
		params := sdk.ChatCompletionNewParams{Model: model, SafetyIdentifier: sdk.String("ann"), Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage(question)}}
		answer, err := ask(ctx, client, params, n%2 == 1)
		if err != nil {
			return "", fmt.Errorf("the client notices: %w", err)
		}
		if !strings.HasSuffix(answer, question) {
			return "", fmt.Errorf("the client gets half an answer: %q", answer)
		}
		if n%2 == 1 {
			streamed++
		} else {
			whole++
		}
	}
	told := fmt.Sprintf("the client got %d whole answers and %d streamed ones, and no error", whole, streamed)
	for _, m := range g.health() {
		if m.Name == who {
			told += fmt.Sprintf("; %s is %s", m.Name, m.Breaker)
			if asked := servers[who].Total(); asked <= questions/2 {
				told += ", and was left alone"
			}
		}
	}
	return told, nil
}

// ask is what a program of anybody's does.
func ask(ctx context.Context, client sdk.Client, params sdk.ChatCompletionNewParams, streamed bool) (answer string, err error) {
	if !streamed {
		completion, err := client.Chat.Completions.New(ctx, params)
		if err != nil {
			return "", err
		}
		return completion.Choices[0].Message.Content, nil
	}
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	for stream.Next() {
		if choices := stream.Current().Choices; len(choices) > 0 {
			answer += choices[0].Delta.Content
		}
	}
	return answer, stream.Err()
}
