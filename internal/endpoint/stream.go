package endpoint

import "net/http"

type chunk struct {
	ID      string        `json:"id"`
	Object  string        `json:"object"`
	Created int64         `json:"created"`
	Model   string        `json:"model"`
	Choices []chunkChoice `json:"choices"`
	Usage   *usage        `json:"usage,omitempty"`
}

type chunkChoice struct {
	Index        int     `json:"index"`
	Delta        delta   `json:"delta"`
	FinishReason *string `json:"finish_reason"`
}

type delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"`
}

// ending is how a stream comes to its end.
type ending int

const (
	finished   ending = iota // finish_reason, [DONE]
	torn                     // the connection is closed
	stalled                  // silence, with the connection open
	ended                    // a proper end of the body, too early
	failed                   // an error object
	misspelled               // an event that is not JSON
)

// noChunk stands for "before even the role chunk" where a number of chunks is wanted.
const noChunk = -1

// endingOf tells how a stream of that many words ends, and after how many of them.
func endingOf(fault Fault, words int) (after int, how ending) {
	early := min(fault.Chunks, words)
	switch fault.Kind {
	case kindCutBeforeFirst:
		return noChunk, torn
	case kindCutAfter:
		return early, torn
	case kindCutBody:
		return words / 2, torn
	case kindStallBefore:
		return noChunk, stalled
	case kindStallAfter:
		return early, stalled
	case kindCleanEOFBefore:
		return noChunk, ended
	case kindCleanEOFAfter:
		return early, ended
	case kindErrorEventBefore:
		return noChunk, failed
	case kindErrorEventAfter:
		return early, failed
	case kindMalformed:
		return 0, misspelled
	default:
		return words, finished
	}
}

// stream answers with server-sent events: a chunk with the role and no text, a chunk a word,
// a chunk with the finish_reason, and [DONE]. The faults that come before any answer have
// been dealt with.
func stream(w http.ResponseWriter, r *http.Request, rep reply, fault Fault) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	flush(w)

	send := func(choices ...chunkChoice) {
		if fault.Kind == kindSlow {
			pause(r.Context(), fault.Wait)
		}
		event(w, mustJSON(rep.chunk(choices)))
	}
	words := split(rep.content + rep.refusal) // one of the two is empty
	after, how := endingOf(fault, len(words))
	if after != noChunk {
		send(chunkChoice{Delta: delta{Role: "assistant", Content: to("")}})
		for _, word := range words[:after] {
			text := delta{Content: &word}
			if rep.refusal != "" {
				text = delta{Refusal: &word}
			}
			send(chunkChoice{Delta: text})
		}
	}

	switch how {
	case torn:
		cut()
	case stalled:
		hang(r.Context())
	case failed:
		event(w, mustJSON(errorBody{apiError{Message: serverSorry, Type: serverFailed}}))
	case misspelled:
		event(w, malformed(rep.id))
	case finished:
		send(chunkChoice{FinishReason: &rep.finish})
		if rep.usage {
			last := rep.chunk([]chunkChoice{})
			last.Usage = to(rep.count())
			event(w, mustJSON(last))
		}
		event(w, []byte("[DONE]"))
	}
}

func (rep reply) chunk(choices []chunkChoice) chunk {
	return chunk{ID: rep.id, Object: "chat.completion.chunk", Created: created, Model: rep.model, Choices: choices}
}

// event sends one event at once. It does not ask whether the client is still there: what is
// left of an answer is soon written, and pause does ask.
func event(w http.ResponseWriter, data []byte) {
	_, _ = w.Write(append(append([]byte("data: "), data...), "\n\n"...))
	flush(w)
}
