package console

import (
	"encoding"
	"slices"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const mostSteps = 64 // of one call

// step is one thing that happened to a call, cut to size.
type step struct {
	Kind     middleware.EventKind `json:"kind"`
	Time     time.Time            `json:"time"`
	ServedBy string               `json:"served_by,omitempty"`
	Attempt  int                  `json:"attempt,omitempty"`
	Class    strategies.Class     `json:"class,omitzero"`
	Strategy strategies.Strategy  `json:"strategy,omitzero"`
	Level    strategies.Level     `json:"level"`
	DelayMS  int64                `json:"delay_ms,omitempty"`
	Stop     strategies.Stop      `json:"stop,omitempty"`
	Count    int                  `json:"count,omitempty"`
	From     string               `json:"from,omitempty"`
	To       string               `json:"to,omitempty"`
	Incident string               `json:"incident,omitempty"`
	Decision string               `json:"decision,omitempty"`
	By       string               `json:"by,omitempty"`
	Detail   string               `json:"detail,omitempty"`
	Error    string               `json:"error,omitempty"`
}

func (c *Console) step(e middleware.Event) step {
	return step{
		Kind: e.Kind, Time: e.Time.UTC(), ServedBy: clip(e.ServedBy, nameWidth), Attempt: e.Attempt,
		Class: known(e.Class), Strategy: known(e.Strategy), Level: known(e.Level), DelayMS: e.Delay.Milliseconds(), Stop: strategies.Stop(clip(string(e.Stop), nameWidth)), Count: e.Count,
		From: clip(e.From, nameWidth), To: clip(e.To, nameWidth), Incident: clip(e.Incident, nameWidth), Decision: clip(e.Decision, nameWidth),
		By: clip(e.By, nameWidth), Detail: clip(e.Detail, textWidth), Error: c.says(e.Err),
	}
}

// known is a value that has a word, or the zero one: an observer is called by
// adapters and by code of the user's too.
func known[E encoding.TextMarshaler](e E) E {
	if _, err := e.MarshalText(); err != nil {
		var none E
		return none
	}
	return e
}

// change is what happened to an agent, and to no call.
type change struct {
	version uint64
	Agent   string `json:"agent"`
	step
}

// call is a call that something happened to.
type call struct {
	version uint64

	ID       string              `json:"id"`
	Parent   string              `json:"parent,omitempty"`
	Agent    string              `json:"agent"`
	Began    time.Time           `json:"began"` // when the first thing happened to it
	Last     time.Time           `json:"last"`
	End      string              `json:"end"` // "", recovered or failed
	Strategy strategies.Strategy `json:"strategy"`
	ServedBy string              `json:"served_by,omitempty"`
	Level    strategies.Level    `json:"level"`
	Steps    []step              `json:"steps"`
	Dropped  int                 `json:"dropped,omitempty"` // steps that are not kept
}

// calls are the last ones that something happened to, in the order in which it began.
type calls struct {
	most  int
	order []*call
	byID  map[string]*call
}

func (c *calls) add(version uint64, e middleware.Event, s step) {
	id := clip(e.Call, 200)
	one := c.byID[id]
	if one == nil {
		if len(c.order) == c.most {
			c.evict()
		}
		one = &call{ID: id, Parent: clip(e.Parent, 200), Agent: clip(e.Agent, nameWidth), Began: s.Time}
		c.order = append(c.order, one)
		c.byID[id] = one
	}
	one.version, one.Last = version, s.Time
	if len(one.Steps) < mostSteps {
		// A new array each time it grows, and nothing in it is written twice: who reads
		// a copy of the call may go on reading.
		one.Steps = append(one.Steps, s)
	} else {
		one.Dropped++
	}
	switch e.Kind {
	case middleware.EventRecovered:
		one.End, one.Strategy, one.ServedBy, one.Level = e.Kind.String(), s.Strategy, s.ServedBy, s.Level
	case middleware.EventFailed:
		one.End, one.Strategy = e.Kind.String(), s.Strategy
	}
}

// evict forgets the oldest that is over; if all are under way, the oldest.
func (c *calls) evict() {
	i := max(slices.IndexFunc(c.order, func(one *call) bool { return one.End != "" }), 0)
	delete(c.byID, c.order[i].ID)
	c.order = slices.Delete(c.order, i, i+1)
}

// lastCalls are the newest calls first, of those that changed after a version, that
// began before one with an id, and that belong to an agent. The lock is held.
func (c *Console) lastCalls(after uint64, before, agent string, most int) []call {
	all, skip := make([]call, 0, min(most, 16)), before != ""
	for _, one := range slices.Backward(c.calls.order) {
		if skip {
			skip = one.ID != before
			continue
		}
		if one.version <= after || agent != "" && one.Agent != agent {
			continue
		}
		if len(all) == most {
			break
		}
		all = append(all, *one)
	}
	return all
}

// news is what happened after a version, the newest first.
type news struct {
	version uint64
	calls   []call
	changes []change
	record  []Entry
}

func (c *Console) since(after uint64) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := news{version: c.version, calls: []call{}, changes: []change{}, record: []Entry{}}
	if c.version == after {
		return n
	}
	n.calls = c.lastCalls(after, "", "", pageSize)
	for _, one := range slices.Backward(c.changes.all) {
		if one.version > after {
			n.changes = append(n.changes, one)
		}
	}
	for _, one := range slices.Backward(c.record.all) {
		if one.version > after {
			n.record = append(n.record, one)
		}
	}
	return n
}

func (c *Console) pageOfCalls(before, agent string, most int) []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastCalls(0, before, agent, most)
}

func (c *Console) oneCall(id string) (call, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.calls.byID[id]; one != nil {
		return *one, true
	}
	return call{}, false
}
