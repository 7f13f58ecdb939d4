package endpoint

import (
	"net/http"
	"strconv"
)

type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   usage              `json:"usage"`
}

type completionChoice struct {
	Index        int               `json:"index"`
	Message      completionMessage `json:"message"`
	Logprobs     *string           `json:"logprobs"` // always null
	FinishReason string            `json:"finish_reason"`
}

type completionMessage struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
}

// unary answers in one body. The faults that come before any answer have been dealt with.
func unary(w http.ResponseWriter, r *http.Request, rep reply, fault Fault) {
	switch fault.Kind {
	case kindSlow:
		pause(r.Context(), fault.Wait)
	case kindStallBefore, kindStallAfter:
		hang(r.Context())
	case kindErrorEventBefore, kindErrorEventAfter:
		status, e, _ := errorOf(ServerError(), rep.model)
		writeError(w, status, e)
		return
	}

	message := completionMessage{Role: "assistant", Content: &rep.content}
	if rep.refusal != "" {
		message.Content, message.Refusal = nil, &rep.refusal
	}
	body := mustJSON(completion{
		ID: rep.id, Object: "chat.completion", Created: created, Model: rep.model,
		Choices: []completionChoice{{Message: message, FinishReason: rep.finish}},
		Usage:   rep.count(),
	})
	w.Header().Set("Content-Type", "application/json")

	switch fault.Kind {
	case kindMalformed:
		body = malformed(rep.id)
	case kindCleanEOFBefore, kindCleanEOFAfter:
		body = body[:len(body)/2]
	case kindCutBody, kindCutBeforeFirst, kindCutAfter:
		// The length promises the whole; only half of it leaves before the cut.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		flush(w)
		cut()
	}
	_, _ = w.Write(body)
}
