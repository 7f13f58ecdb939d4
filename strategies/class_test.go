package strategies_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

// classTable is the class table of the design, written down a second time so
// that no row changes by accident.
var classTable = []struct {
	class                                      strategies.Class
	name                                       string
	retry, fallback, degrade, intervene, trips bool
	maxRetries                                 int
	is                                         string // pass, final, counted, refused, holds, loud: by their first letters; n: free, w: renew
}{
	{strategies.ClassTransient, "transient", true, true, true, true, true, 0, "c"},
	{strategies.ClassTimeout, "timeout", true, true, true, true, true, 0, "c"},
	{strategies.ClassRateLimited, "rate_limited", true, true, true, true, false, 0, "ch"},
	{strategies.ClassOverloaded, "overloaded", true, true, true, true, true, 0, "c"},
	{strategies.ClassQuotaExhausted, "quota_exhausted", false, true, true, true, false, 0, "ch"},
	{strategies.ClassContextOverflow, "context_overflow", false, true, true, true, false, 0, "c"},
	{strategies.ClassBlocked, "blocked", false, false, true, true, false, 0, "c"},
	{strategies.ClassInvalidAnswer, "invalid_answer", true, true, true, true, false, 2, "c"},
	{strategies.ClassUnauthorized, "unauthorized", false, true, true, true, true, 0, "clw"},
	{strategies.ClassNotFound, "not_found", false, true, true, true, true, 0, "cl"},
	{strategies.ClassBadRequest, "bad_request", false, true, false, false, false, 0, ""},
	{strategies.ClassUncertain, "uncertain", false, false, false, true, false, 0, "cl"},
	{strategies.ClassUnrecoverable, "unrecoverable", false, false, false, true, false, 0, "cl"},
	{strategies.ClassPanic, "panic", false, true, true, true, true, 0, "c"},
	{strategies.ClassRejected, "rejected", false, true, true, true, false, 0, "cr"},
	{strategies.ClassInterrupt, "interrupt", false, false, false, false, false, 0, "p"},
	{strategies.ClassCutOff, "cut_off", false, false, false, false, false, 0, "fc"},
	{strategies.ClassCanceled, "canceled", false, false, false, false, false, 0, ""},
	{strategies.ClassStalled, "stalled", true, true, true, true, false, 0, "n"},
	{strategies.ClassOverLimit, "over_limit", false, true, true, true, false, 0, "r"},
}

func TestVerdictOf(t *testing.T) {
	for _, row := range classTable {
		t.Run("it gives "+row.name+" its row of the table", func(t *testing.T) {
			want := strategies.Verdict{
				Class: row.class, Retry: row.retry, Fallback: row.fallback, Degrade: row.degrade,
				Intervene: row.intervene, Trips: row.trips, MaxRetries: row.maxRetries,
				Pass: strings.Contains(row.is, "p"), Final: strings.Contains(row.is, "f"), Counted: strings.Contains(row.is, "c"),
				Refused: strings.Contains(row.is, "r"), Holds: strings.Contains(row.is, "h"), Loud: strings.Contains(row.is, "l"), Free: strings.Contains(row.is, "n"), Renew: strings.Contains(row.is, "w"),
			}
			if got := strategies.VerdictOf(row.class); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
	t.Run("it judges a class that is none as transient", func(t *testing.T) {
		for _, c := range []strategies.Class{strategies.ClassUnclassified, 99, 255} {
			if got := strategies.VerdictOf(c); got != strategies.VerdictOf(strategies.ClassTransient) {
				t.Errorf("VerdictOf(%d) = %+v", c, got)
			}
		}
	})
}

// The package doc draws the same table.
func TestTheTableInTheDoc(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	yes := map[bool]string{true: "yes", false: "-"}
	for _, row := range classTable {
		retry, trips := yes[row.retry], yes[row.trips]
		if row.maxRetries > 0 {
			retry = fmt.Sprint(row.maxRetries, " at most")
		}
		if row.class == strategies.ClassCutOff || row.class == strategies.ClassUncertain {
			trips = "if its cause does"
		}
		want := fmt.Sprintf("//\t%-16s %-10s %-8s %-7s %-6s %s\n", row.name, retry, yes[row.fallback], yes[row.degrade], yes[row.intervene], trips)
		if !strings.Contains(string(source), want) {
			t.Errorf("doc.go lacks the line %q", want)
		}
	}
}

func TestClasses(t *testing.T) {
	t.Run("it lists every class once, in the order of the table, and never Unclassified", func(t *testing.T) {
		all := strategies.Classes()
		if len(all) != len(classTable) {
			t.Fatalf("%d classes, the table has %d", len(all), len(classTable))
		}
		for i, row := range classTable {
			if all[i] != row.class {
				t.Errorf("entry %d is %v, want %v", i, all[i], row.class)
			}
		}
	})
	t.Run("it gives every caller a slice of its own", func(t *testing.T) {
		strategies.Classes()[0] = strategies.ClassCanceled
		if got := strategies.Classes()[0]; got != strategies.ClassTransient {
			t.Errorf("a caller has changed the list: %v", got)
		}
	})
}

// Names are a contract: they are in logs, metrics and dashboards.
func TestNames(t *testing.T) {
	for _, row := range classTable {
		if got := row.class.String(); got != row.name {
			t.Errorf("class %d is called %q, want %q", row.class, got, row.name)
		}
	}
	for _, tt := range []struct {
		got  interface{ String() string }
		want string
	}{
		{strategies.ClassUnclassified, "unclassified"},
		{strategies.Class(200), "unknown"},

		{strategies.StrategyNone, "none"},
		{strategies.StrategyRetry, "retry"},
		{strategies.StrategyFallback, "fallback"},
		{strategies.StrategyDegradation, "degradation"},
		{strategies.StrategyUserIntervention, "user_intervention"},
		{strategies.Strategy(200), "unknown"},

		{strategies.LevelFull, "full"},
		{strategies.LevelReduced, "reduced"},
		{strategies.LevelMinimal, "minimal"},
		{strategies.LevelEmergency, "emergency"},
		{strategies.Level(200), "unknown"},

		{strategies.StateClosed, "closed"},
		{strategies.StateHalfOpen, "half-open"},
		{strategies.StateOpen, "open"},
		{strategies.StateIsolated, "isolated"},
		{strategies.StateHeld, "held"},
		{strategies.State(200), "unknown"},

		{strategies.ActionAbort, "abort"},
		{strategies.ActionRetryNow, "retry"},
		{strategies.ActionAnswer, "answer"},
		{strategies.ActionUseAgent, "use agent"},
		{strategies.Action(200), "unknown"},

		{strategies.AllowancePerCall, "per_call"},
		{strategies.AllowancePerAgent, "per_agent"},
		{strategies.Allowance(200), "unknown"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%T(%d) is called %q, want %q", tt.got, tt.got, got, tt.want)
		}
	}
}
