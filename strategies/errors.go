package strategies

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/internal/foreign"
)

// Sentinels to test with errors.Is. Each has a type to inspect with errors.As.
var (
	// ErrConfig is matched by every [ConfigError].
	ErrConfig = errors.New("understudy: wrong setting")
	// ErrRecovery is matched by every [RecoveryError]: nobody could answer.
	ErrRecovery = errors.New("understudy: no recovery")
	// ErrRejected is matched by an [OpenError], a [FullError], a [PaceError] and a
	// [LimitError]: one of our own layers said no, and no agent was called.
	ErrRejected = errors.New("understudy: call rejected")
)

// Attempt is one call that failed, or that a layer of ours refused to make.
type Attempt struct {
	Agent string
	Class Class
	Err   error
}

// MarshalJSON writes the agent, the class as a word and the text of the error.
func (a Attempt) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Agent string `json:"agent"`
		Class Class  `json:"class"`
		Error string `json:"error,omitempty"`
	}{a.Agent, a.Class, errorText(a.Err)})
}

// RecoveryError is the end of a call that nobody could answer. It says which
// strategy is now required, and keeps every attempt's own error within reach of
// errors.Is and errors.As, also when a context ended. The latest attempt comes
// first: errors.As finds what was said last.
//
// This is how a caller takes such an error apart, from the question that decides
// most to the details:
//
//	answer, err := guarded.Run(ctx, request)
//
//	var failed *strategies.RecoveryError
//	switch {
//	case err == nil:
//		return answer
//	case !errors.As(err, &failed):
//		return err // an interrupt of the framework's, or a wrong setting: no failure
//	case ctx.Err() != nil:
//		return nil // our own caller has left
//	}
//
//	switch failed.Strategy { // what is required now
//	case strategies.StrategyUserIntervention:
//		page(failed.Agent, failed.Class) // only a person can help
//	case strategies.StrategyDegradation:
//		show("a shorter answer than usual") // nothing of ours could give one
//	}
//
//	var open *strategies.OpenError
//	var late *strategies.TimeoutError
//	var cut *strategies.StreamError
//	var answered *strategies.AnswerError
//	var api *openai.Error // the SDK's own error is within reach as well
//	switch {
//	case errors.As(err, &cut):
//		show(cut.Chunks, "chunks came, and no more will") // first: it has been seen
//	case errors.As(err, &open):
//		retryAt(time.Now().Add(open.RetryAfter)) // nobody was called
//	case errors.As(err, &late):
//		log.Printf("the %s limit of %v ran out", late.Limit, late.After)
//	case errors.As(err, &answered):
//		log.Printf("%s answered, but: %s", answered.Provider, answered.Reason)
//	case errors.As(err, &api):
//		log.Printf("HTTP %d", api.StatusCode)
//	}
//
//	for _, a := range failed.Attempts { // the whole story, in order
//		log.Printf("%s: %s: %v", a.Agent, a.Class, a.Err)
//	}
//	statusBar(failed.Brief()) // one line for people
//	log.Print(failed.Last()) // what the last agent that was really asked has said
//
// Its JSON has the same fields, with words for the class, the strategy and the
// stop, and the texts of the errors.
type RecoveryError struct {
	// Agent is the one that was called.
	Agent string
	// Strategy is what is required now: [StrategyDegradation] when retries and
	// stand-ins are spent and no rung answered, [StrategyUserIntervention] when only a
	// person can help, [StrategyNone] when nothing would (a bad request, a caller
	// who left).
	Strategy Strategy
	// Class is the class of the failure that decided the way taken.
	Class Class
	// Attempts is every failed call, in order. A call refused by a breaker or
	// a bulkhead is among them.
	Attempts []Attempt
	// Reduced is how many reduced answers were tried, and failed too.
	Reduced int
	// Stop says why no further retry was made. "" when none was due.
	Stop Stop
	// Cause is what ended the call beside the attempts: the caller's context,
	// a person's abort. It may be nil.
	Cause error
}

