package strategies_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

// How often the check is wrong is measured, and the page says so.
func TestNoRefusalsOnItsCorpus(t *testing.T) {
	raw, err := os.ReadFile("testdata/refusals/answers.txt")
	if err != nil {
		t.Fatal(err)
	}
	var refusals, found, answers, wrong int
	for line := range strings.Lines(string(raw)) {
		text := strings.TrimSpace(line[1:])
		refused := strategies.NoRefusals{}.Check(strategies.Answer{Text: text}) != nil
		if line[0] == '+' {
			if refusals++; refused {
				found++
			} else {
				t.Logf("not found: %s", text)
			}
			continue
		}
		if answers++; refused {
			wrong++
			t.Logf("taken for one: %s", text)
		}
	}
	page, err := os.ReadFile("../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("| ours, written to be hard | %d of %d (%.0f %%) | %d of %d (%.0f %%) |",
		wrong, answers, 100*float64(wrong)/float64(answers), found, refusals, 100*float64(found)/float64(refusals))
	if !strings.Contains(string(page), said) {
		t.Errorf("docs/checks.md does not say %q", said)
	}
}

func TestNoRefusals(t *testing.T) {
	err := strategies.NoRefusals{}.Check(strategies.Answer{Text: "I'm sorry, but I can't help with that."})
	if v := strategies.Classify(err); v.Class != strategies.ClassBlocked {
		t.Errorf("it is %v", v.Class)
	}
	if strings.Contains(fmt.Sprint(err), "sorry") {
		t.Errorf("the answer is in the text of its error: %v", err)
	}
	if err := (strategies.NoRefusals{}).Check(strategies.Answer{Text: "I can't help with that.", Calls: calls("look", "")}); err != nil {
		t.Errorf("with a call: %v", err)
	}
}

// FuzzNoRefusals: whatever a model says, the check comes to an end.
func FuzzNoRefusals(f *testing.F) {
	for _, text := range [...]string{"I", "I can't", "“I can't help”", "I do not feel", "I am not in a", "\x00\xffI won't \xff help", strings.Repeat("i am not ", 100)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = strategies.NoRefusals{}.Check(strategies.Answer{Text: text})
		_ = strategies.NoLoops{}.Check(strategies.Answer{Text: text, Calls: calls("f", text, "f", text)})
		_ = strategies.WholeAnswer{}.Check(strategies.Answer{Finish: text, Calls: calls(text, text)})
	})
}
