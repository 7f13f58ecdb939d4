package console

import (
	"net/http"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Fleet is what the console asks of the fleet that this process belongs to. A
// [strategies.Fleet] is one. What panics is said to be unknown, and takes nothing else
// along.
type Fleet interface {
	// Health is how the fleet looks from here. It is called while somebody watches, at
	// most five times a second, and must not wait.
	Health() strategies.FleetHealth
	// Watch calls listener after every change, until stop is called. Each of those who
	// watch the page has a listener of their own, for as long as they do.
	Watch(listener func(strategies.FleetChange)) (stop func())
}

// fleet is one as the page shows it.
type fleet struct {
	Replica     string    `json:"replica"`  // this process; "": nothing is shared yet
	Replicas    int       `json:"replicas"` // that live, this one included, as far as is known
	Away        bool      `json:"away"`     // the store does not answer
	Since       time.Time `json:"since,omitzero"`
	Error       string    `json:"error,omitempty"` // why it is away; "": it was not reached yet
	Unpublished int       `json:"unpublished"`
	Skipped     int       `json:"skipped"`
	Trouble     string    `json:"trouble,omitempty"` // why the fleet cannot be asked: the rest is unknown
}

// fleetNow asks the fleet; nil: there is none.
func (c *Console) fleetNow() *fleet {
	if c.set.Fleet == nil {
		return nil
	}
	var h strategies.FleetHealth
	if problem := safely(func() { h = c.set.Fleet.Health() }); problem != nil {
		return &fleet{Trouble: c.says(problem)}
	}
	since := h.Since.UTC().Truncate(time.Millisecond)
	if y := since.Year(); y < 1 || y > 9999 { // nothing that JSON can say
		since = time.Time{}
	}
	return &fleet{
		Replica: clip(h.Replica, nameWidth), Replicas: h.Replicas, Away: h.Away, Since: since, Error: c.says(h.Err),
		Unpublished: h.Unpublished, Skipped: h.Skipped,
	}
}

// watchFleet wakes a watcher when the fleet changes. What panics is not watched: it is
// still looked at with every beat.
func (c *Console) watchFleet(wake chan<- struct{}) (stop func()) {
	if c.set.Fleet == nil {
		return func() {}
	}
	var end func()
	_ = safely(func() {
		end = c.set.Fleet.Watch(func(strategies.FleetChange) {
			select {
			case wake <- struct{}{}:
			default: // it has been told already
			}
		})
	})
	return func() {
		if end != nil {
			_ = safely(end)
		}
	}
}

// fleet answers how the fleet is.
func (q *request) fleet() {
	if q.c.set.Fleet == nil {
		fail(q.w, http.StatusNotFound, "the console has no fleet")
		return
	}
	if seen, err := q.c.look(q.Context()); err == nil { // else they have gone
		answer(q.w, http.StatusOK, seen.fleet)
	}
}
