package genai_test

import (
	"strings"
	"testing"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

func TestTold(t *testing.T) {
	asked := genai.Request{Contents: sdk.Text("hello")}
	got, err := genai.Told(t.Context(), asked, middleware.Failure{Err: &strategies.AnswerError{Reason: string(sdk.FinishReasonMaxTokens)}})
	if err != nil || len(got.Contents) != 2 || len(asked.Contents) != 1 || got.Contents[1].Role != sdk.RoleUser || !strings.Contains(got.Contents[1].Parts[0].Text, "be shorter") {
		t.Errorf("got %+v, %v", got.Contents, err)
	}
	if got, err := genai.Told(t.Context(), asked, middleware.Failure{}); err != nil || len(got.Contents) != 1 {
		t.Errorf("got %+v, %v", got.Contents, err)
	}
}
