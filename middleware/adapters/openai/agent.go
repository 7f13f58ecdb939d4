package openai

import (
	"net/http"
	"slices"

	"github.com/openai/openai-go/v3/option"
)

// settings are what both agents have: the options sent with every call, and the
// reasons their caller does not mind.
type settings struct {
	options []option.RequestOption
	accept  []Reason
}

// call returns the options of one call: the response is kept for its error, and
// the retries are ours, whatever the options before say.
func (s settings) call(resp **http.Response) []option.RequestOption {
	options := make([]option.RequestOption, 0, len(s.options)+2)
	options = append(options, option.WithResponseInto(resp))
	options = append(options, s.options...)
	return append(options, option.WithMaxRetries(0))
}

func (s settings) accepts(r Reason) bool { return slices.Contains(s.accept, r) }

func (s settings) accepting(reasons []Reason) settings {
	s.accept = slices.Concat(s.accept, reasons)
	return s
}
