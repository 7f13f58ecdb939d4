package translate

import (
	"encoding/json"
)

// conversation is what a request says, in nobody's form: what two of the three
// providers have a word for.
type conversation struct {
	system []string // the prompt before the first turn
	turns  []turn

	tools    []tool
	choice   *choice // nil: the provider's default
	parallel *bool   // several tool calls in one turn

	maxTokens   *int64
	temperature *float64
	topP        *float64
	topK        *float64
	presence    *float64
	frequency   *float64
	seed        *int64
	stops       []string
	format      *format
}

// A role is who speaks in a turn. Results of tools are the user's.
type role uint8

const (
	user role = iota
	assistant
	system // in the middle of a conversation, which OpenAI alone has for all models
)

type turn struct {
	role  role
	parts []part
	own   any // the message of its provider, where a history is mended in place
}

// A kind is what a part is.
type kind uint8

const (
	text kind = iota
	picture
	call
	result
	other // of the provider's own, which a mended history keeps
)

type part struct {
	kind  kind
	text  string
	image image

	id      string          // of a call, and of its result
	name    string          // of a call; of a result too, once it has found its call
	args    json.RawMessage // of a call: an object
	failed  bool            // of a result
	content []part          // of a result: text and pictures

	own any // the part in its provider's form, where a history is mended in place
}

// image is a picture in itself (data, in base64) or its address.
type image struct{ mime, data, url string }

// tool is a function that the model may call.
type tool struct {
	name, description string
	schema            json.RawMessage // a JSON schema of an object; nil: no arguments
	strict            bool
}

// choice is which tools the model may or must call.
type choice struct {
	mode  mode
	names []string // out of these only
}

type mode string

const (
	auto     mode = "auto"
	required mode = "required"
	never    mode = "none"
)

// format is JSON that the answer has to be; without a schema any will do.
type format struct {
	name, description string
	schema            json.RawMessage
	strict            bool
}

// answer is what a model says.
type answer struct {
	id, model string
	parts     []part // text and calls
	stop      stop
	in, out   int64 // tokens
}

// A stop is why an answer ends.
type stop string

const (
	stopEnd     stop = "end"
	stopTools   stop = "tools"
	stopLength  stop = "length"
	stopWindow  stop = "window"
	stopRefused stop = "refused"
)

func (a answer) calls() bool {
	for _, p := range a.parts {
		if p.kind == call {
			return true
		}
	}
	return false
}

// called says whether the history has a tool call in it.
func called(turns []turn) bool {
	for _, t := range turns {
		for _, p := range t.parts {
			if p.kind == call {
				return true
			}
		}
	}
	return false
}
