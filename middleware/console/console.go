package console

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

//go:embed assets
var assets embed.FS

// Settings are what a console shows, and to whom.
type Settings struct {
	// Agents returns the agents to show, in the order in which they are listed:
	// Owners of a cast, or a function of yours. Required. It is called while somebody
	// watches, at most five times a second; of what it returns the first 1,000 are
	// shown.
	Agents func() []*middleware.Owner
	// Role says what an agent's part is, for people to read. nil: it is not said.
	Role func(agent string) string
	// Inbox is where questions are read and decided: an [inbox.Inbox], or a desk by way
	// of [Desk]. It says what is shown of a request. nil: there are none to see.
	Inbox Inbox
	// Fleet is the one that this process belongs to: a [strategies.Fleet]. Shown are how
	// many replicas live, and whether its store is away. nil: there is none to see.
	Fleet Fleet
	// Who says who a request is from, and what they may do. nil: everybody may look,
	// and nobody may change anything.
	Who func(r *http.Request) (Person, error)
	// Hosts are the names, with ports, by which the console may be called. Give them
	// where the console listens on loopback, so that no page of another site can make
	// a browser call it by a name of its own. None: any.
	Hosts []string
	// ShowError makes a text of an error. nil: what it says, as [strategies.Redact]
	// leaves it.
	ShowError func(err error) string
	// Answer makes an answer of an agent's type from what a person has typed. Its
	// error is shown to the person. nil: the text itself for agents that answer with a
	// string, and for others JSON of their type.
	Answer func(agent, text string) (any, error)
	// Record is told of everything that was done here, after it was done. It is
	// called on the request's goroutine. nil: the console's own record of the last
	// 200 is all.
	Record func(Entry)
	// Calls is how many of the last calls are kept. 0: 200.
	Calls int
	// Watchers is how many may watch at a time. 0: 32.
	Watchers int
}

func (s Settings) validate() error {
	var errs []error
	wrong := func(setting, problem, fix string) {
		errs = append(errs, &strategies.ConfigError{Setting: setting, Problem: problem, Fix: fix})
	}
	if s.Agents == nil {
		wrong("console.Settings.Agents", "is nil", "give it a function that returns the agents, such as a cast's Owners")
	}
	if s.Calls < 0 || s.Calls > 10_000 {
		wrong("console.Settings.Calls", fmt.Sprintf("is %d", s.Calls), "use 1 to 10000, or leave it 0 for 200")
	}
	if s.Watchers < 0 || s.Watchers > 10_000 {
		wrong("console.Settings.Watchers", fmt.Sprintf("is %d", s.Watchers), "use 1 to 10000, or leave it 0 for 32")
	}
	for _, h := range s.Hosts {
		if h == "" {
			wrong("console.Settings.Hosts", "has a host without a name", "name it, or leave it out")
		}
	}
	return errors.Join(errs...)
}

// Console is an [http.Handler] that shows agents and what happens to them, and a
// [middleware.Observer] that hears of it. Make one with [New]. It is safe for
// concurrent use, owns no goroutine, and need not be closed.
type Console struct {
	set  Settings
	live live

	mu       sync.Mutex
	version  uint64 // of the last change
	people   uint64 // of the last one that may be about a question
	calls    calls
	changes  ring[change]
	record   ring[Entry]
	watchers map[chan struct{}]struct{}
}

// New returns a console. The error joins a [strategies.ConfigError] for each
// setting that makes no sense.
func New(s Settings) (*Console, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if s.Calls == 0 {
		s.Calls = 200
	}
	if s.Watchers == 0 {
		s.Watchers = 32
	}
	c := &Console{set: s, watchers: map[chan struct{}]struct{}{}}
	c.calls.most, c.calls.byID = s.Calls, map[string]*call{}
	c.changes.most, c.record.most = 100, 200
	c.live.busy = make(chan struct{}, 1)
	return c, nil
}

var errUnusable = &strategies.ConfigError{Setting: "Console", Problem: "is nil or was not made by New", Fix: "make it with console.New"}

// Observe hears of what happens to a call: give the console to each agent's
// builder, as in Observe(board).
func (c *Console) Observe(_ context.Context, e middleware.Event) {
	if c == nil || c.watchers == nil {
		return
	}
	if _, err := e.Kind.MarshalText(); err != nil {
		return // of a newer version than this, or of nobody's
	}
	s := c.step(e) // reads an error that may be anybody's: not under the lock
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	switch e.Kind {
	case middleware.EventPersonAsked, middleware.EventPersonDecided, middleware.EventDecisionRefused, middleware.EventParked:
		c.people = c.version
	}
	switch {
	case e.Kind == middleware.EventBreakerChanged || e.Kind == middleware.EventLevelChanged || e.Call == "":
		c.changes.add(change{version: c.version, Agent: clip(e.Agent, nameWidth), step: s})
	default:
		c.calls.add(c.version, e, s)
	}
	c.wake()
}

// wake tells everybody who watches that there is something new. The lock is held.
func (c *Console) wake() {
	for w := range c.watchers {
		select {
		case w <- struct{}{}:
		default: // it has been told already
		}
	}
}

// note keeps what was done by a person, and tells the user's own record.
func (c *Console) note(e Entry) {
	e.Time = time.Now().UTC()
	c.mu.Lock()
	c.version++
	e.version, c.people = c.version, c.version
	c.record.add(e)
	c.wake()
	c.mu.Unlock()
	if c.set.Record != nil {
		_ = safely(func() { c.set.Record(e) })
	}
}

// Entry is one thing that a person did by way of the console.
type Entry struct {
	Time     time.Time `json:"time"`
	By       string    `json:"by"`
	Did      string    `json:"did"` // isolate, reset, pin, unpin, claim, release, decide
	Agent    string    `json:"agent,omitempty"`
	Incident string    `json:"incident,omitempty"`
	What     string    `json:"what,omitempty"` // the level, the decision
	Reason   string    `json:"reason,omitempty"`
	Problem  string    `json:"problem,omitempty"` // why it was refused; "": it was not

	version uint64
}

// ring keeps the last of something, oldest first.
type ring[T any] struct {
	most int
	all  []T
}

func (r *ring[T]) add(v T) {
	if len(r.all) == r.most {
		r.all = append(r.all[:0], r.all[1:]...)
	}
	r.all = append(r.all, v)
}

// safely runs code of the user's.
func safely(do func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("understudy: a function of the console's settings panicked: %v", v)
		}
	}()
	do()
	return nil
}
