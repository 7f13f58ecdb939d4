// Package sent reads a request as it went out, for adapters of clients whose options may
// have changed it.
package sent

import (
	"encoding/json"
	"io"
	"net/http"
)

// Body is the body of the request that was answered, or params as JSON where that is not
// kept.
func Body(resp *http.Response, params any) []byte {
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
