package overhead

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The picture's measures, and the times at its edges.
const (
	plotLeft, plotWide = 230.0, 620.0
	plotTop, linePitch = 56.0, 20.0
	fastest, slowest   = 1.0, 100_000.0 // ns
)

const style = `
  svg { color: #1f2328; background: #ffffff; font: 12px system-ui, sans-serif }
  text { fill: currentColor } .soft { opacity: .65 } .axis { stroke: currentColor; stroke-opacity: .15 }
  .bare { fill: currentColor; fill-opacity: .25 } .peer { fill: currentColor; fill-opacity: .5 } .ours { fill: #0969da }
  .less { fill: none; stroke: #0969da }
  @media (prefers-color-scheme: dark) { svg { color: #e6edf3; background: #0d1117 } .ours { fill: #58a6ff } .less { stroke: #58a6ff } }
`

// WriteSVG draws a line for each case, with a mark for each system where its time
// stands on a logarithmic scale. Further to the left is better.
func WriteSVG(w io.Writer, rows []Row) error {
	var cases []string
	for _, r := range rows {
		if !slices.Contains(cases, r.Case) {
			cases = append(cases, r.Case)
		}
	}
	var s strings.Builder
	wide, bottom := plotLeft+plotWide+20, plotTop+linePitch*float64(len(cases))
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n", wide, bottom+12, wide, bottom+12)
	fmt.Fprintf(&s, "<title>Time of a call, by case and system</title>\n<style>%s</style>\n", style)
	fmt.Fprintf(&s, `<text x="10" y="18"><tspan class="soft">a call takes: </tspan>%s</text>`+"\n", legend)
	for ns := fastest; ns <= slowest; ns *= 10 {
		fmt.Fprintf(&s, `<path class="axis" d="M%.1f %.0fV%.0f"/><text class="soft" text-anchor="middle" x="%.1f" y="%.0f">%s</text>`+"\n", x(ns), plotTop-12, bottom, x(ns), plotTop-18, inWords(ns))
	}
	for i, name := range cases {
		y := plotTop + linePitch*(float64(i)+0.5)
		fmt.Fprintf(&s, `<text text-anchor="end" x="%.0f" y="%.1f">%s</text><path class="axis" d="M%.0f %.1fH%.0f"/>`+"\n", plotLeft-10, y+4, escape(name), plotLeft, y, plotLeft+plotWide)
		for _, oursToo := range []bool{false, true} { // ours on top
			for _, r := range rows {
				if r.Case == name && (r.System == Ours) == oursToo {
					fmt.Fprintf(&s, `<circle class="%s" cx="%.1f" cy="%.1f" r="4.5"><title>%s: %.0f ns, %d allocations</title></circle>`+"\n", mark(r.System), x(r.Nanos), y, escape(r.System), r.Nanos, r.Allocs)
				}
			}
		}
	}
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}

const legend = `<tspan fill-opacity=".25">● nothing</tspan>   <tspan fill-opacity=".5">● peers</tspan>   <tspan class="ours">● Understudy</tspan>   <tspan class="ours">○ without what the line is about</tspan>`

func mark(system string) string {
	switch {
	case system == Bare:
		return "bare"
	case system == Ours:
		return "ours"
	case strings.HasPrefix(system, Ours):
		return "less"
	default:
		return "peer"
	}
}

func x(ns float64) float64 {
	return plotLeft + plotWide*math.Log(min(max(ns, fastest), slowest)/fastest)/math.Log(slowest/fastest)
}

func inWords(ns float64) string {
	if ns >= 1000 {
		return fmt.Sprintf("%.0f µs", ns/1000)
	}
	return fmt.Sprintf("%.0f ns", ns)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
