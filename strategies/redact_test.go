package strategies_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/understudy-go/understudy/strategies"
)

// A secret in «» must not come out; what stands around it must.
var withSecrets = []string{
	"401 Incorrect API key provided: «sk-proj-4fGhJkL9mNbVcXz1qWeRtYuIoP». You can find your API key at https://platform.openai.com/account/api-keys.",
	"Incorrect API key provided: «sk-abcd********************wxyz».",
	"Incorrect API key provided: «abcd1234****************wxyz».",
	"invalid x-api-key «sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AA» (request req_011CQeVmC5vZkA8Z3b7TyPqs)",
	"API key not valid: «AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY», project 42",
	"GET https://generativelanguage.googleapis.com/v1beta/models?key=«AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY»&alt=sse: 403",
	"GET https://eu.example.test/v1/chat?alt=json&key=«0a9b8c7d6e5f»: unexpected status 500",
	"POST /v1/messages: header Authorization: «Bearer abc123.def456-ghi789»",
	`request headers: {"Authorization":["«Bearer gsk_7HgTfRdEsWaQzXcVbNmKjL»"],"Accept":["*/*"]}`,
	"map[Authorization:[«Basic YWxhZGRpbjpvcGVuc2VzYW1l»] Accept:[*/*]]",
	"the bearer «xoxb-2345-6789-abcdEFGHijkl» was revoked",
	"Set-Cookie: «session=8f14e45f; Path=/; HttpOnly»\nretry later",
	"cookie: «a=b; sid=s3cr3t»",
	"dial postgres://«orders:hunter2»@db.internal:5432/orders: connection refused",
	"redis://«:p4ssw0rd»@10.0.0.7:6379/0 is unreachable",
	`{"error":{"message":"bad","api_key":"«k-12345-abcde»","code":401}}`,
	`{\"api_key\":\"«k-12345-abcde»\"}`,
	"config: client_secret = «GOCSPX-abcDEF123ghiJKL456» is no longer valid",
	"OPENAI_API_KEY=«mysteriousvalue» is not set up for this project",
	"aws: AccessKeyId: «AKIAIOSFODNN7EXAMPLE», region eu-west-1",
	"aws_secret_access_key=«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY» rejected",
	"SignatureDoesNotMatch: X-Amz-Signature=«fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024» expired",
	"the request had token «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N»",
	"refresh_token: «1//0gAbCdEf», invalid_grant",
	"push denied for «ghp_16C7e42F292c6912E7710c838347Ae178B4a»",
	"github_pat leaked: «github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuv»",
	"huggingface: «hf_AbCdEfGhIjKlMnOpQrStUvWx» has no access to this model",
	"no permission for «alice.o'neil+agents@mail.example.co.uk» in this workspace",
	"user «bob%40example.com» was not found",
	"the model repeated: call me at «+49 170 1234567» please",
	"the model repeated: call me at «(415) 555-2671» please",
	"card «4111 1111 1111 1111» was declined",
	"card «4111-1111-1111-1111» was declined",
	"card «4111111111111111» was declined",
	"ssn «123-45-6789» is in the prompt",
	"the account «1234567890» has insufficient quota",
	"IBAN DE89 «3704 0044 0532 0130 00» is blocked",
	"-----BEGIN ONE-----\nfine\n«-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----» could not be read",
	"key file: «-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg»",
	"image data:image/png;base64,«iVBORw0KGgoAAAANSUhEUgAAAAUA» is too large",
	"unknown credential «Zx8Kq2Lm9Np4Rt7Vw1Yb3Cd5Fg6Hj8Kl0Qw2Er4Ty6U» in slot 3",
	"login failed: password: «hunter2!», try again",
	"the password is «swordfish» they said",
	"Authorization: «token abcdef»",
	`curl -H 'x-api-key: «9a8b7c6d5e4f»' failed`,
	"webhook «whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw» does not match",
}

