package strategies_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/understudy-go/understudy/strategies"
)

func TestHostileRedact(t *testing.T) {
	gone := map[string]string{
		"sk-proj-4fGhJkLmNoPqRsTuVwXyZ0123456789abcdefGHIJ": "Incorrect API key provided: %",
		"sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789": "key=%",
		"AIzaSyA1234567890abcdefghijklmnopqrstuv":           "GET https://x.googleapis.com/v1?key=%&alt=json",
		"hunter2":              "password: %",
		"hunter3":              `{"password":"%"}`,
		"hunter4":              `{"api_key" : "%"}`,
		"hunter5":              "https://user:%@example.com/x",
		"hunter6":              "api-key='%'",
		"hunter7":              "X-Api-Key: %",
		"hunter8":              "Cookie: session=%; other=1",
		"hunter9":              "PASSWORD=%",
		"hunter10":             `\"token\":\"%\"`,
		"abcdefABCDEF0123":     "Authorization: Bearer %",
		"dXNlcjpwYXNzd29yZA==": "Authorization: Basic %",
		"ghp_16C7e42F292c6912E7710c838347Ae178B4a": "remote: %",
		"xoxb-1234567890-abcdefghijkl":             "slack %",
		"AKIAIOSFODNN7EXAMPLE":                     "aws %",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U": "jwt %",
		"ada@example.com":     "mail from % to me",
		"ada.b+c@ex.co.uk":    "<%>",
		"4111 1111 1111 1111": "card % declined",
		"4111-1111-1111-1111": "card % declined",
		"+49 170 1234567":     "call %",
		"123456789":           "account %",
	}
	for secret, in := range gone {
		text := strings.ReplaceAll(in, "%", secret)
		got := strategies.Redact(text)
		if strings.Contains(got, secret) {
			t.Errorf("%q -> %q", text, got)
		}
		if again := strategies.Redact(got); again != got {
			t.Errorf("not idempotent: %q -> %q", got, again)
		}
		// far in the text, over the border of 1024
		for _, n := range []int{1000, 1010, 1015, 1020, 1024, 4090} {
			long := strings.Repeat("word ", n/5+1)[:n] + text
			if got := strategies.Redact(long); len(got) > 1100 || strings.Contains(got, secret) {
				t.Errorf("at %d %q: %d %q", n, text, len(got), got[max(0, len(got)-60):])
			} else if k := len(secret) - 3; n < 1024 && len(secret) > 12 && strings.Contains(got, secret[:min(10, k)]) {
				t.Errorf("at %d: a part of %q stays: %q", n, secret, got[max(0, len(got)-60):])
			}
		}
	}
	for _, keep := range []string{
		"request id req_011CSHoEeqs5C35K2UUqR7Fy failed", "trace 4bf92f3577b34da6a3ce929d0e0e4736", "550e8400-e29b-41d4-a716-446655440000",
		"2026-11-28T12:11:45.123456Z", "took 1500ms, 8192 tokens", "status 429", "",
	} {
		if got := strategies.Redact(keep); got != keep {
			t.Errorf("%q -> %q", keep, got)
		}
	}
	for _, odd := range []string{"\xff\xfe\x00", strings.Repeat("\xff", 5000), strings.Repeat("é", 3000), "a\x00b", strings.Repeat("a@", 2000), strings.Repeat("key=", 1000), strings.Repeat("-----BEGIN ", 400), "password", "password:", "password: ", "Bearer", "https://:@", "@", strings.Repeat("1", 5000)} {
		got := strategies.Redact(odd)
		if len(got) > 1100 {
			t.Errorf("%.20q: %d", odd, len(got))
		}
		if utf8.ValidString(odd) && !utf8.ValidString(got) {
			t.Errorf("%.20q is broken: %q", odd, got[len(got)-10:])
		}
	}
	pem := "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----"
	if got := strategies.Redact("x " + pem + " y"); strings.Contains(got, "MIIE") || strings.Contains(got, "abc") {
		t.Error(got)
	}
	if got := strategies.Redact("x -----BEGIN EC PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabcdef"); strings.Contains(got, "MIIE") {
		t.Error("without an end:", got)
	}
}

func TestHostileChecks(t *testing.T) {
	loop := strategies.NoLoops{}
	for n, text := range map[string]string{
		"loop":     strings.Repeat("I will now do it again. ", 60),
		"one word": strings.Repeat("no ", 400),
		"utf8":     strings.Repeat("日本語です。", 100),
	} {
		if err := loop.Check(strategies.Answer{Text: text}); err == nil {
			t.Error(n)
		}
	}
	for n, text := range map[string]string{
		"seven":  "start " + strings.Repeat("I will now do it again, and I will do it as long as I have to, for it is what I have to do now. ", 7) + "end",
		"short":  strings.Repeat("ab", 100),
		"table":  strings.Repeat("-", 300),
		"empty":  "",
		"badutf": "\xff\xfe",
	} {
		if err := loop.Check(strategies.Answer{Text: text}); err != nil {
			t.Error(n, err)
		}
	}
	if err := (strategies.WholeAnswer{}).Check(strategies.Answer{Text: "x"}); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"I'm sorry, but I can't help with that.", "I’m sorry, but I can’t assist with that request."} {
		err := (strategies.NoRefusals{}).Check(strategies.Answer{Text: s})
		if err == nil {
			t.Error(s)
		}
		var c strategies.Classifier
		if v := c.Classify(err); v.Class != strategies.ClassBlocked {
			t.Error(v.Class)
		}
	}
}
