package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const (
	mostAgents = 1000
	freshFor   = 200 * time.Millisecond // what is live is looked up this often, at most
)

// agent is one as the page shows it.
type agent struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role,omitempty"`
	// Mood is the whole in a word: well, helped (others answer for it), care (look
	// after it), out (nobody calls it).
	Mood        string            `json:"mood"`
	Breaker     *strategies.State `json:"breaker,omitempty"` // nil: it has none
	BreakerName string            `json:"breaker_name,omitempty"`
	SharedWith  []string          `json:"shared_with,omitempty"` // who has the same breaker
	ShutUntil   time.Time         `json:"shut_until,omitzero"`
	Level       *strategies.Level `json:"level,omitempty"` // nil: it has no ladder
	Pinned      bool              `json:"pinned,omitempty"`
	Failures    int               `json:"failures"`
	Spent       bool              `json:"spent,omitempty"`
	LastClass   strategies.Class  `json:"last_class,omitzero"`
	LastError   string            `json:"last_error,omitempty"`
	OthersSince time.Time         `json:"others_since,omitzero"`
	InFlight    int               `json:"in_flight,omitempty"`
	LeftBehind  int               `json:"left_behind,omitempty"`
	Waiting     int               `json:"waiting,omitempty"`
	BudgetLeft  int               `json:"budget_left,omitempty"`
	BudgetSize  int               `json:"budget_size,omitempty"`
	Calls       float64           `json:"calls_per_minute,omitempty"`
	Tokens      float64           `json:"tokens_per_minute,omitempty"`
}

// live is what all who watch look at together.
type live struct {
	busy chan struct{} // a lock that one can stop waiting for

	at      time.Time
	version uint64
	agents  []*liveAgent
	byOwner map[*middleware.Owner]*liveAgent
	made    int       // so many had an id
	people  uint64    // the inbox was looked at after this change
	asked   time.Time // and then
	open    int       // questions
	openRev string
	trouble string // why the inbox cannot be read
	fleet   *fleet // replaced, never written to; nil: there is none
}

type liveAgent struct {
	agent
	owner   *middleware.Owner
	text    []byte
	version uint64
}

// look is one view of what is live. Nothing in it is written to.
type look struct {
	agents  []liveAgent
	version uint64
	open    int
	openRev string
	trouble string
	fleet   *fleet
}

// look looks everything up, unless that was done just now. The error is that of ctx.
func (c *Console) look(ctx context.Context) (look, error) {
	select {
	case c.live.busy <- struct{}{}:
	case <-ctx.Done():
		return look{}, context.Cause(ctx)
	}
	defer func() { <-c.live.busy }()
	l := &c.live
	if time.Since(l.at) >= freshFor || l.at.IsZero() {
		c.lookUp(ctx)
		l.at = time.Now()
	}
	seen := look{version: l.version, open: l.open, openRev: l.openRev, trouble: l.trouble, fleet: l.fleet, agents: make([]liveAgent, len(l.agents))}
	for i, a := range l.agents {
		seen.agents[i] = *a
	}
	return seen, nil
}

func (c *Console) lookUp(ctx context.Context) {
	l := &c.live
	var owners []*middleware.Owner
	if problem := safely(func() { owners = c.set.Agents() }); problem != nil {
		owners = nil
	}
	owners = slices.DeleteFunc(slices.Clone(owners), func(o *middleware.Owner) bool { return o == nil })
	owners = owners[:min(len(owners), mostAgents)]
	sharing := map[*strategies.Breaker][]string{}
	for _, o := range owners {
		if b := o.Breaker(); b != nil {
			sharing[b] = append(sharing[b], clip(o.String(), nameWidth))
		}
	}
	l.version++
	version := l.version
	byOwner, agents := make(map[*middleware.Owner]*liveAgent, len(owners)), make([]*liveAgent, 0, len(owners))
	for _, o := range owners {
		if byOwner[o] != nil {
			continue // listed twice
		}
		a := l.byOwner[o]
		if a == nil {
			l.made++
			a = &liveAgent{owner: o, agent: agent{ID: fmt.Sprintf("a%d", l.made), Name: clip(o.String(), nameWidth)}}
			if c.set.Role != nil {
				_ = safely(func() { a.Role = clip(c.set.Role(o.String()), nameWidth) })
			}
		}
		byOwner[o] = a
		agents = append(agents, a)
		a.refresh(c, sharing)
		text, err := json.Marshal(a.agent)
		if err == nil && !bytes.Equal(text, a.text) {
			a.text, a.version = text, version
		}
	}
	l.agents, l.byOwner, l.fleet = agents, byOwner, c.fleetNow()
	c.mu.Lock()
	people := c.people
	c.mu.Unlock()
	if people != l.people || time.Since(l.asked) >= beats { // a list of many costs
		l.people, l.asked = people, time.Now()
		c.lookAtInbox(ctx)
	}
}

