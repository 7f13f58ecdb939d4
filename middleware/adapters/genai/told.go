package genai

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
)

// Told is for RetryVia: the next request holds the model's last answer and what was
// wrong with it. Of a text that is one more turn of the model's and one of the user's;
// function calls are answered with why they were not run. An answer that is longer than
// 8 KiB is left out, and the user alone speaks. Other failures leave the request as it
// is.
func Told(_ context.Context, req Request, failure middleware.Failure) (Request, error) {
	reason := failure.Reason()
	if reason == "" {
		return req, nil
	}
	told := &sdk.Content{Role: sdk.RoleUser, Parts: []*sdk.Part{{Text: "Your last answer to this could not be used: " + reason + ". Please answer again."}}}
	req.Contents = slices.Clone(req.Contents)
	answer, text := failure.Answer()
	if response, ok := answer.(*sdk.GenerateContentResponse); ok && response != nil && len(response.Candidates) > 0 && response.Candidates[0] != nil {
		content := response.Candidates[0].Content
		if replies, ok := repliesTo(content, reason); ok {
			if len(replies) > 0 {
				told = &sdk.Content{Role: sdk.RoleUser, Parts: replies}
			}
			req.Contents = append(req.Contents, content, told)
			return req, nil
		}
	}
	if text = strings.TrimSpace(text); text != "" && len(text) <= mostTold {
		req.Contents = append(req.Contents, sdk.NewContentFromText(text, sdk.RoleModel))
	}
	req.Contents = append(req.Contents, told)
	return req, nil
}

// mostTold is how much of an answer is sent back to the model that wrote it.
const mostTold = 8 << 10

// repliesTo answers the function calls of an answer. ok is false for one that cannot
// stand in a history, or that is not worth it.
func repliesTo(content *sdk.Content, reason string) (replies []*sdk.Part, ok bool) {
	if content == nil || content.Role != sdk.RoleModel {
		return nil, false
	}
	size := 0
	for _, p := range content.Parts {
		if !says(p) || p.FunctionCall != nil && (p.FunctionCall.Name == "" || len(p.FunctionCall.PartialArgs) > 0) {
			return nil, false
		}
		size += len(p.Text)
		if f := p.FunctionCall; f != nil {
			size += 1 + len(arguments(f))
			replies = append(replies, &sdk.Part{FunctionResponse: &sdk.FunctionResponse{ID: f.ID, Name: f.Name, Response: map[string]any{"error": "this was not run: " + reason}}})
		}
	}
	return replies, size > 0 && size <= mostTold
}

// arguments are those of a call as JSON, as a check reads them.
func arguments(f *sdk.FunctionCall) string {
	if len(f.Args) == 0 {
		return ""
	}
	raw, _ := json.Marshal(f.Args) // they came as JSON
	return string(raw)
}
