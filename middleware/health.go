package middleware

import (
	"encoding/json"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Health is a snapshot of one agent. Taking it changes nothing.
type Health struct {
	Agent      string
	Breaker    strategies.State // closed if there is none
	RetryAfter time.Duration    // until the breaker lets a call through
	Failures   int              // failed calls since the last recovery
	Spent      bool             // retries used up, until the agent succeeds
	Level      strategies.Level
	LastClass  strategies.Class // of the last attempt that was made and failed; unclassified: none yet
	LastError  string           // what it said, as [strategies.Redact] leaves it
	// OthersSince is since when others have answered for the agent; zero: it answers
	// itself.
	OthersSince time.Time
	InFlight    int // attempts in the bulkhead, if there is one
	LeftBehind  int // attempts a hard timeout left running, and questions whose Ask is deaf
	Waiting     int // calls that wait for a slot of the bulkhead, or for their turn of the pace
	// Keys is how many keys have a state of their own, and Crowded how often there was no
	// room for one more; see [Builder.By] and [Owner.HealthByKey].
	Keys, Crowded int
	// CallsPerMinute and TokensPerMinute are what the pace lets through at present; 0:
	// it has no such limit, or there is none.
	CallsPerMinute, TokensPerMinute float64
}

// MarshalJSON writes the wait as text.
func (h Health) MarshalJSON() ([]byte, error) {
	type plain Health
	return json.Marshal(struct {
		plain
		RetryAfter string
	}{plain(h), h.RetryAfter.String()})
}

// Health returns a snapshot of the agent: what each of its layers knows.
func (o *Owner) Health() Health {
	o = o.latest().ready()
	h := Health{
		Agent: o.name(), Failures: o.count.Failures(), Spent: o.count.Spent(),
	}
	if last := o.record().last.Load(); last != nil {
		h.LastClass, h.LastError = last.verdict.Class, strategies.Redact(errtree.Text(raw(last)))
	}
	if since := o.record().others.Load(); since != 0 {
		h.OthersSince = time.Unix(0, since).UTC()
	}
	for _, p := range o.chain() {
		p.health(&h)
	}
	h.LeftBehind += int(o.deaf.Load())
	return h
}