func (a *liveAgent) refresh(c *Console, sharing map[*strategies.Breaker][]string) {
	h := a.owner.Health()
	was := a.ShutUntil
	next := agent{
		ID: a.ID, Name: a.Name, Role: a.Role, Failures: h.Failures, Spent: h.Spent, LastClass: known(h.LastClass),
		LastError: c.saysText(h.LastError), OthersSince: h.OthersSince.UTC().Truncate(time.Second), InFlight: h.InFlight, LeftBehind: h.LeftBehind, Waiting: h.Waiting,
		BudgetLeft: h.BudgetLeft, BudgetSize: h.BudgetSize, Calls: round(h.CallsPerMinute), Tokens: round(h.TokensPerMinute),
	}
	if b := a.owner.Breaker(); b != nil {
		next.Breaker, next.BreakerName = &h.Breaker, clip(b.Name, nameWidth)
		if others := sharing[b]; len(others) > 1 {
			next.SharedWith = others[:min(len(others), 20)]
		}
		if h.RetryAfter > 0 {
			next.ShutUntil = time.Now().Add(h.RetryAfter).UTC().Truncate(time.Millisecond)
			if d := next.ShutUntil.Sub(was); d > -250*time.Millisecond && d < 250*time.Millisecond {
				next.ShutUntil = was // the same moment, computed again
			}
		}
	}
	if l := a.owner.Ladder(); l != nil {
		level := known(h.Level)
		next.Level, next.Pinned = &level, h.Pinned
	}
	next.Mood = mood(h)
	a.agent = next
}

// mood is an agent's health in a word.
func mood(h middleware.Health) string {
	switch {
	case h.Breaker == strategies.StateOpen, h.Breaker == strategies.StateIsolated, h.Breaker == strategies.StateHeld:
		return "out"
	case h.Breaker == strategies.StateHalfOpen, h.Spent, h.Level != strategies.LevelFull, h.Pinned, h.LeftBehind > 0,
		h.Failures > 0:
		return "care"
	case !h.OthersSince.IsZero():
		return "helped"
	}
	return "well"
}

func round(v float64) float64 { return float64(int64(v*10+0.5)) / 10 }

// find returns an agent by its id, or by its name if no other has that.
func (s look) find(id string) (found liveAgent, ok bool) {
	n := 0
	for _, a := range s.agents {
		if a.ID == id {
			return a, true
		}
		if a.Name == id {
			found = a
			n++
		}
	}
	return found, n == 1
}

// layer is one of a chain.
type layer struct {
	Stage middleware.Stage `json:"stage"`
	Text  string           `json:"text"`
}

// chain is what Explain says.
type chain struct {
	Layers    []layer  `json:"layers"`
	Calls     int      `json:"calls"`
	Rungs     int      `json:"rungs"`
	Questions int      `json:"questions"`
	Bounded   bool     `json:"bounded"`
	Time      string   `json:"time,omitempty"`
	TimeAsked string   `json:"time_asked,omitempty"`
	Notes     []string `json:"notes"`
}

func chainOf(o *middleware.Owner) (all chain) {
	var e middleware.Explanation
	if problem := safely(func() { e = o.Explain() }); problem != nil {
		return chain{Layers: []layer{}, Notes: []string{"The chain cannot be explained: " + clip(problem.Error(), textWidth)}}
	}
	all = chain{Layers: []layer{}, Notes: []string{}, Calls: e.Calls, Rungs: e.Rungs, Questions: e.Questions, Bounded: e.Bounded}
	if e.Bounded {
		all.Time, all.TimeAsked = e.Time.String(), e.TimeAsked.String()
	}
	for _, r := range e.Rows {
		all.Layers = append(all.Layers, layer{r.Stage, clip(r.Text, textWidth)})
	}
	for _, n := range e.Notes[:min(len(e.Notes), 50)] {
		all.Notes = append(all.Notes, clip(n, textWidth))
	}
	return all
}
