package genai

import (
	"strings"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// Answer is for Check: the first candidate, without its thoughts, and the function
// calls since the user's last turn in the request.
func Answer(req Request, response *sdk.GenerateContentResponse) strategies.Answer {
	return StreamAnswer(req)(response)
}

// StreamAnswer is [Answer] for the Check of a stream. Arguments that come in pieces,
// as Vertex AI sends them if it is told to, are not put together: such a call has none.
func StreamAnswer(req Request) func(*sdk.GenerateContentResponse) strategies.Answer {
	a := strategies.Answer{Before: callsBefore(req)}
	var text strings.Builder
	return func(chunk *sdk.GenerateContentResponse) strategies.Answer {
		var c *sdk.Candidate
		if chunk != nil {
			for _, one := range chunk.Candidates {
				if one != nil && one.Index == 0 {
					c = one
					break
				}
			}
		}
		if c == nil {
			return a
		}
		if c.Content != nil {
			for _, p := range c.Content.Parts {
				if p == nil {
					continue
				}
				if f := p.FunctionCall; f != nil && f.Name != "" {
					a.Calls = append(a.Calls, strategies.ToolCall{Name: f.Name, Arguments: arguments(f)})
				}
				if !p.Thought {
					text.WriteString(p.Text)
				}
			}
		}
		if ends(c) {
			a.Finish = string(c.FinishReason)
		}
		a.Text = text.String()
		return a
	}
}

func callsBefore(req Request) (all []strategies.ToolCall) {
	for _, content := range req.Contents {
		if content == nil {
			continue
		}
		for _, p := range content.Parts {
			switch {
			case p == nil:
			case p.FunctionCall != nil:
				all = append(all, strategies.ToolCall{Name: p.FunctionCall.Name, Arguments: arguments(p.FunctionCall)})
			case content.Role != sdk.RoleModel && p.FunctionResponse == nil:
				all = nil
			}
		}
	}
	return all
}
