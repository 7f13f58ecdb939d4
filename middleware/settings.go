package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-go/understudy/strategies"
)

//go:generate go run ../internal/forward

// Settings are what a chain is told that does not depend on the types of its
// agent. Every method is one of [Builder] and of [StreamBuilder] too, so most
// programs need none of their own. One that wraps both the whole and the
// streamed calls of an agent writes them once, and both chains share the
// breaker, the retry budget and the count of failures:
//
//	common := new(middleware.Settings).Named("bard").Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{})
//	whole, err := middleware.Wrap(agent).With(common).Build()
//	streamed, err := middleware.WrapStream(agent).With(common).Build()
//
// The zero value sets nothing. The order of the calls does not matter. A layer
// that is not asked for is left out; what is wrong is reported by Build. It is
// not safe for concurrent use.
type Settings struct {
	name       string
	classifier *strategies.Classifier
	tally      *strategies.Tally
	observers  observers
	count      *strategies.Count // shared by all who get these settings

	origin, past *Owner // see Owner
	key          string

	parts []part
	given map[string]bool
	errs  []error
}

// part is one setting of a chain: where its layer stands, what is wrong with it
// alone or beside the others, how it is explained, and what it knows about the
// agent's health. It lives in the file of its layer. To add a layer is to write
// one such file, to name its stage, and to run go generate for the forwarders.
type part interface {
	// setting is its name as the user wrote it.
	setting() string
	stage() Stage
	// check says what is wrong, alone or in combination.
	check(s *Settings) []error
	// attach is told once whose layer it is.
	attach(o *Owner)
	explain(e *explaining)
	health(h *Health)
}

// basics is a part that has nothing to say.
type basics struct {
	named string
	at    Stage
}

func (b basics) setting() string         { return b.named }
func (b basics) stage() Stage            { return b.at }
func (b basics) check(*Settings) []error { return nil }
func (b basics) attach(*Owner)           {}
func (b basics) explain(e *explaining)   {}
func (b basics) health(*Health)          {}

// find returns the part of a kind, if it was asked for.
func find[P part](s *Settings) (p P, ok bool) {
	for _, each := range s.parts {
		if p, ok = each.(P); ok {
			return p, true
		}
	}
	return p, false
}

// add notes a part, and refuses a second one of the same name.
func (s *Settings) add(p part, problems ...error) *Settings {
	s.once(p.setting(), problems...)
	s.parts = append(s.parts, p)
	return s
}

func (s *Settings) once(setting string, problems ...error) {
	if s.given[setting] {
		s.wrong(&strategies.ConfigError{Setting: setting, Problem: "is set twice", Fix: "a layer stands once in a chain: drop one of them"})
	}
	if s.given == nil {
		s.given = map[string]bool{}
	}
	s.given[setting] = true
	s.wrong(problems...)
}

func (s *Settings) wrong(problems ...error) {
	for _, err := range problems {
		if err != nil {
			s.errs = append(s.errs, err)
		}
	}
}

func pointer[T any](setting string, p *T) error {
	if p == nil {
		return settingNil(setting, fmt.Sprintf("a %T", p))
	}
	return nil
}

// With takes over settings that several chains have in common: what is shared
// stays shared.
func (s *Settings) With(common *Settings) *Settings {
	if common == nil {
		s.wrong(settingNil("With", "Settings"))
		return s
	}
	for name := range common.given {
		s.once(name)
	}
	if common.given["Named"] {
		s.name = common.name
	}
	if common.given["Classifier"] {
		s.classifier = common.classifier
	}
	if common.given["Tally"] {
		s.tally = common.tally
	}
	if common.count == nil {
		common.count = &strategies.Count{}
	}
	s.count = common.count
	s.observers = append(s.observers, common.observers...)
	s.parts = append(s.parts, common.parts...)
	s.wrong(common.errs...)
	return s
}

// Named gives the agent the name under which it appears in outcomes, events,
// errors and its tally. "" stays "agent".
func (s *Settings) Named(name string) *Settings {
	s.once("Named")
	s.name = name
	return s
}

// Classifier replaces the default classifier for all layers of this agent.
func (s *Settings) Classifier(c *strategies.Classifier) *Settings {
	s.once("Classifier", pointer("Classifier", c))
	if c != nil {
		for i, rule := range c.Rules {
			if rule == nil {
				s.wrong(problemOf("Classifier.Rules", "has no rule at %d", "leave it out", i))
			}
		}
	}
	s.classifier = c
	return s
}

// Tally keeps the agent's failed calls in a tally shared with other agents.
func (s *Settings) Tally(t *strategies.Tally) *Settings {
	s.once("Tally", pointer("Tally", t))
	s.tally = t
	return s
}

// Observe tells an observer of events. It may be called more than once.
func (s *Settings) Observe(o Observer) *Settings {
	if isNil(o) {
		s.wrong(settingNil("Observe", "an Observer"))
		return s
	}
	s.observers = append(s.observers, o)
	return s
}

// owner makes the owner of a chain.
func (s *Settings) owner() *Owner {
	o := &Owner{Name: s.name, Classifier: s.classifier, Tally: s.tally, count: s.count, origin: s.origin, before: s.past, key: s.key}
	if s.tally != nil {
		o.count = nil
	}
	switch len(s.observers) {
	case 0:
	case 1:
		o.Observer = s.observers[0]
	default:
		o.Observer = append(observers(nil), s.observers...)
	}
	return o.ready()
}

// check says everything that is wrong, alone or in combination.
func (s *Settings) check() error {
	errs := append([]error(nil), s.errs...)
	for _, p := range s.parts {
		errs = append(errs, p.check(s)...)
	}
	return errors.Join(errs...)
}

// clone is the settings as they are now: what was built does not change any more.
func (s *Settings) clone() *Settings {
	c := *s
	c.parts = append([]part(nil), s.parts...)
	c.errs = append([]error(nil), s.errs...)
	c.observers = append(observers(nil), s.observers...)
	c.given = map[string]bool{}
	for name := range s.given {
		c.given[name] = true
	}
	return &c
}

// byHand is a layer that is put into a chain by hand: what is wrong with it
// answers every call.
func byHand[Req, Resp any](o *Owner, p part, problem error, layer func(next Runner[Req, Resp]) Runner[Req, Resp]) Middleware[Req, Resp] {
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if o == nil {
			return misconfigured[Req, Resp](errors.Join(noOwner(p.setting()), problem))
		}
		if problem != nil {
			return misconfigured[Req, Resp](problem)
		}
		o.ready().guests.Store(true) // what stands between the layers is not known
		p.attach(o)
		o.add(p)
		return layer(next)
	}
}

// background is the context of what no call causes.
var background = context.Background()

// mark notes that something was asked for that may be asked for again.
func (s *Settings) mark(setting string) {
	if s.given == nil {
		s.given = map[string]bool{}
	}
	s.given[setting] = true
}
