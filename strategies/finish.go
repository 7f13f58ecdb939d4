package strategies

import (
	"bytes"
	"encoding/json"
	"strings"
)

// ClassOfFinish says what it means that an answer ended for a reason, in the
// word of whichever provider: "stop", "max_tokens", "SAFETY", "COMPLETE".
//
// ClassUnclassified: the answer is whole. These are the reasons known to be so,
// and no others: what nobody knows is no reason to believe an answer, and has
// [ClassInvalidAnswer]. So has a limit of tokens that cut the answer short, and
// an empty reason. What was held back for its content is [ClassBlocked]; a full
// window is [ClassContextOverflow]; a provider that gave up half way says
// [ClassOverloaded], [ClassTransient] or [ClassTimeout].
//
// Upper and lower case, and '-' and '_', are the same. It is for whoever makes an
// agent of a client; see [AnswerError].
func ClassOfFinish(reason string) Class {
	if len(reason) > maxFinish {
		return ClassInvalidAnswer
	}
	reason = strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(reason)), "-", "_"), "finish_reason_")
	switch reason {
	case "stop", "end_turn", "stop_sequence", "stop_sequences", "complete", "completed", "eos", "eos_token",
		"tool_calls", "tool_call", "tool_use", "function_call", "function_calls":
		return ClassUnclassified
	case "content_filter", "content_filtered", "refusal", "guardrail_intervened", "sensitive", "blocked", "error_toxic",
		"safety", "recitation", "blocklist", "prohibited_content", "spii", "model_armor", "jailbreak", "prompt_blocked",
		"image_safety", "image_prohibited_content", "image_recitation":
		return ClassBlocked
	case "model_context_window_exceeded", "context_length_exceeded", "error_limit": // the last is Cohere's
		return ClassContextOverflow
	case "insufficient_system_resource": // DeepSeek
		return ClassOverloaded
	case "network_error", "error", "abort", "aborted": // Zhipu; OpenRouter; vLLM and SGLang
		return ClassTransient
	case "timeout":
		return ClassTimeout
	}
	return ClassInvalidAnswer
}

// maxFinish is more than any reason has; a longer one is somebody's text.
const maxFinish = 64

// WholeArguments says whether the arguments of a tool call are whole: one JSON
// object, with nothing after it, or nothing at all, which is how a call without
// arguments is sent. A call whose arguments were cut is not to be run.
func WholeArguments(arguments string) bool {
	raw := bytes.TrimSpace([]byte(arguments))
	return len(raw) == 0 || raw[0] == '{' && json.Valid(raw)
}
