package eino_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/cloudwego/eino-ext/components/model/openai"
	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var question = []*schema.Message{schema.UserMessage("Who is at the door?")}

func play(t *testing.T, plan endpoint.Plan) *endpoint.Server {
	t.Helper()
	if plan.Answer == nil {
		plan.Answer = func(model string, _ []endpoint.Message) string { return "A stranger, says " + model }
	}
	server, err := endpoint.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// connect returns eino's own OpenAI model, asking the server.
func connect(t *testing.T, server *endpoint.Server, name string) *sdk.ChatModel {
	t.Helper()
	return connectTo(t, server.URL(), name)
}

func connectTo(t *testing.T, url, name string) *sdk.ChatModel {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	m, err := sdk.NewChatModel(t.Context(), &sdk.ChatModelConfig{
		APIKey: "test", BaseURL: url, Model: name,
		HTTPClient: &http.Client{Transport: httphint.Transport{Base: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ways are those in which eino calls a model.
func ways() map[string]func(context.Context, model.ToolCallingChatModel, func(*eino.Builder)) (*schema.Message, error) {
	type settings = func(*eino.Builder)
	return map[string]func(context.Context, model.ToolCallingChatModel, settings) (*schema.Message, error){
		"Generate": func(ctx context.Context, m model.ToolCallingChatModel, s settings) (*schema.Message, error) {
			g, err := eino.Wrap(m, s)
			if err != nil {
				return nil, err
			}
			return g.Generate(ctx, question)
		},
		"Stream": func(ctx context.Context, m model.ToolCallingChatModel, s settings) (*schema.Message, error) {
			g, err := eino.Wrap(m, s)
			if err != nil {
				return nil, err
			}
			reader, err := g.Stream(ctx, question)
			if err != nil {
				return nil, err
			}
			return schema.ConcatMessageStream(reader)
		},
		"graph": func(ctx context.Context, m model.ToolCallingChatModel, s settings) (*schema.Message, error) {
			g, err := eino.Wrap(m, s)
			if err != nil {
				return nil, err
			}
			run, err := compose.NewChain[[]*schema.Message, *schema.Message]().AppendChatModel(g).Compile(ctx)
			if err != nil {
				return nil, err
			}
			reader, err := run.Stream(ctx, question)
			if err != nil {
				return nil, err
			}
			return schema.ConcatMessageStream(reader)
		},
		"agent": func(ctx context.Context, m model.ToolCallingChatModel, s settings) (*schema.Message, error) {
			return handled(ctx, m, s, false)
		},
		"streaming agent": func(ctx context.Context, m model.ToolCallingChatModel, s settings) (*schema.Message, error) {
			return handled(ctx, m, s, true)
		},
	}
}

func handled(ctx context.Context, m model.ToolCallingChatModel, settings func(*eino.Builder), streaming bool) (*schema.Message, error) {
	h, err := eino.Handler(settings)
	if err != nil {
		return nil, err
	}
	runner, err := runner(ctx, m, streaming, nil, nil, h)
	if err != nil {
		return nil, err
	}
	return last(runner.Query(ctx, question[0].Content))
}

// runner runs one agent of eino's own.
func runner(ctx context.Context, m model.BaseChatModel, streaming bool, retry *adk.ModelRetryConfig, tools []tool.BaseTool, handlers ...adk.ChatModelAgentMiddleware) (*adk.Runner, error) {
	config := &adk.ChatModelAgentConfig{
		Name: "narrator", Description: "tells the story", Model: m, ModelRetryConfig: retry, Handlers: handlers,
	}
	config.ToolsConfig.Tools = tools
	for _, t := range tools {
		_, invokable := t.(tool.EnhancedInvokableTool)
		if _, streamable := t.(tool.EnhancedStreamableTool); invokable || streamable {
			// The OpenAI model does not take their results back.
			config.ToolsConfig.ReturnDirectly = map[string]bool{"open_door": true}
		}
	}
	agent, err := adk.NewChatModelAgent(ctx, config)
	if err != nil {
		return nil, err
	}
	return adk.NewRunner(ctx, adk.RunnerConfig{Agent: agent, EnableStreaming: streaming, CheckPointStore: &memory{}}), nil
}

// last is the last message of a run, or its error.
func last(events *adk.AsyncIterator[*adk.AgentEvent]) (message *schema.Message, err error) {
	for {
		event, more := events.Next()
		switch {
		case !more:
			return message, err
		case event.Err != nil:
			err = event.Err
		case event.Output != nil && event.Output.MessageOutput != nil:
			m, merr := event.Output.MessageOutput.GetMessage()
			if _, again := errors.AsType[*adk.WillRetryError](merr); again {
				continue
			}
			if message = m; merr != nil {
				err = merr
			}
		}
	}
}

// drain reads a stream to its end.
func drain(reader *schema.StreamReader[*schema.Message]) (string, error) {
	defer reader.Close()
	var text strings.Builder
	for {
		chunk, err := reader.Recv()
		if err == io.EOF {
			return text.String(), nil
		}
		if err != nil {
			return text.String(), err
		}
		text.WriteString(chunk.Content)
	}
}

func joined(chunks []*schema.Message) string {
	var text strings.Builder
	for _, c := range chunks {
		text.WriteString(c.Content)
	}
	return text.String()
}

// memory is a checkpoint store.
type memory map[string][]byte

func (m *memory) Get(_ context.Context, id string) ([]byte, bool, error) {
	data, ok := (*m)[id]
	return data, ok, nil
}

func (m *memory) Set(_ context.Context, id string, data []byte) error {
	if *m == nil {
		*m = memory{}
	}
	(*m)[id] = data
	return nil
}
