package lab

import (
	"slices"
	"time"
)

// Row is what is measured of one day in one system.
type Row struct {
	Scenario, System string
	Requests         int

	Full, Degraded, Failed float64 // percent of the requests

	P50, P99, P999, Max time.Duration // how long a caller waited, for whatever came

	CallsPerRequest float64
	Futile          int // calls that could not have helped
	Limited         int // of them, those that were over a limit, and got a 429
	Most            int // calls of one request

	// Back is how long after the last fault 99 of 100 requests of a minute are
	// answered in full again, Primary the same for 95 of 100 answered by the
	// primary. Negative: never within the scenario, or see HasEnd.
	HasEnd        bool
	Back, Primary time.Duration

	// FalseOpenings are openings of the breaker while the primary would have
	// answered most calls.
	FalseOpenings int
}

// Measure looks back on a day.
func Measure(day *Scenario, system string, t *Trace) Row {
	row := Row{Scenario: day.Name, System: system, Requests: len(t.Ends)}
	waits := make([]time.Duration, 0, len(t.Ends))
	full, byPrimary := make([]bool, len(t.Ends)), make([]bool, len(t.Ends))
	count := [3]int{}
	for i, e := range t.Ends {
		waits = append(waits, e.Took)
		switch {
		case e.Err != nil || !e.Answer.Good:
			count[2]++
		case e.Answer.By == cannedName:
			count[1]++
		default:
			count[0]++
			full[i], byPrimary[i] = true, e.Answer.By == Primary
		}
	}
	percent := func(n int) float64 { return 100 * float64(n) / float64(max(len(t.Ends), 1)) }
	row.Full, row.Degraded, row.Failed = percent(count[0]), percent(count[1]), percent(count[2])
	slices.Sort(waits)
	row.P50, row.P99, row.P999, row.Max = quantile(waits, 0.5), quantile(waits, 0.99), quantile(waits, 0.999), quantile(waits, 1)
	row.CallsPerRequest = float64(len(t.Calls)) / float64(max(len(t.Ends), 1))
	each := make([]int, len(t.Ends))
	for _, c := range t.Calls {
		if c.Futile {
			row.Futile++
		}
		if c.Limited {
			row.Limited++
		}
		each[c.Request]++
		row.Most = max(row.Most, each[c.Request])
	}
	var end time.Duration
	if end, row.HasEnd = day.end(); row.HasEnd {
		row.Back = back(t.Ends, full, end, day.Length.D(), 0.99)
		row.Primary = back(t.Ends, byPrimary, end, day.Length.D(), 0.95)
	}
	for _, at := range t.Openings {
		if !t.sick(at) {
			row.FalseOpenings++
		}
	}
	return row
}

// quantile is the smallest value that so many of the sorted ones do not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(i-1, 0), len(sorted)-1)]
}

const minute = time.Minute

// back is how long after end the first minute begins in which a share of the
// requests is well; -1 if none does.
func back(ends []End, well []bool, end, length time.Duration, share float64) time.Duration {
	for from := end; from+minute <= length; from += time.Second {
		first, _ := slices.BinarySearchFunc(ends, from, func(e End, at time.Duration) int { return int(e.Request.At - at) })
		seen, fine := 0, 0
		for i := first; i < len(ends) && ends[i].Request.At < from+minute; i++ {
			if ends[i].Request.Poison {
				continue
			}
			if seen++; well[i] {
				fine++
			}
		}
		if seen > 0 && float64(fine) >= share*float64(seen) {
			return from - end
		}
	}
	return -1
}

// sick says whether the primary was failing half of its calls or more by plan,
// or has had too much to do within the last half minute.
func (t *Trace) sick(at time.Duration) bool {
	if t.primary.failing(at) >= 0.5 {
		return true
	}
	for _, c := range t.primary.calls {
		if c.Crowded && c.At <= at && at-c.At < time.Minute {
			return true
		}
	}
	return false
}
