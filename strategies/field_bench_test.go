package strategies_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/understudy-go/understudy/internal/field"
	"github.com/understudy-go/understudy/internal/foreign"
	"github.com/understudy-go/understudy/strategies"
)

// benchShapes are two failures that a caller meets often, with all that their
// clients keep.
var benchShapes = map[string]field.Shape{
	"a rate limit with its headers": {
		Status: http.StatusTooManyRequests,
		Headers: map[string]string{
			"Content-Type": "application/json", "Date": "Fri, 02 Oct 2026 12:00:00 GMT", "Server": "edge", "Openai-Processing-Ms": "12",
			"X-Ratelimit-Limit-Requests": "500", "X-Ratelimit-Remaining-Requests": "499", "X-Ratelimit-Reset-Requests": "120ms",
			"X-Ratelimit-Limit-Tokens": "30000", "X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "2.86s", "X-Request-Id": "req_x",
		},
		Body: json.RawMessage(`{"error":{"message":"Rate limit reached for gpt-4.1 in organization org-x on tokens per min (TPM): Limit 30000, Used 22120, Requested 9310. Please try again in 2.86s. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`),
	},
	"a full window": {
		Status: http.StatusBadRequest,
		Body:   json.RawMessage(`{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9310 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`),
	},
	"a full window without a code": {
		Status: http.StatusBadRequest,
		Body:   json.RawMessage(`{"error":{"message":"The input (41000 tokens) is longer than the model's context length (32768 tokens).","type":"invalid_request_error","param":null,"code":null}}`),
	},
}

func BenchmarkClassifyField(b *testing.B) {
	for name, s := range benchShapes {
		err := fieldShape{s}.asErrorJSON()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				strategies.Classify(err)
			}
		})
	}
}

// FuzzClassifyBody sends any body with any status through every kind of client: the
// verdict is one of the table's, and its wait is in bounds.
func FuzzClassifyBody(f *testing.F) {
	for _, s := range benchShapes {
		f.Add(s.Status, s.Text())
	}
	f.Add(200, `{"code":8,"message":"wait 30 秒后","details":[]}`)
	f.Add(503, `{"error":{"message":"resets at 12:45 PM UTC","retryAfterMs":8e99}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		data, err := json.Marshal(body)
		if err != nil {
			return
		}
		for _, e := range fieldErrors(fieldShape{field.Shape{Status: status, Body: data, Stream: status == 200}}) {
			v := strategies.Classify(e.err)
			if v.RetryAfter < 0 || v.RetryAfter > foreign.MaxWait || v.Class == strategies.ClassUnclassified {
				t.Errorf("%d %q, as %s: %+v", status, body, e.client, v)
			}
		}
	})
}
