package eino_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

func TestReaders(t *testing.T) {
	t.Parallel()
	// TestMain sees to it that none of them leaves a goroutine behind.
	stalled := func(t *testing.T) model.BaseChatModel {
		t.Helper()
		return wrapped(t, connect(t, play(t, script(endpoint.StallAfter(2))), "narrator"), func(b *eino.Builder) { b.Retry(soon) })
	}
	long := func(t *testing.T) model.BaseChatModel {
		t.Helper()
		return wrapped(t, connect(t, play(t, script()), "narrator"), func(*eino.Builder) {})
	}
	for it, m := range map[string]func(*testing.T) model.BaseChatModel{"that is stalled": stalled, "that has more to say": long} {
		t.Run("it frees a reader "+it+" and nobody reads, when the context ends", func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			reader, err := m(t).Stream(ctx, question)
			if err != nil {
				t.Fatal(err)
			}
			gone := errors.New("everybody has left")
			cancel(gone)
			var text string
			for err == nil {
				var chunk *schema.Message
				if chunk, err = reader.Recv(); err == nil {
					text += chunk.Content
				}
			}
			if err == io.EOF || !errors.Is(err, gone) && !errors.Is(err, context.Canceled) {
				t.Errorf("after %q it ended with %v", text, err)
			}
		})
	}
	t.Run("it frees one that nobody ever looks at, when the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &endless{closed: make(chan struct{})}
		reader, err := wrapped(t, m, func(*eino.Builder) {}).Stream(ctx, question)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-m.closed                // or the test never ends
		runtime.KeepAlive(reader) // it was not the garbage collector
	})
	t.Run("it frees one that is closed early, twice too", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		reader, err := long(t).Stream(ctx, question)
		if err != nil {
			t.Fatal(err)
		}
		if chunk, err := reader.Recv(); err != nil || chunk.Content == "" {
			t.Errorf("got %v, %v", chunk, err)
		}
		reader.Close()
		cancel()
		reader.Close()
	})
	t.Run("it can be copied, as eino does", func(t *testing.T) {
		reader, err := long(t).Stream(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range reader.Copy(2) {
			if text, err := drain(each); err != nil || text != "A stranger, says narrator" {
				t.Errorf("got %q, %v", text, err)
			}
		}
	})
	t.Run("it takes an EOF with words around it for a torn connection", func(t *testing.T) {
		torn := fmt.Errorf("reading: %w", io.EOF)
		reader, err := wrapped(t, &scripted{says: []*schema.Message{schema.AssistantMessage("He", nil)}, err: torn}, func(*eino.Builder) {}).Stream(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := drain(reader); text != "He" || !errors.Is(err, torn) {
			t.Errorf("got %q, %v", text, err)
		}
	})
	t.Run("it fails a model that returns no stream and no error", func(t *testing.T) {
		g := wrapped(t, silent{}, func(b *eino.Builder) { b.Degrade(strategies.LevelReduced, eino.StandIn(silent{})) })
		if _, errs := asks(t, g); errs[0] == nil || errs[1] == nil {
			t.Errorf("got %v", errs)
		}
	})
}

// silent is a model that breaks its contract.
type silent struct{}

func (silent) Generate(context.Context, []*schema.Message, ...model.Option) (*schema.Message, error) {
	return nil, nil
}

func (silent) Stream(context.Context, []*schema.Message, ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	return nil, nil
}

func (s silent) WithTools([]*schema.ToolInfo) (model.ToolCallingChatModel, error) { return s, nil }

// endless is a model that talks until its reader is closed.
type endless struct {
	silent
	closed chan struct{}
}

func (e *endless) Stream(context.Context, []*schema.Message, ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	reader, writer := schema.Pipe[*schema.Message](0)
	go func() {
		defer close(e.closed)
		for !writer.Send(schema.AssistantMessage("and ", nil), nil) {
		}
	}()
	return reader, nil
}
