package lab

import "time"

// Queue is the queue of an agent, for tests of its maths.
type Queue struct{ b *backend }

func NewQueue(a Agent) Queue {
	return Queue{&backend{agent: a, free: make([]time.Duration, a.Servers)}}
}

func (q Queue) Enqueue(now, service time.Duration) (time.Duration, bool) {
	return q.b.enqueue(now, service)
}

func (q Queue) Busy(now time.Duration) float64 { return q.b.busy(now) }

// NewTrace is a trace put together by hand; the primary's faults are the day's.
func NewTrace(day *Scenario, ends []End, calls []*Call, openings ...time.Duration) *Trace {
	primary := newBackend(Primary, day.Primary, day, len(ends))
	for _, c := range calls {
		if c.Agent == Primary {
			primary.calls = append(primary.calls, c)
		}
	}
	return &Trace{Ends: ends, Calls: calls, Openings: openings, primary: primary}
}

// NewAgent is the primary of a day.
func NewAgent(day *Scenario, requests int) Ask {
	return newBackend(Primary, day.Primary, day, requests).Run
}

// ErrTest is a failure.
var ErrTest = errBad
