package eino

import (
	"context"
	"maps"
	"strings"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// says says whether a message has something in it that its reader would see.
// Chunks before the first one that does are held back.
func says(m *schema.Message) bool {
	return m.Content != "" || len(m.ToolCalls) > 0 || m.ReasoningContent != "" ||
		len(m.AssistantGenMultiContent) > 0 || len(m.MultiContent) > 0 // older models still fill the latter
}

// finish is the provider's finish reason, in lower case. Each has its own words.
func finish(m *schema.Message) string {
	if m == nil || m.ResponseMeta == nil {
		return ""
	}
	return strings.ToLower(m.ResponseMeta.FinishReason)
}

// filtered says why a filter stopped a message, or nil.
func filtered(m *schema.Message) error {
	switch f := finish(m); f {
	case "content_filter", "content_filtered", "refusal", "guardrail_intervened", "sensitive", // OpenAI, Bedrock, Claude, GLM
		"safety", "recitation", "blocklist", "prohibited_content", "spii", "image_safety": // Gemini
		return &AnswerError{Reason: Filtered, Finish: f}
	}
	return nil
}

// judge says why a whole message is no answer, or nil.
func judge(m *schema.Message) error {
	if err := filtered(m); err != nil {
		return err
	}
	if m == nil || !says(m) {
		return &AnswerError{Reason: Empty, Finish: finish(m)}
	}
	return nil
}

// Ends is for Complete: it says whether a message has a finish reason. It is for
// models that report one; a stream of theirs that was cut off otherwise looks
// like a whole one.
func Ends(m *schema.Message) bool { return finish(m) != "" }

// NotTruncated is for Validate: it refuses a message that a token limit cut
// short, which is otherwise taken for what there is.
func NotTruncated(_ context.Context, _ Call, m *schema.Message) error {
	switch f := finish(m); f {
	case "length", "max_tokens":
		return &AnswerError{Reason: Truncated, Finish: f}
	}
	return nil
}

// levelKey is where a message says how much of an answer it is. The value is a
// string, so that it survives a checkpoint.
const levelKey = "understudy_level"

// Level returns how much of an answer a message is: [strategies.LevelFull], unless it
// came from a rung, or was asked for while the agent's ladder stood lower.
func Level(m *schema.Message) strategies.Level {
	if m != nil {
		for _, level := range strategies.Levels() {
			if m.Extra[levelKey] == level.String() {
				return level
			}
		}
	}
	return strategies.LevelFull
}

// marked returns a message that says its level. A message may be shared, so it
// is copied.
func marked(ctx context.Context, m *schema.Message) *schema.Message {
	level := middleware.CallOf(ctx).Level()
	if level == strategies.LevelFull {
		return m
	}
	m = copied(m)
	m.Extra[levelKey] = level.String()
	return m
}

func copied(m *schema.Message) *schema.Message {
	c := *m
	if c.Extra = maps.Clone(m.Extra); c.Extra == nil {
		c.Extra = map[string]any{}
	}
	return &c
}

// identified gives a message the id that eino gives to those of an agent's own
// model, and that one of a stand-in would lack.
func identified(m *schema.Message) *schema.Message {
	if adk.GetMessageID(m) == "" {
		m = copied(m)
		adk.EnsureMessageID(m)
	}
	return m
}
