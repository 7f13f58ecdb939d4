package strategies_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/strategies"
)

func calls(pairs ...string) (all []strategies.ToolCall) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, strategies.ToolCall{Name: pairs[i], Arguments: pairs[i+1]})
	}
	return all
}

func TestAnswerChecks(t *testing.T) {
	poem := strings.Repeat("the sea, ", 100)
	for _, tc := range []struct {
		it    string
		check strategies.AnswerCheck
		a     strategies.Answer
		wrong string // what the model is told; "": nothing is wrong
		class strategies.Class
	}{
		{"a whole answer", strategies.WholeAnswer{}, strategies.Answer{Finish: "stop", Calls: calls("f", `{"a":1}`)}, "", 0},
		{"no reason is none to refuse it", strategies.WholeAnswer{}, strategies.Answer{}, "", 0},
		{"one that was cut off", strategies.WholeAnswer{}, strategies.Answer{Finish: "MAX_TOKENS"}, "it was cut off by the limit of tokens: be shorter", strategies.ClassInvalidAnswer},
		{"one that was held back", strategies.WholeAnswer{}, strategies.Answer{Finish: "content_filter"}, "content_filter", strategies.ClassBlocked},
		{"arguments that are no JSON", strategies.WholeAnswer{}, strategies.Answer{Finish: "stop", Calls: calls("f", `{"a":`)}, `the arguments of a tool call are no JSON object: write them as one: the call of "f"`, strategies.ClassInvalidAnswer},

		{"the tool is called", strategies.NeedTool{Names: []string{"book"}}, strategies.Answer{Calls: calls("book", "")}, "", 0},
		{"it was called before", strategies.NeedTool{Names: []string{"book"}}, strategies.Answer{Text: "done", Before: calls("book", "")}, "", 0},
		{"another call is work", strategies.NeedTool{Names: []string{"book"}}, strategies.Answer{Calls: calls("look", "")}, "", 0},
		{"another call is not it", strategies.NeedTool{Names: []string{"book"}, AtOnce: true}, strategies.Answer{Calls: calls("look", ""), Before: calls("book", "")}, `the tool "book" was not called: call it before you answer`, strategies.ClassInvalidAnswer},
		{"it was only announced", strategies.NeedTool{Names: []string{"book", "hold"}}, strategies.Answer{Text: "I have booked it", Before: calls("look", "")}, `none of the tools ["book" "hold"] was called: call one of them before you answer`, strategies.ClassInvalidAnswer},
		{"any tool", strategies.NeedTool{}, strategies.Answer{Text: "hm"}, "no tool was called: call one before you answer", strategies.ClassInvalidAnswer},

		{"the second time is no loop", strategies.NoLoops{}, strategies.Answer{Calls: calls("f", `{"a":1,"b":2}`), Before: calls("f", `{"b":2,"a":1}`)}, "", 0},
		{"the third is", strategies.NoLoops{}, strategies.Answer{Calls: calls("f", `{"a":1,"b":2}`), Before: calls("f", `{"b":2,"a":1}`, "g", "", "f", ` {"a":1, "b":2}`)}, `the tool "f" was called 3 times with the same arguments: use what it has answered, or do something else`, strategies.ClassInvalidAnswer},
		{"in one answer too", strategies.NoLoops{Calls: 2}, strategies.Answer{Calls: calls("f", "", "f", "{}")}, `the tool "f" was called 2 times with the same arguments: use what it has answered, or do something else`, strategies.ClassInvalidAnswer},
		{"large numbers are told apart", strategies.NoLoops{Calls: 2}, strategies.Answer{Calls: calls("f", `{"id":9007199254740993}`), Before: calls("f", `{"id":9007199254740992}`)}, "", 0},
		{"other arguments are none", strategies.NoLoops{}, strategies.Answer{Calls: calls("f", `{"a":4}`), Before: calls("f", `{"a":1}`, "f", `{"a":2}`, "f", `{"a":3}`)}, "", 0},
		{"one that polls", strategies.NoLoops{Polls: []string{"f"}}, strategies.Answer{Calls: calls("f", ""), Before: calls("f", "", "f", "", "f", "")}, "", 0},
		{"calls are not looked at", strategies.NoLoops{Calls: -1}, strategies.Answer{Calls: calls("f", ""), Before: calls("f", "", "f", "", "f", "")}, "", 0},
		{"text in circles", strategies.NoLoops{}, strategies.Answer{Text: "Once upon a time " + poem}, `the same text stands there 100 times in a row: "the sea,"`, strategies.ClassInvalidAnswer},
		{"text is not looked at", strategies.NoLoops{Text: -1}, strategies.Answer{Text: poem}, "", 0},
		{"a refrain", strategies.NoLoops{}, strategies.Answer{Text: strings.Repeat("the sea, ", 7) + "ashore"}, "", 0},
		{"lines of dashes", strategies.NoLoops{}, strategies.Answer{Text: strings.Repeat("| --- ", 400)}, "", 0},

		{"a function", strategies.AnswerCheckFunc(func(a strategies.Answer) error { return errors.New(a.Text) }), strategies.Answer{Text: "no"}, "no", strategies.ClassInvalidAnswer},
	} {
		t.Run(tc.it, func(t *testing.T) {
			err := tc.check.Check(tc.a)
			if tc.wrong == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			said, class := strategies.AnswerFault(err), strategies.Classify(err).Class
			if said == "" { // without a class of its own
				said, class = err.Error(), strategies.ClassInvalidAnswer
			}
			if !strings.HasPrefix(said, tc.wrong) && said != tc.wrong || class != tc.class {
				t.Errorf("told %q, %v", said, class)
			}
		})
	}
	for name, check := range map[string]interface{ Validate() error }{
		"a nameless tool":     strategies.NeedTool{Names: []string{""}},
		"one call is a loop":  strategies.NoLoops{Calls: 1},
		"one word is a loop":  strategies.NoLoops{Text: 1},
		"a function is none ": strategies.AnswerCheckFunc(nil),
	} {
		if err := check.Validate(); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever stands before it and wherever it is cut, a piece that repeats is found
// once it is there often enough, and text that is random is not.
func TestNoLoopsFindsWhatRepeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.StringMatching(`[a-z][a-zA-Z ,.é\n]{0,200}[A-Z]`).Draw(t, "piece")
		times := 8 + 512/len(piece) + 1
		text := rapid.StringN(0, 300, -1).Draw(t, "before") + strings.Repeat(piece, times) + piece[:rapid.IntRange(0, len(piece)).Draw(t, "cut")]
		if strategies.NoLoops.CheckPart(strategies.NoLoops{}, strategies.Answer{Text: text}) == nil {
			t.Fatalf("%q × %d was not found", piece, times)
		}
		n := rapid.IntRange(0, 400).Draw(t, "n")
		var counts strings.Builder
		for i := range n {
			fmt.Fprintf(&counts, "%d. step\n", i)
		}
		if err := strategies.NoLoops.CheckPart(strategies.NoLoops{}, strategies.Answer{Text: counts.String()}); err != nil {
			t.Fatalf("counting: %v", err)
		}
	})
}

