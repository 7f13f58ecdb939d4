package strategies

import (
	"strings"
	"unicode"

	"github.com/understudy-go/understudy/internal/errtree"
)

// SameFailure says whether two agents that were asked the same failed in the same
// way: then the failure tells of the request rather than of either of them. Both
// must be of one class, and say the same but for words with a digit in them, such
// as an id of the request or a time.
func (c *Classifier) SameFailure(a, b error) bool {
	return a != nil && b != nil && c.Classify(a).Class == c.Classify(b).Class && gist(a) == gist(b)
}

// mostGist is how much of a text is compared.
const mostGist = 2000

// gist is what an error says without its numbers.
func gist(err error) string {
	text := errtree.Text(err)
	if len(text) > mostGist {
		text = text[:mostGist]
	}
	words := strings.Fields(strings.ToLower(text))
	kept := words[:0]
	for _, w := range words {
		if !strings.ContainsFunc(w, unicode.IsDigit) || status(w) {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// status says whether a word is an HTTP status of an error.
func status(word string) bool {
	word = strings.Trim(word, ".,:;()[]\"'")
	return len(word) == 3 && (word[0] == '4' || word[0] == '5') && strings.Trim(word, "0123456789") == ""
}
