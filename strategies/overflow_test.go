package strategies_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

func TestOverflowInNumbers(t *testing.T) {
	for text, want := range map[string][2]int{
		"This model's maximum context length is 8192 tokens. However, you requested 9310 tokens (8310 in the messages, 1000 in the completion).": {8192, 9310},
		"the window is 8,192 but you sent 9,310 tokens: prompt is too long":                                                                      {8192, 9310},
		"prompt is too long: 213462 tokens > 200000 maximum":                                                                                     {200000, 213462},
		"input length and `max_tokens` exceed context limit: 174167 + 64000 > 200000, decrease input length":                                     {200000, 238167},
		"The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).":                                                {1048575, 1196265},
		"This model's maximum prompt length is 131072 but the request contains 537812 tokens.":                                                   {131072, 537812},
		"Range of input length should be [1, 983616]":                                                                                            {983616, 0},
		"Your request exceeded model token limit: 262144 (requested: 291351)":                                                                    {262144, 291351},
		"request (13392 tokens) exceeds the available context size (8192 tokens), try increasing it":                                             {8192, 13392},
		"length of prompt_tokens (68957) must be less than max_seq_len (65536).":                                                                 {65536, 68957},
		"total tokens (141000) exceeds the model's max of 128000":                                                                                {128000, 141000},
		"Input is too long for requested model.":                                                                                                 {},
		"prompt too long; exceeded max context length by 812 tokens":                                                                             {},
		"prompt is too long: 9 tokens":                                                                                                           {},
		"prompt is too long: 99999999999999999999999999999 tokens > 1 maximum":                                                                   {},
	} {
		err := fmt.Errorf("agent: %w", &fieldTextError{StatusCode: 400, Body: text})
		if window, sent := strategies.Overflow(err); [2]int{window, sent} != want {
			t.Errorf("%s: got %d, %d, want %v", text, window, sent, want)
		}
	}
	for _, err := range []error{nil, errors.New("the maximum context length is 8192"), &fieldTextError{StatusCode: 429, Body: "Limit 8192, requested 9310"}} {
		if window, sent := strategies.Overflow(err); window != 0 || sent != 0 {
			t.Errorf("%v: got %d, %d", err, window, sent)
		}
	}
}

func TestStatusInText(t *testing.T) {
	for text, want := range map[string]strategies.Class{
		"API returned unexpected status code: 429: slow down":            strategies.ClassRateLimited,
		"API returned unexpected status code: 429: insufficient balance": strategies.ClassQuotaExhausted,
		"status code: 401": strategies.ClassUnauthorized,
		"error, status: 400 Bad Request, message: This model's maximum context length is 8192 tokens": strategies.ClassContextOverflow,
		`anthropic: HTTP 529: {"type":"error","error":{"type":"overloaded_error"}}`:                   strategies.ClassOverloaded,
		"Error 404: model x not found":     strategies.ClassNotFound,
		"HTTP/1.1 503 Service Unavailable": strategies.ClassTransient,
		"we have 429 dragons":              strategies.ClassTransient,
		"status code: 4290":                strategies.ClassTransient,
		"status code: 200":                 strategies.ClassTransient,
		"exit status 1":                    strategies.ClassTransient,
	} {
		c := &strategies.Classifier{Rules: []strategies.Rule{strategies.StatusInText}}
		if got := c.Classify(fmt.Errorf("agent: %w", errors.New(text))).Class; got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
		if got := strategies.Classify(errors.New(text)).Class; got != strategies.ClassTransient {
			t.Errorf("%s: without the rule it is %v", text, got)
		}
	}
	if got := strategies.StatusInText(strategies.WithClass(strategies.ClassBlocked, errors.New("status code: 429"))); got != strategies.ClassUnclassified {
		t.Errorf("it has an opinion on an error that speaks for itself: %v", got)
	}
	if got := strategies.StatusInText(nil); got != strategies.ClassUnclassified {
		t.Errorf("nil is %v", got)
	}
}

func TestClassifyAfterSomethingWasSent(t *testing.T) {
	pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("approve?"))
	for _, tc := range []struct {
		err   error
		sent  bool
		class strategies.Class
		trips bool
	}{
		{errors.New("reset"), false, strategies.ClassTransient, true},
		{errors.New("reset"), true, strategies.ClassCutOff, true},
		{strategies.WithClass(strategies.ClassRateLimited, errors.New("slow down")), true, strategies.ClassCutOff, false},
		{pause, true, strategies.ClassInterrupt, false},
		{&strategies.StreamError{Err: errors.New("reset")}, true, strategies.ClassCutOff, true},
		{nil, true, strategies.ClassUnclassified, false},
	} {
		v := strategies.ClassifyAfter(tc.err, tc.sent)
		if v.Class != tc.class || v.Trips != tc.trips || v.Class == strategies.ClassCutOff && (v.Retry || v.Fallback || !v.Final) {
			t.Errorf("%v, sent %v: got %+v", tc.err, tc.sent, v)
		}
	}
}

func TestBrief(t *testing.T) {
	said := &fieldTextError{StatusCode: 429, Body: `{"error":{"message":"Rate limit\u0007 reached.\nPlease try again in 7s."}}`}
	for want, e := range map[string]*strategies.RecoveryError{
		"bard could not answer: the provider said: Rate limit reached. Please try again in 7s.": {Agent: "bard", Attempts: []strategies.Attempt{
			{Agent: "bard", Err: errors.New("first")}, {Agent: "bard", Class: strategies.ClassRateLimited, Err: fmt.Errorf("agent: %w", said)},
			{Agent: "bard", Class: strategies.ClassRejected, Err: &strategies.OpenError{}}}},
		"the agent could not answer":                                {},
		"bard could not answer: the provider said: no more dragons": {Agent: "bard", Cause: errors.New("no \t more\x1b dragons")},
	} {
		if got := e.Brief(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	long := &strategies.RecoveryError{Cause: errors.New(string(make([]rune, 10)) + "ä" + fmt.Sprint(make([]int, 1000)))}
	if got := []rune(long.Brief()); len(got) > 201 {
		t.Errorf("%d letters", len(got))
	}
}
