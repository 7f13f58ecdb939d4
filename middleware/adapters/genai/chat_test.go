package genai_test

import (
	"context"
	"testing"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

// A chat takes an answer that a check refuses for its own. Set back, it asks the question
// once, and knows the answer that counted.
func TestChatHistory(t *testing.T) {
	t.Parallel()
	for _, rewinds := range []bool{true, false} {
		server := play(t, answers{"narrator": {gemini.Body(gemini.Candidate("A stran", "MAX_TOKENS"))}})
		chat, err := connect(t, server.URL()).Chats.Create(t.Context(), "narrator", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := middleware.WrapFunc(func(ctx context.Context, question string) (*sdk.GenerateContentResponse, error) {
			return chat.SendMessage(ctx, sdk.Part{Text: question})
		}).Retry(soon).Check(func(_ string, r *sdk.GenerateContentResponse) strategies.Answer {
			return genai.Answer(genai.Request{}, r)
		}, strategies.WholeAnswer{})
		if rewinds {
			b.Rewind(genai.ChatHistory(chat))
		}
		if _, err := conformance.Built(t, b).Run(t.Context(), "Who is at the door?"); err != nil {
			t.Fatal(err)
		}
		turns := 2 // the question and its answer
		if !rewinds {
			turns = 4
		}
		sent, _ := server.Log()[1].Body["contents"].([]any)
		if len(chat.History(true)) != turns || len(sent) != turns-1 {
			t.Errorf("set back %v: it sent %d turns and knows %d", rewinds, len(sent), len(chat.History(true)))
		}
	}
	if _, err := middleware.WrapFunc(func(context.Context, string) (string, error) { return "", nil }).Rewind(genai.ChatHistory(nil)).Build(); err == nil {
		t.Error("it takes no chat for one")
	}
}