// Real text is none: every page and every file of this module, looked at wherever a
// stream could stand.
func TestNoLoopsLeavesRealTextAlone(t *testing.T) {
	looked := 0
	for _, pattern := range [...]string{"../docs/*.md", "../*.md", "*.go", "../middleware/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for end := 512; end < len(raw); end += 2048 {
				looked++
				if err := (strategies.NoLoops{}).CheckPart(strategies.Answer{Text: string(raw[:end])}); err != nil {
					t.Errorf("%s, %d bytes: %v", file, end, err)
				}
			}
		}
	}
	t.Logf("%d texts", looked)
}

func BenchmarkAnswerChecks(b *testing.B) {
	a := strategies.Answer{Text: strings.Repeat("The innkeeper counts the coins, twice, and nods at the door. ", 70)[:4000], Finish: "stop",
		Calls: calls("book", `{"room":7,"guest":"Ito"}`), Before: calls("look", `{"room":7}`, "look", `{"room":8}`)}
	prose := a
	prose.Calls = nil
	for name, check := range map[string]func() error{
		"NeedTool":    func() error { return strategies.NeedTool{Names: []string{"book"}}.Check(a) },
		"WholeAnswer": func() error { return strategies.WholeAnswer{}.Check(a) },
		"NoLoops":     func() error { return strategies.NoLoops{Text: 1 << 10}.Check(a) },
		"NoRefusals":  func() error { return strategies.NoRefusals{}.Check(prose) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := check(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
