package middleware

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Explanation says what a chain will do: its layers, outermost first, and the
// worst that one call can cost.
type Explanation struct {
	Agent string
	Rows  []ExplainRow
	// Calls is the most agents one call can ask, stand-ins included; Rungs the
	// most reduced answers it can try after that; Questions the most often a
	// person is asked, each of which may have all of it done again.
	Calls, Rungs, Questions int
	// Time is the longest one call can take without a person, if Bounded: a
	// chain without Timeout and Deadline has no bound but its caller's.
	// TimeAsked is the same if providers ask for the longest waits allowed.
	Bounded         bool
	Time, TimeAsked time.Duration
	// Notes are what a reader should know, such as a stand-in without a
	// breaker of its own.
	Notes []string
}

// ExplainRow is one layer: its stage, and what it will do.
type ExplainRow struct {
	Stage Stage
	Text  string
}

// Explain describes the chain as it stands now: stand-ins that are looked up
// are looked up.
func (g *Guarded[Req, Resp]) Explain() Explanation {
	e := Explanation{Agent: g.scope.name, Calls: 1}
	s := &g.settings
	row := func(stage Stage, format string, args ...any) {
		e.Rows = append(e.Rows, ExplainRow{stage, fmt.Sprintf(format, args...)})
	}
	standIns := g.standIns()
	worst := worst{attempt: s.timeout}

	row(StageObserve, "%s", count(len(s.observers), "observer"))
	if i := s.intervention; i != nil {
		e.Questions = i.rounds()
		row(StageIntervene, "asks a person, up to %s, %v each; silence: %s", count(i.rounds(), "time"), i.deadline(), i.Default.Action)
	}
	if len(g.rungs) > 0 {
		e.Rungs = len(g.rungs)
		row(StageDegrade, "%s", g.describeRungs())
		if s.ladder != nil {
			e.Rows[len(e.Rows)-1].Text += "; " + s.ladder.String()
		}
	}
	if s.deadline > 0 {
		text := fmt.Sprintf("%v for all agents together", s.deadline)
		if s.reserve > 0 {
			text += fmt.Sprintf(", and %v before the caller's own", s.reserve)
		}
		row(StageDeadline, "%s", text)
	}
	if len(standIns) > 0 || s.given["FallbackFrom"] {
		names := make([]string, len(standIns))
		for i, c := range standIns {
			names[i] = c.Name
		}
		e.Calls += len(names)
		row(StageFallback, "then asks: %s", orNone(strings.Join(names, ", ")))
	}
	if s.retry != nil {
		e.Calls += s.retry.PerCallMax()
		worst.retries, worst.delays, worst.asked = s.retry.PerCallMax(), s.retry.Worst(false).Plain, s.retry.Worst(false).Asked
		row(StageRetry, "%s", s.retry)
	}
	if s.breaker != nil {
		row(StageBreaker, "%s", s.breaker)
	}
	if s.bulkhead != nil {
		worst.wait = s.bulkhead.MaxWait
		row(StageBulkhead, "%s", s.bulkhead)
	}
	if s.after != "" {
		e.Notes = append(e.Notes, s.after)
	}
	if s.timeout > 0 || s.idle > 0 {
		text := fmt.Sprintf("%v an attempt", s.timeout)
		if s.after != "" {
			text = fmt.Sprintf("%s until the first chunk, %s between chunks", orNoLimit(s.timeout), orNoLimit(s.idle))
		}
		if s.hard {
			text += fmt.Sprintf(", on time even if the agent is deaf; at most %d left behind", s.abandoned)
		}
		row(StageTimeout, "%s", text)
	} else {
		e.Notes = append(e.Notes, "no Timeout: an attempt may take as long as the caller waits")
	}
	if s.given["Validate"] {
		row(StageValidate, "a refused answer is retried at most twice")
	}
	row(StageRecover, "a panic becomes an error")
	row(StageAgent, "%s", g.scope.name)
	var others, reduced []*scope
	for _, c := range standIns {
		who, _ := c.who.(*scope)
		others = append(others, who)
	}
	for _, r := range g.rungs {
		_, who := standIn(r.Runner)
		reduced = append(reduced, who)
	}
	e.Bounded, e.Time, e.TimeAsked = worst.total(s.deadline, others, reduced)
	if s.after != "" && !s.buffered {
		// A stream that speaks may go on until the deadline, and a rung's on and on.
		e.Bounded = s.deadline > 0 && e.Rungs == 0
		e.Time, e.TimeAsked = s.deadline, s.deadline
	}
	e.Calls, e.Rungs = e.Calls*(1+s.follows), e.Rungs*(1+s.follows)
	if s.breaker == nil {
		e.Notes = append(e.Notes, "no CircuitBreaker: an agent that is down is called every time")
	}
	return e
}

