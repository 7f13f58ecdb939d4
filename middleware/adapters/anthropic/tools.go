package anthropic

import (
	"encoding/json"
	"io"
	"net/http"
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
			if err := json.Unmarshal(sent(*resp, params), &request); err != nil {
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

// sent is the body of a request.
func sent(resp *http.Response, params any) []byte {
	if resp != nil && resp.Request != nil && resp.Request.GetBody != nil {
		if body, err := resp.Request.GetBody(); err == nil {
			raw, err := io.ReadAll(body)
			_ = body.Close() // it is a copy in memory
			if err == nil && len(raw) > 0 {
				return raw
			}
		}
	}
	raw, _ := json.Marshal(params) // one that cannot be written was never sent
	return raw
}
