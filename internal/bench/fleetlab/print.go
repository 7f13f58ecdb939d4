package fleetlab

import (
	"encoding/csv"
	"io"
	"strconv"
	"testing"
)

// Run lives through all days with all systems and fleets of these sizes, and hands out
// each row. The largest fleets take minutes, so they see the first day alone.
func Run(t *testing.T, sizes []int, each func(Row)) {
	t.Helper()
	for _, n := range sizes {
		for i, d := range Days() {
			for _, s := range Systems() {
				if s.most > 0 && n > s.most || i > 0 && (n < 10 || n > 100) {
					continue
				}
				each(Live(t, d, s, n))
			}
		}
	}
}

// WriteCSV writes a line a row.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"day", "system", "replicas", "calls_opening", "calls_outage", "back_s", "limited_calls", "waited_ms", "ops_rest", "ops_trouble"})
	for _, r := range rows {
		back := "never"
		if r.Back >= 0 {
			back = strconv.FormatFloat(r.Back.Seconds(), 'f', 1, 64)
		}
		_ = out.Write([]string{
			r.Day, r.System, strconv.Itoa(r.Replicas), strconv.Itoa(r.Opening), strconv.Itoa(r.Outage), back, strconv.Itoa(r.Limited),
			strconv.FormatInt(r.Waited.Milliseconds(), 10), strconv.FormatFloat(r.Rest, 'f', 3, 64), strconv.FormatFloat(r.Trouble, 'f', 3, 64),
		})
	}
	out.Flush()
	return out.Error()
}
