package house_test

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the documentation from bench-results")

// The tables of the documentation are made from the committed results, so words
// and numbers cannot disagree. After `make lab` or `make bench`:
//
//	go test ./internal/house -run Results -update
func TestResultsInTheDocs(t *testing.T) {
	for name, made := range map[string]struct {
		page, results string
		table         func([]row) string
	}{
		"lab":      {"docs/saves.md", "lab", labTable},
		"overhead": {"docs/cost.md", "overhead", overheadTable},
		"short":    {"README.md", "overhead", shortTable},
	} {
		page := read(t, made.page)
		begin, end := "<!-- table: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, ok := strings.Cut(page, begin)
		shown, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s has no table %q between its markers", made.page, name)
			continue
		}
		want := made.table(results(t, "bench-results/"+made.results+".csv"))
		if *update {
			page = before + begin + want + end + after
			if err := os.WriteFile(filepath.Join("..", "..", made.page), []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if shown != want {
			t.Errorf("%s does not show what bench-results/%s.csv says; run `go test ./internal/house -run Results -update`", made.page, made.results)
		}
	}
}

// row is one line of a result file, by column.
type row map[string]string

func (r row) number(column string) float64 {
	n, err := strconv.ParseFloat(r[column], 64)
	if err != nil {
		panic(fmt.Sprintf("column %s of %v: %v", column, r, err))
	}
	return n
}

func results(t *testing.T, path string) []row {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(read(t, path))).ReadAll()
	if err != nil || len(lines) < 2 {
		t.Fatalf("%s: %d lines, %v", path, len(lines), err)
	}
	rows := make([]row, len(lines)-1)
	for i, line := range lines[1:] {
		rows[i] = row{}
		for j, column := range lines[0] {
			rows[i][column] = line[j]
		}
	}
	return rows
}

// values returns what a column holds, each once, in the order of the file.
func values(rows []row, column string) (all []string) {
	for _, r := range rows {
		if !slices.Contains(all, r[column]) {
			all = append(all, r[column])
		}
	}
	return all
}

func find(rows []row, key, value, system string) (row, bool) {
	i := slices.IndexFunc(rows, func(r row) bool { return r[key] == value && r["system"] == system })
	if i < 0 {
		return nil, false
	}
	return rows[i], true
}

func labTable(rows []row) string {
	systems := []string{"none", "retry-go", "retry-go+gobreaker", "failsafe-go", "understudy"}
	var b strings.Builder
	b.WriteString("| answered in full · calls a request | no recovery | retry-go | + gobreaker, by hand | failsafe-go | Understudy |\n|---|---|---|---|---|---|\n")
	var lost []string
	for _, scenario := range values(rows, "scenario") {
		ours, _ := find(rows, "scenario", scenario, "understudy")
		b.WriteString("| " + scenario)
		for _, system := range systems {
			r, ok := find(rows, "scenario", scenario, system)
			if !ok {
				b.WriteString(" | ")
				continue
			}
			fmt.Fprintf(&b, " | %.1f %% · %.3f", r.number("full_pct"), r.number("calls_per_request"))
			if system != "understudy" && r.number("full_pct") > ours.number("full_pct") {
				lost = append(lost, fmt.Sprintf("%s answers more in %s (%s %% against %s %%, with %s calls a request against %s)", system, scenario,
					r["full_pct"], ours["full_pct"], r["calls_per_request"], ours["calls_per_request"]))
			}
		}
		b.WriteString(" |\n")
	}
	return b.String() + "\nWhere another answers more than we do: " + orNobody(lost) + ".\n"
}

// shortTable is the few rows of the front page: those that we lose among them.
func shortTable(rows []row) string {
	var few []row
	for _, r := range rows {
		switch r["case"] {
		case "full chain", "full chain+timeout", "one retry, then success", "breaker open", "breaker open, stand-in answers":
			few = append(few, r)
		}
	}
	table, _, _ := strings.Cut(overheadTable(few), "\n\n")
	return table + "\n"
}

func overheadTable(rows []row) string {
	var b strings.Builder
	systems := []string{"gobreaker", "retry-go+gobreaker", "failsafe-go", "fortify", "understudy"}
	b.WriteString("| ns a call (allocations) | gobreaker alone | retry-go + gobreaker, by hand | failsafe-go | fortify | Understudy |\n|---" + strings.Repeat("|---", len(systems)) + "|\n")
	var lost []string
	for _, c := range values(rows, "case") {
		ours, ok := find(rows, "case", c, "understudy")
		if !ok {
			continue
		}
		b.WriteString("| " + c)
		for _, system := range systems {
			r, ok := find(rows, "case", c, system)
			if !ok {
				b.WriteString(" | ")
				continue
			}
			fmt.Fprintf(&b, " | %.0f (%s)", r.number("ns_op"), r["allocs_op"])
			if system != "understudy" && r.number("ns_op") < ours.number("ns_op") {
				lost = append(lost, fmt.Sprintf("%s in %s (%.0f ns against %.0f)", system, c, r.number("ns_op"), ours.number("ns_op")))
			}
		}
		b.WriteString(" |\n")
	}
	return b.String() + "\nFaster than we are: " + orNobody(lost) + ".\n"
}

func orNobody(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, "; ")
}
