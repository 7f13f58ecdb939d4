package middleware

import (
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Layers are the settings that [Builder] and [StreamBuilder] have in common; B
// is the builder itself, so that calls can be chained. The order of the calls
// does not matter. A layer that is not asked for is left out; what is wrong is
// reported by Build.
type Layers[B any] struct {
	self B
	set  *settings
}

// settings is what a user asked for, before it is checked.
type settings struct {
	name         string
	retry        *strategies.Retry
	breaker      *strategies.Breaker
	bulkhead     *strategies.Bulkhead
	timeout      time.Duration // of a stream: until the first chunk
	idle         time.Duration // of a stream only
	after        string        // what a stream does after its first chunk; "": no stream
	buffered     bool          // a stream that delivers only whole answers
	follows      int           // a stream's continuations, at most
	hard         bool
	abandoned    int
	deadline     time.Duration
	reserve      time.Duration
	ladder       *strategies.Ladder
	intervention *Intervention
	classifier   *strategies.Classifier
	tally        *strategies.Tally
	observers    observers

	given map[string]bool
	errs  []error
}

func newSettings() *settings { return &settings{given: map[string]bool{}} }

// once notes that a setting was given, and refuses a second time.
func (s *settings) once(setting string, problems ...error) {
	if s.given[setting] {
		s.errs = append(s.errs, &strategies.ConfigError{Setting: setting, Problem: "is set twice", Fix: "a layer stands once in a chain: drop one of them"})
	}
	s.given[setting] = true
	s.errs = append(s.errs, problems...)
}

func pointer[T any](setting string, p *T) error {
	if p == nil {
		return settingNil(setting, fmt.Sprintf("a %T", p))
	}
	return nil
}

// Named gives the agent the name under which it appears in outcomes, events,
// errors and its tally. "" stays "agent".
func (l Layers[B]) Named(name string) B {
	l.set.once("Named")
	l.set.name = name
	return l.self
}

// Retry adds the retry layer; see [Retry].
func (l Layers[B]) Retry(policy strategies.Retry) B {
	l.set.once("Retry", policy.Validate())
	l.set.retry = &policy
	return l.self
}

// CircuitBreaker adds a breaker, which other agents may share; see
// [CircuitBreaker].
func (l Layers[B]) CircuitBreaker(b *strategies.Breaker) B {
	l.set.once("CircuitBreaker", pointer("CircuitBreaker", b))
	l.set.breaker = b
	return l.self
}

// Bulkhead adds a bound on the attempts in flight, which other agents may
// share; see [Bulkhead].
func (l Layers[B]) Bulkhead(b *strategies.Bulkhead) B {
	l.set.once("Bulkhead", pointer("Bulkhead", b))
	l.set.bulkhead = b
	return l.self
}

// Timeout bounds each attempt; see [Timeout]. Stand-ins and rungs that bring no
// layers of their own are bounded by it too.
func (l Layers[B]) Timeout(attempt time.Duration) B {
	l.set.once("Timeout", positive("Timeout", attempt))
	l.set.timeout = attempt
	return l.self
}

// HardTimeout bounds each attempt and returns on time even if the agent does
// not look at its context; see [HardTimeout].
func (l Layers[B]) HardTimeout(attempt time.Duration, abandoned int) B {
	l.set.once("Timeout", positive("HardTimeout", attempt), positive("HardTimeout abandoned", abandoned))
	l.set.timeout, l.set.hard, l.set.abandoned = attempt, true, abandoned
	return l.self
}

// Deadline bounds all attempts of all agents together; see [Deadline].
func (l Layers[B]) Deadline(total time.Duration) B {
	l.set.once("Deadline", positive("Deadline", total))
	l.set.deadline = total
	return l.self
}

// Reserve keeps a slice of a deadline that the caller brings free for the
// reduced answer: the agents get the rest. It needs a Deadline.
func (l Layers[B]) Reserve(slice time.Duration) B {
	l.set.once("Reserve", positive("Reserve", slice))
	l.set.reserve = slice
	return l.self
}

// Ladder lets the reduced answers follow a ladder, which other agents may
// share; see [Degrade].
func (l Layers[B]) Ladder(ladder *strategies.Ladder) B {
	l.set.once("Ladder", pointer("Ladder", ladder))
	l.set.ladder = ladder
	return l.self
}

// Intervene puts what nobody could answer before a person; see [Intervene].
func (l Layers[B]) Intervene(how Intervention) B {
	l.set.once("Intervene", how.validate())
	l.set.intervention = &how
	return l.self
}

// Classify replaces the default classifier for all layers of this agent.
func (l Layers[B]) Classify(c *strategies.Classifier) B {
	l.set.once("Classify", pointer("Classify", c))
	l.set.classifier = c
	return l.self
}

// Tally keeps the agent's failed calls in a tally shared with other agents.
func (l Layers[B]) Tally(t *strategies.Tally) B {
	l.set.once("Tally", pointer("Tally", t))
	l.set.tally = t
	return l.self
}

// Observe tells an observer of events. It may be called more than once.
func (l Layers[B]) Observe(o Observer) B {
	if isNil(o) {
		l.set.errs = append(l.set.errs, settingNil("Observe", "an Observer"))
		return l.self
	}
	l.set.observers = append(l.set.observers, o)
	return l.self
}

// scope makes the settings' Scope ready.
func (s *settings) scope() *scope {
	var told Observer
	switch len(s.observers) {
	case 0:
	case 1:
		told = s.observers[0]
	default:
		told = append(observers(nil), s.observers...)
	}
	return Scope{Agent: s.name, Classifier: s.classifier, Observer: told, Tally: s.tally}.ready()
}

// check says everything that is wrong, alone or in combination.
func (s *settings) check(rungs int) error {
	errs := append([]error(nil), s.errs...)
	add := func(setting, problem, fix string) {
		errs = append(errs, &strategies.ConfigError{Setting: setting, Problem: problem, Fix: fix})
	}
	if s.breaker != nil {
		errs = append(errs, s.breaker.Validate())
		if w := s.breaker.Window; w > 0 && s.timeout > w {
			add("Breaker.Window", fmt.Sprintf("(%v) is shorter than Timeout (%v)", w, s.timeout),
				"an agent that hangs would never have two failures in one window: make it several times the timeout")
		}
	}
	if s.bulkhead != nil {
		errs = append(errs, s.bulkhead.Validate())
	}
	if s.ladder != nil {
		errs = append(errs, s.ladder.Validate())
		if rungs == 0 {
			add("Ladder", "is set without Degrade", "give it rungs to answer with")
		}
	}
	if s.deadline > 0 {
		if s.timeout > s.deadline {
			add("Timeout", fmt.Sprintf("(%v) is above Deadline (%v)", s.timeout, s.deadline), "an attempt must fit into the deadline for all of them")
		}
		if s.retry != nil && s.retry.Validate() == nil {
			if first := s.retry.Worst(false).First; first >= s.deadline {
				add("Retry.Backoff", fmt.Sprintf("(first delay %v) does not fit into Deadline (%v)", first, s.deadline), "no retry could ever be made: shorten one or leave out Retry")
			}
		}
	} else if s.reserve > 0 {
		add("Reserve", "is set without Deadline", "set the deadline it is a slice of")
	}
	return errors.Join(errs...)
}