// What nobody may lose who has to find out what happened.
var withoutSecrets = []string{
	"",
	"connection reset by peer",
	"429 Rate limit reached for gpt-4o in organization org-abc on tokens per min (TPM): Limit 30000, Used 29123, Requested 1200. Please try again in 646ms.",
	"This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 tokens.",
	"rate_limit_error: This request would exceed your organization's rate limit (request_id: req_011CQeVmC5vZkA8Z3b7TyPqs)",
	"trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
	"incident 018f3c2e-7b1a-7c3d-9e4f-123456789012 has expired",
	"2026-11-28T10:09:09.123456Z upstream connect error or disconnect/reset before headers",
	"2026-11-28 10:09:09 +0000 UTC: the breaker is open",
	"dial tcp 127.0.0.1:54321: connect: connection refused",
	"dial tcp [2001:db8::1]:443: i/o timeout",
	"unexpected token } in JSON at position 12",
	"max_tokens: 4096, completion_tokens: 512, temperature: 0.7",
	"tool get_weather_for_user: argument days=14 is out of range",
	"gpt-4o-mini-2024-07-18 is overloaded, claude-3-5-sonnet-20241022 is not",
	"POST https://api.openai.com/v1/chat/completions: 503 Service Unavailable",
	"bearer token missing",
	"Basic authentication is required",
	"monkey: banana, key: value",
	"the keyboard_interrupt handler and the task-oriented agent failed in pa-rallel",
	"map[model:narrator temperature:1]",
	"narrator: retried 3 times over 7.5s: understudy: attempt timed out after 30s",
	"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"wait 3m20s, 99.95 % of 1,048,576 bytes",
	"github.com/understudy-go/understudy/middleware.(*Guarded).Run",
	"é, ü, 你好: no secret in any language",
	"the narrator said @all and left at 10:30",
	"token: null, password: true",
	"access_token expires in 3600 s",
}

func TestRedactTakesSecretsOut(t *testing.T) {
	if len(withSecrets) < 40 {
		t.Fatalf("%d texts", len(withSecrets))
	}
	for _, text := range withSecrets {
		before, rest, _ := strings.Cut(text, "«")
		secret, after, found := strings.Cut(rest, "»")
		if !found {
			t.Fatalf("no secret is marked in %q", text)
		}
		want := before + "[redacted]" + after
		if got := strategies.Redact(before + secret + after); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	for _, text := range withoutSecrets {
		if got := strategies.Redact(text); got != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	}
}

func TestRedactIsBounded(t *testing.T) {
	long := strings.Repeat("the narrator lost the thread. ", 1000)
	got := strategies.Redact(long)
	if len(got) > 1024+40 || !strings.HasPrefix(got, long[:1000]) || !strings.HasSuffix(got, "... (30000 bytes in all)") {
		t.Errorf("%d bytes: ...%q", len(got), got[max(0, len(got)-60):])
	}
	// A secret at either cut is not shown in half.
	for at := 990; at < 1030; at++ {
		got := strategies.Redact(strings.Repeat("x", at) + " sk-proj-4fGhJkL9mNbVcXz1qWeRtYuIoP " + strings.Repeat("y ", 2000))
		if strings.Contains(got, "4fGh") {
			t.Errorf("at %d: %q", at, got[at-10:])
		}
	}
	for at := 4060; at < 4100; at++ {
		got := strategies.Redact(strings.Repeat("4111111111111111 ", 200)[:3400] + strings.Repeat(" ", at-3400) + "alice@example.com and more")
		if strings.Contains(got, "alice") {
			t.Errorf("at %d: %q", at, got)
		}
	}
	if got := strategies.Redact("a\xff\xfeb " + strings.Repeat("世", 2000)); !utf8.ValidString(got) {
		t.Errorf("no UTF-8: %q", got)
	}
}

func FuzzRedact(f *testing.F) {
	for _, text := range append(withSecrets, withoutSecrets...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := strategies.Redact(text)
		if len(got) > 1100 || !utf8.ValidString(got) {
			t.Errorf("%d bytes of %q", len(got), text)
		}
		if len(text) < 900 && utf8.ValidString(text) {
			key := "sk-proj-4fGhJkL9mNbVcXz1qWeRtYuIoP"
			if with := strategies.Redact(text + " " + key); strings.Contains(with, key) {
				t.Errorf("a key behind %q comes out: %q", text, with)
			}
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		strategies.Redact(withSecrets[0])
	}
}
