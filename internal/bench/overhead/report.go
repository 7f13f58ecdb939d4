package overhead

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Columns are those of the CSV.
var Columns = []string{"case", "system", "ns_op", "b_op", "allocs_op", "ratio_to_bare_breaker"}

// WriteCSV writes a line a row. A case without a bare breaker has no ratio.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	_ = out.Write(Columns) // an error stays, and Error returns it
	for _, r := range rows {
		_ = out.Write(r.fields())
	}
	out.Flush()
	return out.Error()
}

func (r Row) fields() []string {
	ratio := ""
	if r.Ratio > 0 {
		ratio = strconv.FormatFloat(r.Ratio, 'f', 2, 64)
	}
	return []string{
		r.Case, r.System, strconv.FormatFloat(r.Nanos, 'f', 1, 64),
		strconv.FormatInt(r.Bytes, 10), strconv.FormatInt(r.Allocs, 10), ratio,
	}
}

// Print writes the rows as a table for people, and the rows we lose.
func Print(w io.Writer, cases []Case, rows []Row) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	does := map[string]string{}
	for _, c := range cases {
		does[c.Name] = c.Does
	}
	last := ""
	for _, r := range rows {
		if r.Case != last {
			last = r.Case
			_ = out.Flush()
			fmt.Fprintf(w, "\n%s: %s\n", r.Case, does[r.Case])
			fmt.Fprintln(out, "system\tns/op\tB/op\tallocs/op\tratio\t")
		}
		fmt.Fprintln(out, strings.Join(r.fields()[1:], "\t")+"\t")
	}
	_ = out.Flush()
	fmt.Fprintln(w, "\nrows we lose:")
	lost := Lost(rows)
	for _, l := range lost {
		fmt.Fprintf(w, "  %s: %s takes %.1f ns, we take %.1f (%.2f times as long)\n", l.Peer.Case, l.Peer.System, l.Peer.Nanos, l.Ours.Nanos, l.Ours.Nanos/l.Peer.Nanos)
	}
	if len(lost) == 0 {
		fmt.Fprintln(w, "  none")
	}
}

// Loss is a case in which a peer is faster than we are.
type Loss struct{ Peer, Ours Row }

// Lost returns every row that is faster than ours of its case. The bare call is
// no peer: nothing is faster than doing nothing.
func Lost(rows []Row) (lost []Loss) {
	own := map[string]Row{}
	for _, r := range rows {
		if r.System == Ours {
			own[r.Case] = r
		}
	}
	for _, r := range rows {
		o, ok := own[r.Case]
		if ok && r.System != Bare && !strings.HasPrefix(r.System, Ours) && r.Nanos < o.Nanos {
			lost = append(lost, Loss{Peer: r, Ours: o})
		}
	}
	return lost
}
