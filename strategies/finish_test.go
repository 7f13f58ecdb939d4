package strategies_test

import (
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

func TestFinishReasonsOfAllProviders(t *testing.T) {
	for class, reasons := range map[strategies.Class]string{
		strategies.ClassUnclassified: "stop STOP end_turn stop_sequence COMPLETE completed eos_token tool_calls tool-calls " +
			"tool_use TOOL_CALL function_call FINISH_REASON_STOP",
		strategies.ClassBlocked: "content_filter content_filtered refusal guardrail_intervened sensitive SAFETY RECITATION " +
			"BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION ERROR_TOXIC blocked",
		strategies.ClassContextOverflow: "model_context_window_exceeded ERROR_LIMIT",
		strategies.ClassOverloaded:      "insufficient_system_resource",
		strategies.ClassTransient:       "network_error error abort aborted ERROR",
		strategies.ClassTimeout:         "timeout TIMEOUT",
		strategies.ClassInvalidAnswer: "length max_tokens MAX_TOKENS max_output_tokens model_length MALFORMED_FUNCTION_CALL " +
			"UNEXPECTED_TOOL_CALL OTHER LANGUAGE NO_IMAGE pause_turn FINISH_REASON_UNSPECIFIED unknown something_new null nil 停止",
	} {
		for reason := range strings.FieldsSeq(reasons) {
			if got := strategies.ClassOfFinish(reason); got != class {
				t.Errorf("%q is %v, want %v", reason, got, class)
			}
		}
	}
	for _, reason := range []string{"", " ", strings.Repeat("stop", 1<<16), "stop it", "stop\x00"} {
		if got := strategies.ClassOfFinish(reason); got != strategies.ClassInvalidAnswer {
			t.Errorf("%.20q is %v, want invalid_answer", reason, got)
		}
	}
}

func TestArgumentsAreWholeOrNot(t *testing.T) {
	for arguments, whole := range map[string]bool{
		"": true, "  ": true, "{}": true, `{"a":1}`: true, " {\"a\": {}}\n": true,
		`{"a":1`: false, `{"a":`: false, "null": false, "[]": false, `"{}"`: false, "1": false, "{}{}": false, "{} x": false, "{a:1}": false,
	} {
		if strategies.WholeArguments(arguments) != whole {
			t.Errorf("%q: whole is %v", arguments, !whole)
		}
	}
}
