package middleware_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// fill sets each field of a struct to something that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)))
			continue
		case time.Duration:
			f.Set(reflect.ValueOf(90*time.Second + time.Millisecond))
			continue
		case error:
			f.Set(reflect.ValueOf(errors.New("said " + name)))
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("a \"" + name + "\" <b>\u2028\n")
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i) + 3)
		case reflect.Uint8:
			f.SetUint(2)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Float64:
			f.SetFloat(1.5)
		case reflect.Struct:
			fill(t, f)
		case reflect.Interface:
			f.Set(reflect.ValueOf(errors.New("said " + name)))
		default:
			t.Fatalf("%s: a %v, which this test does not know", name, f.Type())
		}
	}
}

// Every field is written, and read back.
func TestAnEventReadsBackFromJSON(t *testing.T) {
	var in, out middleware.Event
	fill(t, reflect.ValueOf(&in).Elem())
	text, err := json.Marshal(in)
	expect(t, "error", err, nil)
	expect(t, "error", json.Unmarshal(text, &out), nil)
	expect(t, "the error's text", out.Err.Error(), in.ErrorText())
	expect(t, "the detail", out.Detail, strategies.Redact(in.Detail))
	in.Err, out.Err, in.Detail, out.Detail = nil, nil, "", ""
	expect(t, "event", out, in)

	text, err = json.Marshal(middleware.Event{Kind: middleware.EventFailed, Err: errors.New("the api_key=sk-proj-0123456789abcdef0123456789 is wrong")})
	expect(t, "error", err, nil)
	expect(t, "no secret in "+string(text), strings.Contains(string(text), "0123456789"), false)
	text, err = json.Marshal(middleware.Event{Kind: middleware.EventLevelChanged, Agent: "bard"})
	expect(t, "error", err, nil)
	expect(t, "what is not set is not written, but for the level that is reached", string(text),
		`{"kind":"level_changed","agent":"bard","degradation_level":"full"}`)
	for _, bad := range []string{`{"kind":"none"}`, `{"kind":2}`, `{"kind":"failed","delay":"soon"}`, `[]`, `{"kind":"failed","class":"odd"}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s is read as %v", bad, out)
		}
	}
}

// The keys are those of the loggers, so that one query finds both.
func TestAnEventHasTheKeysOfTheLoggers(t *testing.T) {
	var e middleware.Event
	fill(t, reflect.ValueOf(&e).Elem())
	text, err := json.Marshal(e)
	expect(t, "error", err, nil)
	var keys map[string]any
	expect(t, "error", json.Unmarshal(text, &keys), nil)
	e.Attributes(func(key string, _ any) {
		if _, ok := keys[key]; !ok && !strings.HasPrefix(key, "usage_") {
			t.Errorf("JSON has no %q: %s", key, text)
		}
	})
}

func TestHealthReadsBackFromJSON(t *testing.T) {
	var in, out middleware.Health
	fill(t, reflect.ValueOf(&in).Elem())
	text, err := json.Marshal(in)
	expect(t, "error", err, nil)
	expect(t, "error", json.Unmarshal(text, &out), nil)
	expect(t, "health", out, in)
	text, err = json.Marshal(middleware.Health{Agent: "bard"})
	expect(t, "error", err, nil)
	expect(t, "no time is no year 1", strings.Contains(string(text), "0001"), false)
	expect(t, "wrong time", json.Unmarshal([]byte(`{"RetryAfter":"soon"}`), &out) != nil, true)
}

func TestWhatIsExplainedIsWrittenInWords(t *testing.T) {
	g := built(t, middleware.Wrap(plays("hi")).Named("bard").Retry(strategies.Retry{}).Timeout(time.Second))
	text, err := json.Marshal(g.Explain())
	expect(t, "error", err, nil)
	for _, want := range []string{`"Stage":"retry"`, `"Time":"11s"`} {
		expect(t, want+" in "+string(text), strings.Contains(string(text), want), true)
	}
}

func TestAHandOnAnAgent(t *testing.T) {
	bare := built(t, middleware.Wrap(plays("hi")))
	expect(t, "no breaker, no ladder", bare.Owner().Breaker() == nil && bare.Owner().Ladder() == nil, true)
	breaker, ladder := &strategies.Breaker{Failures: 1}, &strategies.Ladder{}
	g := built(t, middleware.Wrap(plays(errSick)).CircuitBreaker(breaker).Degrade(strategies.LevelMinimal, plays("sorry")).Ladder(ladder))
	expect(t, "breaker and ladder", g.Owner().Breaker() == breaker && g.Owner().Ladder() == ladder, true)
	asked(t, g, "sorry")
	expect(t, "failures", g.Health().Failures, 1)
	g.Owner().Forgive()
	expect(t, "failures", g.Health().Failures, 0)
	expect(t, "breaker", g.Health().Breaker, strategies.StateOpen)
	g.Owner().Ladder().Pin(strategies.LevelReduced, "a person")
	expect(t, "pinned", g.Health().Pinned, true)
}
