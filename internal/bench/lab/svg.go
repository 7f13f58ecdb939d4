package lab

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A chart's measures. Marks stand on the left, their labels in a list on the
// right, so that no two overlap however close the marks are.
const (
	chartWide, chartHigh  = 340.0, 196.0
	plotLeft, plotTop     = 52.0, 44.0
	plotWide, plotHigh    = 130.0, 118.0
	labelLeft, labelPitch = 208.0, 17.0
	chartsInRow           = 3
)

const style = `
  svg { color: #1f2328; background: #ffffff; font: 11px system-ui, sans-serif }
  text { fill: currentColor } .name { font-weight: 600; font-size: 13px } .soft { opacity: .65 }
  .axis { stroke: currentColor; stroke-opacity: .3 } .lead { stroke: currentColor; stroke-opacity: .3; fill: none }
  .mark { fill: currentColor; fill-opacity: .55 } .ours { fill: #0969da; fill-opacity: 1 } text.ours { font-weight: 600 }
  @media (prefers-color-scheme: dark) { svg { color: #e6edf3; background: #0d1117 } .ours { fill: #58a6ff } }
`

// WriteSVG draws a small chart for each scenario: requests answered in full,
// against calls per request, a mark a system. Up and to the left is better.
func WriteSVG(w io.Writer, rows []Row) error {
	var groups [][]Row
	for _, r := range rows {
		if n := len(groups); n == 0 || groups[n-1][0].Scenario != r.Scenario {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], r)
	}
	var s strings.Builder
	wide := chartWide * float64(min(len(groups), chartsInRow))
	high := chartHigh*math.Ceil(float64(len(groups))/chartsInRow) + 30
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n", wide, high, wide, high)
	fmt.Fprintf(&s, "<title>Requests answered in full, against calls per request</title>\n<style>%s</style>\n", style)
	fmt.Fprintf(&s, `<text class="soft" x="%.0f" y="18">%% of requests answered in full, against calls per request: up and to the left is better</text>`+"\n", plotLeft)
	for i, group := range groups {
		fmt.Fprintf(&s, `<g transform="translate(%.0f %.0f)">`+"\n", float64(i%chartsInRow)*chartWide, 24+float64(i/chartsInRow)*chartHigh)
		chart(&s, group)
		s.WriteString("</g>\n")
	}
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}

func chart(s *strings.Builder, rows []Row) {
	left, right := span(rows, func(r Row) float64 { return r.CallsPerRequest }, 0.02)
	low, high := span(rows, func(r Row) float64 { return r.Full }, 2)
	high = min(high, 100)
	x := func(r Row) float64 { return plotLeft + 8 + (plotWide-16)*(r.CallsPerRequest-left)/(right-left) }
	y := func(r Row) float64 { return plotTop + 8 + (plotHigh-16)*(high-r.Full)/(high-low) }
	fmt.Fprintf(s, `<text class="name" x="%.0f" y="30">%s</text>`+"\n", plotLeft, escape(rows[0].Scenario))
	bottom := plotTop + plotHigh
	fmt.Fprintf(s, `<path class="axis" fill="none" d="M%.0f %.0fV%.0fH%.0f"/>`+"\n", plotLeft, plotTop, bottom, plotLeft+plotWide)
	for _, tick := range []float64{low, high} {
		fmt.Fprintf(s, `<text class="soft" text-anchor="end" x="%.0f" y="%.1f">%s %%</text>`+"\n", plotLeft-5, y(Row{Full: tick})+4, trim(tick, 1))
	}
	for _, tick := range []float64{left, right} {
		fmt.Fprintf(s, `<text class="soft" text-anchor="middle" x="%.1f" y="%.0f">%s</text>`+"\n", x(Row{CallsPerRequest: tick}), bottom+15, trim(tick, 2))
	}
	// The labels are sorted as the marks stand, so that few leaders cross.
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, func(a, b Row) int {
		return cmp.Or(cmp.Compare(math.Round(y(a)), math.Round(y(b))), cmp.Compare(x(b), x(a)))
	})
	for i, r := range sorted {
		ly := plotTop + 8 + labelPitch*float64(i)
		fmt.Fprintf(s, `<path class="lead" d="M%.1f %.1fL%.0f %.1fH%.0f"/>`+"\n", x(r), y(r), labelLeft-14, ly, labelLeft-3)
	}
	for _, oursToo := range []bool{false, true} { // ours on top
		for i, r := range sorted {
			mark, label := "mark", ""
			if isOurs(r) != oursToo {
				continue
			}
			if oursToo {
				mark, label = "ours", ` class="ours"`
			}
			fmt.Fprintf(s, `<circle class="%s" cx="%.1f" cy="%.1f" r="4"><title>%s: %.3f %% in full, %.4f calls per request</title></circle>`+"\n",
				mark, x(r), y(r), escape(r.System), r.Full, r.CallsPerRequest)
			fmt.Fprintf(s, `<text%s x="%.0f" y="%.1f">%s</text>`+"\n", label, labelLeft, plotTop+12+labelPitch*float64(i), escape(r.System))
		}
	}
}

func isOurs(r Row) bool { return strings.HasPrefix(r.System, "understudy") }

// span is from the least to the most of a number, and at least so wide.
func span(rows []Row, of func(Row) float64, least float64) (low, high float64) {
	low, high = of(rows[0]), of(rows[0])
	for _, r := range rows {
		low, high = min(low, of(r)), max(high, of(r))
	}
	if gap := least - (high - low); gap > 0 {
		low, high = low-gap/2, high+gap/2
	}
	return low, high
}

func trim(v float64, digits int) string {
	return strings.TrimSuffix(fmt.Sprintf("%.*f", digits, v), "."+strings.Repeat("0", digits))
}

func escape(text string) string {
	var s strings.Builder
	_ = xml.EscapeText(&s, []byte(text)) // a Builder takes everything
	return s.String()
}
