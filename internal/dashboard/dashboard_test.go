package dashboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/prometheus"
	"github.com/understudy-go/understudy/strategies"
)

const file = "../../middleware/adapters/prometheus/grafana/understudy.json"

// target is one query, and where it stands.
type target struct{ panel, expr, legend string }

// board is the dashboard as Grafana reads it, as far as we look.
type board struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ Type, UID string }
		GridPos     struct{ H, W, X, Y int }
		FieldConfig struct {
			Defaults struct{ Unit string }
		}
		Targets []struct{ Expr, LegendFormat, RefID string }
	}
}

func read(t *testing.T) (b board, all []target) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			all = append(all, target{p.Title, q.Expr, q.LegendFormat})
		}
	}
	for _, v := range b.Templating.List {
		if v.Type == "query" {
			inner := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition)
			if inner == nil {
				t.Fatalf("the variable %s asks %q", v.Name, v.Definition)
			}
			all = append(all, target{"variable " + v.Name, "count by (" + inner[2] + ") (" + inner[1] + ")", ""})
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d queries", len(all))
	}
	return b, all
}

// plain is a query with Grafana's own variables set.
func plain(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$agent", ".*").Replace(expr)
}

// house is an exporter whose metrics all have a series, and something that happens.
func house(t *testing.T) (*sdk.Registry, func()) {
	t.Helper()
	var owners []*middleware.Owner
	e, err := prometheus.New(prometheus.Options{Agents: func() []*middleware.Owner { return owners }, Questions: func() int { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	registry := sdk.NewPedanticRegistry()
	registry.MustRegister(e)
	sick := func(_ context.Context, req string) (string, error) {
		if req == "well" {
			return "to be", nil
		}
		return "", errors.New("the agent is sick")
	}
	saves := func(_ context.Context, req string) (string, error) {
		if req == "saved" {
			return "or not", nil
		}
		return "", errors.New("sick too")
	}
	g, err := prometheus.Instrument(middleware.WrapFunc(sick).Named("bard").Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
		CircuitBreaker(&strategies.Breaker{Failures: 100}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2}).
		Pace(&strategies.Pace{RequestsPerMinute: 60_000, TokensPerMinute: 60_000}).Ladder(&strategies.Ladder{}).
		Fallback("sage", middleware.Func(saves)).Degrade(strategies.LevelReduced, middleware.Func(saves)).
		Intervene(middleware.Intervention{Deadline: time.Minute, Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			return strategies.Decision{}, nil
		})}), "bard", e).Build()
	if err != nil {
		t.Fatal(err)
	}
	owners = []*middleware.Owner{g.Owner()}
	return registry, func() {
		for _, req := range []string{"well", "saved", "nobody"} {
			_, _ = g.Run(context.Background(), req)
		}
		g.Owner().Breaker().Isolate()
		g.Owner().Breaker().Reset()
	}
}

// given is what the exporter gives: the labels of each metric, and their values.
func given(t *testing.T) map[string]map[string][]string {
	t.Helper()
	registry, play := house(t)
	play()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string][]string{}
	for _, f := range families {
		labels := map[string][]string{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		if f.GetType().String() != "HISTOGRAM" {
			all[f.GetName()] = labels
			continue
		}
		all[f.GetName()+"_count"], all[f.GetName()+"_sum"] = labels, labels
		all[f.GetName()+"_bucket"] = maps.Clone(labels)
		all[f.GetName()+"_bucket"]["le"] = nil
	}
	return all
}

// wrong says what a query asks for that the exporter does not give.
func wrong(expr string, metrics map[string]map[string][]string) (problems []string) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(plain(expr))
	if err != nil {
		return []string{err.Error()}
	}
	known := map[string]bool{} // labels of any metric in the query
	var grouped []string
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			labels, ok := metrics[n.Name]
			if !ok {
				problems = append(problems, "no metric is called "+n.Name)
				return nil
			}
			for name := range labels {
				known[name] = true
			}
			for _, m := range n.LabelMatchers {
				if m.Name == "__name__" {
					continue
				}
				values, ok := labels[m.Name]
				if !ok {
					problems = append(problems, n.Name+" has no label "+m.Name)
				} else if m.Type.String() == "=" && !slices.Contains(values, m.Value) {
					problems = append(problems, n.Name+"'s "+m.Name+" is never "+m.Value)
				}
			}
			if strings.HasSuffix(n.Name, "_total") || strings.HasSuffix(n.Name, "_count") || strings.HasSuffix(n.Name, "_bucket") {
				if !strings.Contains(expr, "rate(") && !strings.Contains(expr, "increase(") {
					problems = append(problems, n.Name+" is a counter: its rate is of use, not itself")
				}
			}
		case *parser.AggregateExpr:
			grouped = append(grouped, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				grouped = append(grouped, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	for _, g := range grouped {
		if !known[g] {
			problems = append(problems, "nothing in it has the label "+g)
		}
	}
	return problems
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	metrics := given(t)
	_, all := read(t)
	asked := map[string]bool{}
	for _, q := range all {
		for _, problem := range wrong(q.expr, metrics) {
			t.Errorf("%s: %s: %s", q.panel, q.expr, problem)
		}
		for name := range metrics {
			if strings.Contains(q.expr, name) {
				asked[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"), "_bucket")] = true
			}
		}
		for _, l := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.legend, -1) {
			if !regexp.MustCompile(`by \([^)]*\b` + l[1] + `\b`).MatchString(q.expr) {
				t.Errorf("%s: the legend names %s, which is not in what %s gives", q.panel, l[1], q.expr)
			}
		}
	}
	for name := range metrics {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"), "_bucket")
		switch base {
		case "understudy_breaker_shut_seconds", "understudy_level_pinned", "understudy_retries_spent", "understudy_others_answer", "understudy_pace_tokens_per_minute":
			continue // for alerts
		}
		if !asked[base] {
			t.Errorf("no panel shows %s", base)
		}
	}
}

// A check that never says no checks nothing.
func TestWrongQueriesAreSeen(t *testing.T) {
	metrics := given(t)
	for expr, want := range map[string]string{
		`sum by (agent) (rate(understudy_failures_total{agent=~"$agent"}[$__rate_interval]))`: "",
		`sum(rate(understudy_failure_total[1m]))`:                                             "no metric",
		`sum(rate(understudy_failures_total{model="x"}[1m]))`:                                 "no label model",
		`sum by (model) (rate(understudy_failures_total[1m]))`:                                "has the label model",
		`understudy_breaker_state{state="ajar"}`:                                              "is never ajar",
		`sum(understudy_failures_total)`:                                                      "is a counter",
		`sum(rate(understudy_failures_total[1m])`:                                             "unclosed",
	} {
		got := strings.Join(wrong(expr, metrics), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// What Grafana needs of a dashboard to import it, and people to read it.
func TestTheDashboardIsInOrder(t *testing.T) {
	b, _ := read(t)
	if b.Title == "" || b.UID == "" || b.SchemaVersion < 30 {
		t.Errorf("%+v", b)
	}
	ids, at := map[int]bool{}, map[[2]int]string{}
	for _, p := range b.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d, %q: an id stands once, and each has a title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := at[[2]int{x, y}]; other != "" || x > 23 {
					t.Fatalf("%q stands where %q does, or beyond the edge", p.Title, other)
				}
				at[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%q has no data source that can be chosen, no query, or no unit", p.Title)
		}
	}
}
