package strategies

import (
	"strings"

	"github.com/understudy-go/understudy/internal/errtree"
)

// StatusInText is a [Rule] for clients that lose everything but a text: "API
// returned unexpected status code: 429: …". It is not in the default table, for
// any text may speak of a number; put it into [Classifier.Rules] of an agent whose
// client is known to do so. [httphint] does without guessing.
//
// It reads a status from 400 to 599 behind the words status, code or HTTP, and
// then the text as that of a provider. It has no opinion on an error that says
// anything of itself.
//
// [httphint]: https://pkg.go.dev/github.com/understudy-go/understudy/middleware/adapters/httphint
func StatusInText(err error) Class {
	if class, _ := walk(err); class != ClassUnclassified {
		return ClassUnclassified
	}
	text := errtree.Text(err)
	low := strings.ToLower(text[:min(len(text), maxSentence)])
	for _, n := range numbers(low) {
		if n.value < 400 || n.value > 599 || n.upTo-n.from != 3 {
			continue
		}
		before := strings.TrimRight(low[max(0, n.from-24):n.from], " :=#\"'([")
		if !strings.HasSuffix(before, "status") && !strings.HasSuffix(before, "code") && !strings.HasSuffix(before, "http") && !strings.HasSuffix(before, "http/1.1") &&
			!strings.HasSuffix(before, "status is") && !strings.HasSuffix(before, "status code is") && !strings.HasSuffix(before, "error") {
			continue
		}
		class, _ := recognise(&textError{StatusCode: n.value, Body: text[n.upTo:]})
		return class
	}
	return ClassUnclassified
}

// textError is what a text says, in the form in which an error is read.
type textError struct {
	StatusCode int
	Body       string
}

func (e *textError) Error() string { return e.Body }
