package eino

import (
	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/strategies"
)

// hears takes note of what a message, or a piece of one, says that its answer has
// cost. Of several pieces each number is the largest, as eino itself has it.
func hears[M adk.MessageType](u *strategies.Usage, m M) {
	var told *schema.TokenUsage
	switch m := any(m).(type) {
	case *schema.Message:
		if m != nil && m.ResponseMeta != nil {
			told = m.ResponseMeta.Usage
		}
	case *schema.AgenticMessage:
		if m != nil && m.ResponseMeta != nil {
			told = m.ResponseMeta.TokenUsage
		}
	}
	if told != nil {
		u.TokensIn, u.TokensOut = max(u.TokensIn, told.PromptTokens), max(u.TokensOut, told.CompletionTokens)
		u.TokensCached = max(u.TokensCached, told.PromptTokenDetails.CachedTokens)
	}
}