func (g *Guarded[Req, Resp]) describeRungs() string {
	var names []string
	for _, level := range strategies.Levels() {
		for _, r := range g.rungs {
			if r.Level == level {
				names = append(names, level.String())
			}
		}
	}
	return "then answers: " + strings.Join(names, ", ")
}

// worst adds up what one call can take.
type worst struct {
	attempt, wait time.Duration
	retries       int
	delays, asked time.Duration
}

func (w worst) total(deadline time.Duration, standIns, rungs []*scope) (bounded bool, plain, asked time.Duration) {
	others, known := w.once(standIns)
	reduced, answered := w.once(rungs)
	known = known && w.attempt > 0
	if !known && deadline == 0 {
		return false, 0, 0
	}
	own := times(saturate(w.attempt, w.wait), 1+w.retries)
	sum := func(delays time.Duration) time.Duration {
		t := saturate(saturate(own, others), delays)
		if deadline > 0 && (!known || t > deadline) {
			t = deadline
		}
		return saturate(t, reduced)
	}
	return answered, sum(w.delays), sum(w.asked)
}

// once adds up one attempt of each: a guarded one has a bound of its own, or
// none, and any other has ours.
func (w worst) once(all []*scope) (sum time.Duration, bounded bool) {
	for _, s := range all {
		d := w.attempt
		if s != nil {
			d = s.longest
		}
		if d == 0 {
			return 0, false
		}
		sum = saturate(sum, d)
	}
	return sum, true
}

func saturate(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func times(d time.Duration, n int) time.Duration {
	if n > 0 && d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return d * time.Duration(n)
}

// String draws the nesting, and adds up the worst case.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: retry, then fallback, then degradation, then user intervention\n\n", e.Agent)
	for i, r := range e.Rows {
		name := strings.Repeat("  ", i) + r.Stage.String()
		fmt.Fprintf(&b, "  %-32s %s\n", name, r.Text)
	}
	fmt.Fprintf(&b, "\nworst case of one call: %s\n", e.worst())
	for _, n := range e.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func (e Explanation) worst() string {
	s := count(e.Calls, "call")
	if e.Rungs > 0 {
		s += ", " + count(e.Rungs, "rung")
	}
	switch {
	case !e.Bounded:
		s += ", no bound on time but the caller's"
	case e.TimeAsked > e.Time:
		s += fmt.Sprintf(", %v (%v if providers ask for the longest waits)", e.Time, e.TimeAsked)
	default:
		s += fmt.Sprintf(", %v", e.Time)
	}
	if e.Questions > 0 {
		s += fmt.Sprintf("; then %s to a person", count(e.Questions, "question"))
	}
	return s
}

// Mermaid draws the same as a Mermaid flow chart.
func (e Explanation) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n  caller([caller])")
	for _, r := range e.Rows {
		fmt.Fprintf(&b, " --> %s\n  %s[\"%s<br/>%s\"]", r.Stage, r.Stage, r.Stage, escape(r.Text))
	}
	b.WriteString("\n")
	for _, r := range e.Rows {
		switch r.Stage {
		case StageFallback:
			b.WriteString("  fallback -. spent .-> standins([stand-ins])\n")
		case StageDegrade:
			b.WriteString("  degrade -. nobody could .-> rungs([reduced answers])\n")
		case StageIntervene:
			b.WriteString("  intervene -. nothing helped .-> person([a person])\n")
		}
	}
	return b.String()
}

// escape keeps a name from ending the label it stands in.
func escape(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "\n", " ", "<", "#lt;", ">", "#gt;").Replace(s)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func orNoLimit(d time.Duration) string {
	if d == 0 {
		return "no limit"
	}
	return d.String()
}

func orNone(s string) string {
	if s == "" {
		return "nobody yet"
	}
	return s
}
