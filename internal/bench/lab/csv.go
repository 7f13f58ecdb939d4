package lab

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"
)

var columns = []string{
	"scenario", "system", "requests", "full_pct", "degraded_pct", "failed_pct",
	"p50_s", "p99_s", "p999_s", "longest_s", "calls_per_request", "futile_calls",
	"back_min", "primary_back_min", "false_openings",
	"limited_calls", "most_calls",
}

// WriteCSV writes a line a row. Times without an end of faults are empty;
// "never" is what it says.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	_ = out.Write(columns) // an error stays, and Error returns it
	for _, r := range rows {
		_ = out.Write(r.fields())
	}
	out.Flush()
	return out.Error()
}

func (r Row) fields() []string {
	number := func(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	seconds := func(d time.Duration) string { return number(d.Seconds(), 2) }
	until := func(d time.Duration) string {
		switch {
		case !r.HasEnd:
			return ""
		case d < 0:
			return "never"
		}
		return number(d.Minutes(), 2)
	}
	return []string{
		r.Scenario, r.System, strconv.Itoa(r.Requests), number(r.Full, 3), number(r.Degraded, 3), number(r.Failed, 3),
		seconds(r.P50), seconds(r.P99), seconds(r.P999), seconds(r.Max), number(r.CallsPerRequest, 4), strconv.Itoa(r.Futile),
		until(r.Back), until(r.Primary), strconv.Itoa(r.FalseOpenings),
		strconv.Itoa(r.Limited), strconv.Itoa(r.Most),
	}
}
