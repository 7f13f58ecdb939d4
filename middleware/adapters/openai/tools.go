package openai

import (
	"encoding/json"
	"net/http"

	"github.com/understudy-go/understudy/internal/sent"
)

// offered says of a tool whether the request offers it. It looks at the request
// only when it is asked, at the one that was sent, for options may have changed it.
func offered(resp **http.Response, params any) func(name string) bool {
	var all *toolbox
	return func(name string) bool {
		if all == nil {
			all = read(sent.Body(*resp, params))
		}
		return all.open || all.names[name]
	}
}

// toolbox is the functions of a request. An open one may hold more than can be
// seen: the provider finds tools itself, or has them from a stored prompt or from
// the turns before.
type toolbox struct {
	names map[string]bool
	open  bool
}

type tool struct {
	Type     string
	Name     string
	Function struct{ Name string }
	Tools    []tool // of a namespace
}

// read reads the tools of a request to either API.
func read(body []byte) *toolbox {
	var request struct {
		Tools, Functions []tool
		Input            json.RawMessage
		Prompt           any
		Conversation     any
		Previous         any `json:"previous_response_id"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return &toolbox{open: true} // nothing is known
	}
	all := &toolbox{names: map[string]bool{}, open: request.Prompt != nil || request.Conversation != nil || request.Previous != nil}
	all.add(request.Tools)
	all.add(request.Functions)
	var input []struct{ Tools []tool } // what was found or added on the way
	if json.Unmarshal(request.Input, &input) == nil {
		for _, item := range input {
			all.add(item.Tools)
		}
	}
	return all
}

func (b *toolbox) add(tools []tool) {
	for _, t := range tools {
		b.open = b.open || t.Type == "tool_search"
		for _, name := range [...]string{t.Name, t.Function.Name} {
			if name != "" {
				b.names[name] = true
			}
		}
		b.add(t.Tools)
	}
}