func (e *RecoveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "understudy: agent %q failed (%s) after %s", e.Agent, e.Class, plural(len(e.Attempts), "attempt"))
	if e.Stop != "" {
		fmt.Fprintf(&b, ", no more retries: %s", e.Stop)
	}
	if e.Strategy == StrategyUserIntervention || e.Strategy == StrategyDegradation && e.Reduced > 0 {
		fmt.Fprintf(&b, "; %s required", e.Strategy)
	}
	if n := e.refusing(); n > 1 {
		fmt.Fprintf(&b, "; all %d agents refuse this request", n)
	}
	if n := len(e.Attempts); n > 0 {
		// The last word is the freshest; the others are in Attempts.
		last := e.Attempts[n-1]
		fmt.Fprintf(&b, ": %s: %v", last.Agent, last.Err)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// refusing counts the agents if each of them takes the request for a bad one.
func (e *RecoveryError) refusing() int {
	for i, a := range e.Attempts {
		if a.Class != ClassBadRequest || slices.ContainsFunc(e.Attempts[:i], func(b Attempt) bool { return b.Agent == a.Agent }) {
			return 0
		}
	}
	return len(e.Attempts)
}

// Is makes a RecoveryError match [ErrRecovery].
func (e *RecoveryError) Is(target error) bool { return target == ErrRecovery }

// Unwrap returns the error of every attempt, the latest first, then the cause.
// So errors.As finds what the last attempt said before what an earlier one did.
func (e *RecoveryError) Unwrap() []error {
	errs := make([]error, 0, len(e.Attempts)+1)
	for _, a := range slices.Backward(e.Attempts) {
		if a.Err != nil {
			errs = append(errs, a.Err)
		}
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

// RecoveryClass is the class that decided the way taken.
func (e *RecoveryError) RecoveryClass() Class { return e.Class }

// Brief is the failure in one line for people, such as a status bar: who failed
// and what the provider said, without the words of this library. It is at most
// 200 letters long and has no control characters. What a provider says may hold
// names or a part of a key: it is not for the public.
func (e *RecoveryError) Brief() string {
	said := ""
	if last := e.Last(); last != nil {
		said = words(last)
	}
	s := fmt.Sprintf("%s could not answer", cmp.Or(e.Agent, "the agent"))
	if said != "" {
		s += ": the provider said: " + said
	}
	return short(s, 200)
}

// words is what an error says to people: the provider's sentence, if there is one.
func words(err error) string {
	left := maxErrors
	for at := err; at != nil && left > 0; left-- {
		if !foreign.Bare(at) {
			if f := foreign.Read(at); f.Text != "" {
				return f.Text
			}
		}
		next, branches := errtree.Unwrap(at)
		if len(branches) > 0 {
			next = branches[0]
		}
		at = next
	}
	return errtree.Text(err)
}

// short cuts a text to so many letters, in one line and without control characters.
func short(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
			n++
		}
		for _, r := range word {
			if n++; n > most {
				return strings.TrimSpace(b.String()) + "…"
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Last returns what the last agent that was really asked has said. Refusals by
// our own layers are passed over, unless there is nothing else; without attempts
// it is the cause.
func (e *RecoveryError) Last() error {
	for _, a := range slices.Backward(e.Attempts) {
		if a.Err != nil && !refused(a) {
			return a.Err
		}
	}
	for _, a := range slices.Backward(e.Attempts) {
		if a.Err != nil {
			return a.Err
		}
	}
	return e.Cause
}

func refused(a Attempt) bool {
	switch a.Err.(type) { //nolint:errorlint // an agent's own error may wrap one of another chain's
	case *OpenError, *FullError, *PaceError, *LimitError:
		return true
	}
	return VerdictOf(a.Class).Refused
}

// MarshalJSON writes the fields, with words for the class, the strategy and the
// stop, and the texts of the errors.
func (e *RecoveryError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Agent    string    `json:"agent"`
		Strategy Strategy  `json:"strategy"`
		Class    Class     `json:"class"`
		Attempts []Attempt `json:"attempts"`
		Reduced  int       `json:"reduced,omitempty"`
		Stop     Stop      `json:"stop,omitempty"`
		Cause    string    `json:"cause,omitempty"`
	}{e.Agent, e.Strategy, e.Class, append([]Attempt{}, e.Attempts...), e.Reduced, e.Stop, errorText(e.Cause)})
}

// maxErrorText is how much of an error's text goes into a record, in bytes.
const maxErrorText = 16 << 10

// errorText is the text of an error that may be anybody's.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	text := fmt.Sprintf("%v", err) // fmt reports a panic in Error as text
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
