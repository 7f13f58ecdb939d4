package jsonschema_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	sdk "github.com/google/jsonschema-go/jsonschema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/jsonschema"
	"github.com/understudy-go/understudy/strategies"
)

type booking struct {
	Room   int      `json:"room"`
	Guest  string   `json:"guest"`
	Extras []string `json:"extras,omitempty"`
}

func ranged() *sdk.Schema {
	least := 1.0
	return &sdk.Schema{Type: "object", Properties: map[string]*sdk.Schema{"room": {Type: "integer", Minimum: &least}}, Required: []string{"room"}}
}

func TestCheck(t *testing.T) {
	call := func(name, arguments string) strategies.Answer {
		return strategies.Answer{Calls: []strategies.ToolCall{{Name: name, Arguments: arguments}}}
	}
	text := func(s string) strategies.Answer { return strategies.Answer{Text: s} }
	for _, tc := range []struct {
		it    string
		check *jsonschema.Check
		a     strategies.Answer
		wrong string // what is said of it, in part; "": nothing is wrong
	}{
		{"it fits", jsonschema.For[booking](), text(` {"room":7,"guest":"Ito"} `), ""},
		{"a list that is left out", jsonschema.For[booking](), text(`{"room":7,"guest":"Ito","extras":["cot"]}`), ""},
		{"a field of another type", jsonschema.For[booking](), text(`{"room":"7","guest":"Ito"}`), "room"},
		{"a field that is missing", jsonschema.For[booking](), text(`{"room":7}`), "guest"},
		{"a field too many", jsonschema.For[booking](), text(`{"room":7,"guest":"Ito","mood":"good"}`), "mood"},
		{"prose", jsonschema.For[booking](), text("Here you are."), "is no JSON"},
		{"prose behind it", jsonschema.For[booking](), text(`{"room":7,"guest":"Ito"} Enjoy!`), "has something behind its JSON"},
		{"two of them", jsonschema.For[booking](), text(`{"room":7,"guest":"Ito"}{}`), "has something behind its JSON"},
		{"a code fence", jsonschema.For[booking](), text("```json\n{}\n```"), "stands in a code fence"},
		{"half of it", jsonschema.For[booking](), text(`{"room":7,"gue`), "breaks off"},
		{"nothing", jsonschema.For[booking](), text(" "), "is empty"},
		{"a call is no answer yet", jsonschema.For[booking](), call("look", ""), ""},
		{"a schema of one's own", jsonschema.Of(ranged()), text(`{"room":0}`), "minimum"},
		{"arguments that fit", jsonschema.Tool("book", ranged()), call("book", `{"room":3}`), ""},
		{"arguments that do not", jsonschema.Tool("book", ranged()), call("book", `{"room":0}`), `the argument object of "book" does not fit`},
		{"none, where some are needed", jsonschema.ToolFor[booking]("book"), call("book", ""), "room"},
		{"those of another tool", jsonschema.ToolFor[booking]("book"), call("look", "{"), ""},
	} {
		t.Run(tc.it, func(t *testing.T) {
			if err := tc.check.Validate(); err != nil {
				t.Fatal(err)
			}
			err := tc.check.Check(tc.a)
			if tc.wrong == "" && err != nil || tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) {
				t.Errorf("got %v, want %q in it", err, tc.wrong)
			}
		})
	}
	for name, check := range map[string]*jsonschema.Check{
		"nil":                      nil,
		"no schema":                jsonschema.Of(nil),
		"a type that JSON has not": jsonschema.For[chan int](),
		"arguments of such":        jsonschema.ToolFor[func()]("f"),
		"a rule that is none":      jsonschema.Of(&sdk.Schema{Pattern: "("}),
	} {
		if err := check.Validate(); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
		if err := check.Check(text("{}")); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("%s, used all the same: %v", name, err)
		}
	}
}

// An answer that does not fit is asked for again, and the agent is told why.
func Example() {
	asked := 0
	clerk := func(_ context.Context, request string) (string, error) {
		fmt.Println("asked:", request)
		if asked++; asked == 1 {
			return `{"room": 7}`, nil
		}
		return `{"room": 7, "guest": "Ito"}`, nil
	}
	guarded, err := middleware.WrapFunc(clerk).
		Check(func(_, answer string) strategies.Answer { return strategies.Answer{Text: answer} }, jsonschema.For[booking]()).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		RetryVia(func(_ context.Context, request string, failure middleware.Failure) (string, error) {
			return request + " (" + failure.Reason() + ")", nil
		}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(guarded.Run(context.Background(), "book room 7 for Ito"))
	// Output:
	// asked: book room 7 for Ito
	// asked: book room 7 for Ito (the answer does not fit its JSON schema: validating root: required: missing properties: ["guest"])
	// {"room": 7, "guest": "Ito"} <nil>
}

func BenchmarkCheck(b *testing.B) {
	check, a := jsonschema.For[booking](), strategies.Answer{Text: `{"room":7,"guest":"Ito","extras":["cot","late"]}`}
	b.ReportAllocs()
	for b.Loop() {
		if err := check.Check(a); err != nil {
			b.Fatal(err)
		}
	}
}
