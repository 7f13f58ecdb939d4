package middleware

import (
	"context"
	"fmt"
	"sync"

	"github.com/understudy-go/understudy/strategies"
)

// Desk puts incidents before people by way of a channel: a web page, a chat bot
// or a test takes them from Incidents and calls Decide. It is an
// [strategies.Intervenor]; the zero value is not usable, see [NewDesk].
type Desk struct {
	incidents chan strategies.Incident

	mu   sync.Mutex
	open map[string]chan strategies.Decision
}

// NewDesk returns a desk on which waiting incidents may lie before nobody has
// taken them; a call beyond that waits for room until its question expires.
func NewDesk(waiting int) *Desk {
	return &Desk{incidents: make(chan strategies.Incident, max(waiting, 0)), open: map[string]chan strategies.Decision{}}
}

// Incidents returns the channel the incidents arrive on. It is never closed.
func (d *Desk) Incidents() <-chan strategies.Incident { return d.incidents }

// Resolve answers an incident. The error is a [strategies.InterventionError] if
// the question has expired, was answered before, or never was: a decision that
// comes too late is refused, not kept for the next incident.
func (d *Desk) Resolve(id string, decision strategies.Decision) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer, ok := d.open[id]
	if !ok {
		return &strategies.InterventionError{Incident: id, Problem: "is not open: expired, already decided, or unknown"}
	}
	delete(d.open, id)
	answer <- decision
	return nil
}

// Decide puts an incident on the desk and waits. Layers call it.
func (d *Desk) Decide(ctx context.Context, incident strategies.Incident) (strategies.Decision, error) {
	answer := make(chan strategies.Decision, 1) // Resolve never waits
	d.mu.Lock()
	if _, taken := d.open[incident.ID]; taken {
		d.mu.Unlock()
		return strategies.Decision{}, fmt.Errorf("understudy: incident %q is open already: give agents that share a desk different names", incident.ID)
	}
	d.open[incident.ID] = answer
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, incident.ID)
	}()
	select {
	case d.incidents <- incident:
	case <-ctx.Done():
		return strategies.Decision{}, context.Cause(ctx)
	}
	select {
	case decision := <-answer:
		return decision, nil
	case <-ctx.Done():
		return strategies.Decision{}, context.Cause(ctx)
	}
}
