package openai

import (
	"net/http"
	"slices"

	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/strategies"
)

// settings are what both agents have: the options sent with every call, and the
// reasons their caller does not mind.
type settings struct {
	options []option.RequestOption
	accept  []string
	prices  *strategies.Prices
}

// call returns the options of one call: the response is kept for its error, and
// the retries are ours, whatever the options before say.
func (s settings) call(resp **http.Response) []option.RequestOption {
	options := make([]option.RequestOption, 0, len(s.options)+2)
	options = append(options, option.WithResponseInto(resp))
	options = append(options, s.options...)
	return append(options, option.WithMaxRetries(0))
}

func (s settings) accepting(reasons []string) settings {
	s.accept = slices.Concat(s.accept, reasons)
	return s
}

// minds says whether the caller minds a reason.
func (s settings) minds(reason string) bool {
	if reason == outputTokens && slices.Contains(s.accept, Length) {
		return false
	}
	return !slices.Contains(s.accept, reason)
}

// judge says why an answer is none, by the first of its reasons that the caller
// minds; or nil. A reason that is accepted does not excuse the others: who takes
// a text that was cut short has not asked for half a tool call.
func (s settings) judge(a *answer, offers func(tool string) bool) *strategies.AnswerError {
	class := strategies.ClassOfFinish(a.finish)
	refused := len(a.refusal) > 0
	switch held := refused || class == strategies.ClassBlocked; {
	case refused && s.minds(Refusal):
		return a.none(Refusal, strategies.ClassBlocked, nil)
	case a.finish == "" && s.minds(Unfinished):
		return a.none(Unfinished, class, nil)
	case a.finish != "" && class != strategies.ClassUnclassified && s.minds(a.finish):
		return a.none(a.finish, class, nil)
	case !a.said && !held && s.minds(Empty):
		return a.none(Empty, strategies.ClassInvalidAnswer, nil)
	}
	return s.judgeCalls(a, offers)
}

// judgeChoice judges the first choice, which is the one that everybody reads, and
// of the others what must not be acted on.
func (s settings) judgeChoice(index int64, a *answer, offers func(tool string) bool) *strategies.AnswerError {
	if index == 0 {
		return s.judge(a, offers)
	}
	return s.judgeCalls(a, offers)
}

// judgeCalls says which of the tool calls of an answer must not be run, or nil.
func (s settings) judgeCalls(a *answer, offers func(tool string) bool) *strategies.AnswerError {
	whole := strategies.ClassOfFinish(a.finish) == strategies.ClassUnclassified
	for i := range a.calls {
		if e := s.judgeCall(a, &a.calls[i], whole, offers); e != nil {
			return e
		}
	}
	return nil
}

func (s settings) judgeCall(a *answer, c *call, whole bool, offers func(tool string) bool) *strategies.AnswerError {
	switch {
	case !c.function():
		return nil
	case s.minds(UnknownTool) && !offers(c.name):
		return a.none(UnknownTool, strategies.ClassInvalidAnswer, unknown(c.name))
	case s.minds(Arguments) && !c.whole(whole):
		return a.none(Arguments, strategies.ClassInvalidAnswer, nil)
	}
	return nil
}
