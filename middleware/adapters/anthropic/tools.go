package anthropic

import (
	"encoding/json"
	"net/http"

	"github.com/understudy-go/understudy/internal/sent"
)

// offered says of a tool whether the request offers it. It looks at the request
// only when it is asked, at the one that was sent, for options may have changed it.
func offered(resp **http.Response, params any) func(name string) bool {
	var names map[string]bool
	return func(name string) bool {
		if names == nil {
			var request struct {
				Tools []struct{ Name string }
			}
			if err := json.Unmarshal(sent.Body(*resp, params), &request); err != nil {
				return true // nothing is known
			}
			names = make(map[string]bool, len(request.Tools))
			for _, t := range request.Tools {
				names[t.Name] = true
			}
		}
		return names[name]
	}
}
