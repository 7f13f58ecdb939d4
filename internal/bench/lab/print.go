package lab

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes the rows for people, and where a system is beaten: another one
// answers as many requests in full with fewer calls, or more with no more.
func Print(w io.Writer, rows []Row) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for _, r := range rows {
		if r.Scenario != last {
			last = r.Scenario
			fmt.Fprintf(out, "\n%s\tfull %%\tdegraded %%\tcalls/request\tfutile\tp50 s\tp99 s\tp99.9 s\tlongest s\tback min\tprimary min\tfalse openings\t429s\tmost calls\n", r.Scenario)
		}
		f := r.fields()
		fmt.Fprintf(out, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.System, f[3], f[4], f[10], f[11], f[6], f[7], f[8], f[9], f[12], f[13], f[14], f[15], f[16])
	}
	_ = out.Flush()
	fmt.Fprintln(w)
	for _, r := range rows {
		for _, o := range Beaten(r, rows) {
			if isOurs(r) {
				fmt.Fprintf(w, "%s: %s is beaten by %s (%.3f %% with %.4f calls a request, against %.3f %% with %.4f)\n",
					r.Scenario, r.System, o.System, o.Full, o.CallsPerRequest, r.Full, r.CallsPerRequest)
			}
		}
	}
}

// Beaten returns the rows of the same scenario that answer at least as many
// requests in full as r with at most as many calls, and one of the two better.
func Beaten(r Row, rows []Row) (by []Row) {
	for _, o := range rows {
		if o.Scenario == r.Scenario && o.System != r.System && o.Full >= r.Full && o.CallsPerRequest <= r.CallsPerRequest &&
			(o.Full > r.Full || o.CallsPerRequest < r.CallsPerRequest) {
			by = append(by, o)
		}
	}
	return by
}
