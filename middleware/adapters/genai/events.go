package genai

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	sdk "google.golang.org/genai"
)

// listening returns the models of a client like this one that reads event streams
// as they are meant to be read. The client takes anything but data for a broken
// chunk: a comment, too, with which proxies keep a connection alive. It stays as it
// is; if it cannot be made again, its own models are returned.
func listening(client *sdk.Client) *sdk.Models {
	config := client.ClientConfig()
	if config.HTTPClient == nil {
		return client.Models // it did not come from NewClient
	}
	own := *config.HTTPClient
	own.Transport = &eventTransport{next: own.Transport}
	config.HTTPClient = &own
	if config.Backend == sdk.BackendGeminiAPI {
		config.Project, config.Location = "", "" // from the environment, and refused if given
	}
	again, err := sdk.NewClient(context.Background(), &config)
	if err != nil {
		return client.Models
	}
	return again.Models
}

// eventTransport leaves of an event stream what the client can read: its data.
type eventTransport struct{ next http.RoundTripper }

func (t *eventTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(req)
	if err != nil || !strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/event-stream") || resp.Header.Get("Content-Encoding") != "" {
		return resp, err
	}
	resp.Body = &eventBody{body: resp.Body, lines: bufio.NewReader(resp.Body)}
	resp.ContentLength = -1
	return resp, nil
}

// CloseIdleConnections does so in the transport that is wrapped.
func (t *eventTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// eventBody is an event stream without the lines that are no data, and without the
// blank lines that they leave behind. It holds no more than a buffer of it.
type eventBody struct {
	body  io.ReadCloser
	lines *bufio.Reader
	left  []byte // that has not been read out yet
	err   error

	within bool // the line goes on
	drop   bool // and is none of data
	event  bool // there was data since the last blank line
}

func (b *eventBody) Read(p []byte) (int, error) {
	for len(b.left) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		piece, err := b.lines.ReadSlice('\n')
		if err != bufio.ErrBufferFull { //nolint:errorlint // it is returned as it is
			b.err = err
		}
		b.left = b.take(piece)
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// take returns what is left of a line, or of a piece of a long one.
func (b *eventBody) take(piece []byte) []byte {
	begins := !b.within
	b.within = !bytes.HasSuffix(piece, []byte("\n"))
	if begins {
		b.drop = false
		for _, field := range [...]string{":", "event:", "id:", "retry:"} {
			b.drop = b.drop || bytes.HasPrefix(piece, []byte(field))
		}
		if blank := len(bytes.TrimRight(piece, "\r\n")) == 0; blank && !b.within {
			b.drop, b.event = !b.event, false
		} else if !b.drop {
			b.event = true
		}
	}
	if b.drop {
		return nil
	}
	return piece
}

func (b *eventBody) Close() error { return b.body.Close() }
