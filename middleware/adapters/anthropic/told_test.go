package anthropic_test

import (
	"encoding/json"
	"strings"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

// The roles must take turns, so the word goes into the user's last message.
func TestTold(t *testing.T) {
	cut := middleware.Failure{Err: &strategies.AnswerError{Reason: anthropic.Length}}
	user := sdk.NewUserMessage(sdk.NewTextBlock("hello"))
	for name, tc := range map[string]struct {
		messages []sdk.MessageParam
		failure  middleware.Failure
		want     int // messages
		told     bool
	}{
		"behind the user's":     {[]sdk.MessageParam{user}, cut, 1, true},
		"behind an assistant's": {[]sdk.MessageParam{user, sdk.NewAssistantMessage(sdk.NewTextBlock("hm"))}, cut, 3, true},
		"nothing to be told of": {[]sdk.MessageParam{user}, middleware.Failure{}, 1, false},
		"without a message":     {nil, cut, 1, true},
	} {
		before, _ := json.Marshal(tc.messages)
		got, err := anthropic.Told(t.Context(), sdk.MessageNewParams{Messages: tc.messages}, tc.failure)
		wire, _ := json.Marshal(got.Messages)
		if after, _ := json.Marshal(tc.messages); string(after) != string(before) {
			t.Errorf("%s: the caller's messages were changed", name)
		}
		if err != nil || len(got.Messages) != tc.want || strings.Contains(string(wire), "be shorter") != tc.told {
			t.Errorf("%s: %s, %v", name, wire, err)
		}
	}
}
