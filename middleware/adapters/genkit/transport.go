package genkit

import (
	"io"
	"mime"
	"net/http"
	"regexp"
)

// Transport is for the HTTP client of a plugin: a stream whose finish reason has
// come is whole, whatever the connection does afterwards. The plugins' clients read
// on, and take one that breaks then for an answer that was cut, and genkit shows
// nobody the finish reason of an answer it did not get to its end.
//
//	compat_oai.OpenAICompatible{Opts: []option.RequestOption{
//		option.WithHTTPClient(&http.Client{Transport: genkit.Transport{}}),
//	}}
type Transport struct {
	Base http.RoundTripper // nil: http.DefaultTransport
}

// RoundTrip sends a request.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/event-stream" {
		resp.Body = &ending{ReadCloser: resp.Body}
	}
	return resp, nil
}

// marker is how streams say that they end: of OpenAI's, Anthropic's and Gemini's
// protocol. In the text of an answer the quotes would be escaped.
var marker = regexp.MustCompile(`"(finish_reason|stop_reason|finishReason)"\s*:\s*"|data:\s*\[DONE\]`)

// longest is more than a marker is long, between two reads.
const longest = 64

// ending is a body that, once its marker was seen, ends well.
type ending struct {
	io.ReadCloser
	last []byte // of what was read
	seen bool
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if !e.seen && n > 0 {
		e.last = append(e.last, p[:n]...)
		e.seen = marker.Match(e.last)
		e.last = append([]byte(nil), e.last[max(0, len(e.last)-longest):]...)
	}
	if e.seen && err != nil {
		err = io.EOF
	}
	return n, err
}
