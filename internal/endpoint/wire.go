package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Message is one message of a request, reduced to its text.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// UnmarshalJSON takes both forms of content that clients send: a string, and a list of parts,
// of which the texts are joined.
func (m *Message) UnmarshalJSON(data []byte) error {
	var raw struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	m.Role, m.Content = raw.Role, ""
	if len(raw.Content) == 0 || raw.Content[0] != '[' {
		if len(raw.Content) == 0 {
			return nil
		}
		return json.Unmarshal(raw.Content, &m.Content) // null leaves it empty
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw.Content, &parts); err != nil {
		return err
	}
	for _, part := range parts {
		m.Content += part.Text
	}
	return nil
}

// request is what the server reads of a chat completion request. All else is ignored.
type request struct {
	Model         string    `json:"model"`
	Messages      []Message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// readRequest reads the body to its end, which a hanging handler depends on: net/http notices
// that a client has gone away only after the request has been read.
func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	const most = 8 << 20
	var req request
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return req, fmt.Errorf("the body could not be read: %w", err)
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return req, fmt.Errorf("we could not parse the JSON body of your request: %w", err)
	}
	if req.Model == "" {
		return req, errors.New("you must provide a model parameter")
	}
	if len(req.Messages) == 0 {
		return req, errors.New("missing required parameter: 'messages'")
	}
	return req, nil
}

// reply is the answer to one request, before it takes the form of a body or of a stream.
type reply struct {
	id, model    string
	content      string
	refusal      string
	finish       string
	promptTokens int
	usage        bool // the client asked for a usage chunk
}

// newReply bends a good answer as far as the fault asks for, so that both forms bend alike.
func newReply(req request, n int, answer string, fault Fault) reply {
	rep := reply{
		id:      fmt.Sprintf("chatcmpl-%s-%d", req.Model, n),
		model:   req.Model,
		content: answer,
		finish:  "stop",
		usage:   req.StreamOptions.IncludeUsage,
	}
	for _, m := range req.Messages {
		rep.promptTokens += len(strings.Fields(m.Content))
	}
	switch fault.Kind {
	case kindRefusal:
		rep.content, rep.refusal = "", "I'm sorry, but I can't help with that."
	case kindContentFilter:
		rep.content, rep.finish = "", "content_filter"
	case kindEmpty:
		rep.content = ""
	case kindTruncated:
		words := split(answer)
		rep.content, rep.finish = strings.TrimSpace(strings.Join(words[:len(words)/2], "")), "length"
	}
	return rep
}

// created stands in for a clock: 2025-01-01, in every answer.
const created = 1735689600

// usage counts words for tokens, which is as near as an example needs.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

func (rep reply) count() usage {
	completion := len(strings.Fields(rep.content)) + len(strings.Fields(rep.refusal))
	return usage{rep.promptTokens, completion, rep.promptTokens + completion}
}

// split cuts a text into the pieces a stream delivers: a word each, with the blank after it,
// so that the pieces joined are the text.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.SplitAfter(text, " ")
}

// to returns a pointer to a value.
func to[T any](value T) *T { return &value }

// malformed is a document that is complete and still is not JSON.
func malformed(id string) []byte { return []byte(`{"id":"` + id + `","choices":[oops]}`) }

// mustJSON is for the types of this package, which always marshal.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
