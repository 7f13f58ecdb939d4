package genkit_test

import (
	"testing"

	"github.com/firebase/genkit/go/ai"

	"github.com/understudy-go/understudy/middleware/adapters/genkit"
)

func TestAlive(t *testing.T) {
	says := func(p *ai.Part) genkit.Chunk {
		return genkit.Chunk{Delta: &ai.ModelResponseChunk{Content: []*ai.Part{nil, p}}}
	}
	for name, tc := range map[string]struct {
		chunk genkit.Chunk
		alive bool
	}{
		"text":              {says(ai.NewTextPart("a")), true},
		"reasoning":         {says(ai.NewReasoningPart("a", nil)), true},
		"a piece of a call": {says(ai.NewToolRequestPart(&ai.ToolRequest{Name: "pay"})), true},
		"the end":           {genkit.Chunk{Final: &ai.ModelResponse{}}, true},
		"an empty text":     {says(ai.NewTextPart("")), false},
		"nothing at all":    {genkit.Chunk{}, false},
	} {
		if genkit.Alive(tc.chunk) != tc.alive {
			t.Errorf("%s: alive is %v", name, !tc.alive)
		}
	}
}
