package middleware

import (
	"fmt"
	"time"
)

// Deadline bounds all attempts of all agents together: it belongs outside of
// [Fallback] and inside of [Degrade], so that there is time left to say
// something. Of a deadline that the caller brings, reserve is kept free for
// that; 0 keeps nothing.
func Deadline[Req, Resp any](o *Owner, total, reserve time.Duration) Middleware[Req, Resp] {
	reserve = max(reserve, 0)
	p := &deadlinePart{basics: basics{"Deadline", StageDeadline}, total: total, reserve: reserve}
	return byHand(o, p, positive("Deadline", total), func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newLimit(o, "deadline", total, reserve, next)
	})
}

// Deadline bounds all attempts of all agents together. See [Deadline].
func (s *Settings) Deadline(total time.Duration) *Settings {
	return s.add(&deadlinePart{basics: basics{"Deadline", StageDeadline}, total: total}, positive("Deadline", total))
}

// DeadlineReserving is Deadline, and keeps a slice of a deadline that the caller
// brings free for the reduced answer: the agents get the rest.
func (s *Settings) DeadlineReserving(total, slice time.Duration) *Settings {
	return s.add(&deadlinePart{basics: basics{"Deadline", StageDeadline}, total: total, reserve: slice},
		positive("Deadline", total), positive("DeadlineReserving slice", slice))
}

type deadlinePart struct {
	basics
	total, reserve time.Duration
}

func (p *deadlinePart) explain(e *explaining) {
	e.deadline = p.total
	text := fmt.Sprintf("%v for all agents together", p.total)
	if p.reserve > 0 {
		text += fmt.Sprintf(", and %v before the caller's own", p.reserve)
	}
	e.row(StageDeadline, "%s", text)
}
