package middleware

import "github.com/understudy-go/understudy/strategies"

// Breaker is the agent's circuit breaker, which others may share; nil: it has
// none. It is for looking at, and for a person's hand (Isolate, Reset).
func (o *Owner) Breaker() *strategies.Breaker { return o.latest().breaker() }

// breaker is that of this very chain.
func (o *Owner) breaker() *strategies.Breaker {
	for _, p := range o.chain() {
		if b, ok := p.(*breakerPart); ok {
			return b.breaker
		}
	}
	return nil
}

// Ladder is the agent's ladder, which others may share; nil: it has none. It is for
// a person's hand (Pin, Restore).
func (o *Owner) Ladder() *strategies.Ladder {
	for _, p := range o.latest().chain() {
		if d, ok := p.(*degradePart); ok && d.ladder != nil {
			return d.ladder
		}
	}
	return nil
}

// Forgive deletes the agent's failed calls and gives it its retries back, as if it
// had answered. Its breaker is left alone.
func (o *Owner) Forgive() { o.latest().ready().count.Succeeded() }
