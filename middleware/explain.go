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
	// Limits is the most that one call may cost, with all agents that it calls; zero: it
	// has no limits of its own.
	Limits strategies.UsageLimits
	// Notes are what a reader should know, such as a stand-in without a
	// breaker of its own.
	Notes []string
}

// ExplainRow is one layer: its stage, and what it will do.
type ExplainRow struct {
	Stage Stage
	Text  string
}

// explaining is an explanation in the making: what the parts have said so far.
type explaining struct {
	Explanation
	owner                   *Owner
	attempt, wait, deadline time.Duration
	retries                 int
	waits, more             strategies.RetryWaits // the agent's own, and those of stand-ins
	standIns, rungs         []*Owner              // nil: one without layers of its own
	substitute              bool                  // somebody else can answer meanwhile
	spoken                  bool                  // a stream that delivers as it comes
	follows                 int                   // a stream's continuations, at most
	breaker, timeout        bool
	twice                   bool // a hedge asks the agent itself once more
}

func (e *explaining) row(stage Stage, format string, args ...any) {
	e.Rows = append(e.Rows, ExplainRow{stage, fmt.Sprintf(format, args...)})
}

func (e *explaining) note(format string, args ...any) {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}

// Explain describes the agent's chain as it stands now, outermost layer first.
func (o *Owner) Explain() Explanation {
	o = o.latest()
	e := &explaining{Explanation: Explanation{Agent: o.name(), Calls: 1}, owner: o}
	watching := 0
	o.each(func(Observer) { watching++ })
	if watching > 0 {
		e.row(StageObserve, "%s", count(watching, "observer"))
	}
	for _, p := range o.chain() {
		switch p.stage() {
		case StageBreaker:
			e.breaker = true
		case StageTimeout:
			e.timeout = true
		}
		p.explain(e)
	}
	e.row(StageAgent, "%s", o.name())
	e.sum()
	if !e.timeout {
		e.note("no Timeout: an attempt may take as long as the caller waits")
	}
	if !e.breaker {
		e.note("no CircuitBreaker: an agent that is down is called every time")
	}
	return e.Explanation
}

// patient counts a stand-in that keeps its retries.
func (e *explaining) patient(o *Owner, policy *strategies.Retry) {
	n, waits := policy.PerCallMax(), policy.Worst(false)
	e.Calls += n
	for range n {
		e.standIns = append(e.standIns, o)
	}
	e.more.Plain, e.more.Asked = saturate(e.more.Plain, waits.Plain), saturate(e.more.Asked, waits.Asked)
}

// sum adds up what one call can take.
func (e *explaining) sum() {
	others, known := e.once(e.standIns)
	reduced, answered := e.once(e.rungs)
	known = known && e.attempt > 0
	if known || e.deadline > 0 {
		own := times(saturate(e.attempt, e.wait), 1+e.retries)
		if e.twice { // it may begin when the last attempt is about to end
			own = saturate(own, saturate(e.attempt, e.wait))
		}
		total := func(delays time.Duration) time.Duration {
			t := saturate(saturate(own, others), delays)
			if e.deadline > 0 && (!known || t > e.deadline) {
				t = e.deadline
			}
			return saturate(t, reduced)
		}
		e.Bounded, e.Time, e.TimeAsked = answered, total(saturate(e.waits.Plain, e.more.Plain)), total(saturate(e.waits.Asked, e.more.Asked))
	}
	if e.spoken {
		// A stream that speaks may go on until the deadline, and a rung's on and on.
		e.Bounded = e.deadline > 0 && e.Rungs == 0
		e.Time, e.TimeAsked = e.deadline, e.deadline
	}
	e.Calls, e.Rungs = e.Calls*(1+e.follows), e.Rungs*(1+e.follows)
	if most := e.Limits.Calls; most > 0 {
		e.Calls = min(e.Calls, most)
	}
}

// once adds up one attempt of each: a guarded one has a bound of its own, or
// none, and any other has ours.
func (e *explaining) once(all []*Owner) (sum time.Duration, bounded bool) {
	for _, o := range all {
		d := e.attempt
		if o != nil {
			d = o.latest().longest()
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
	fmt.Fprintf(&b, "%s: %s\n\n", e.Agent, e.order())
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

// order names the strategies that this chain has, in their order.
func (e Explanation) order() string {
	var names []string
	for _, s := range []struct {
		stage Stage
		how   strategies.Strategy
	}{
		{StageRetry, strategies.StrategyRetry}, {StageFallback, strategies.StrategyFallback},
		{StageDegrade, strategies.StrategyDegradation}, {StageIntervene, strategies.StrategyUserIntervention},
	} {
		for _, r := range e.Rows {
			if r.Stage == s.stage {
				names = append(names, strings.ReplaceAll(s.how.String(), "_", " "))
				break
			}
		}
	}
	if len(names) == 0 {
		return "no recovery: a failure goes to the caller"
	}
	return strings.Join(names, ", then ")
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
	if e.Limits != (strategies.UsageLimits{}) {
		s += fmt.Sprintf("; nothing begins after %s", e.Limits)
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
