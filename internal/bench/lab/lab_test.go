package lab_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/bench/lab"
)

func shipped(t *testing.T, names ...string) []lab.Scenario {
	t.Helper()
	all, err := lab.Load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(s lab.Scenario) bool { return !slices.Contains(names, s.Name) })
}

func csvOf(t *testing.T, rows []lab.Row) string {
	t.Helper()
	var b strings.Builder
	if err := lab.WriteCSV(&b, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The short mode of the lab: the two days that are hardest to get right.
func TestShortLab(t *testing.T) {
	days := shipped(t, "brownout", "overload")
	rows := lab.Run(t, days, lab.Systems(), nil)
	if len(rows) != 2*len(lab.Systems()) {
		t.Fatalf("%d rows", len(rows))
	}
	peers := []string{"retry-go", "retry-go+gobreaker", "failsafe-go"}
	for _, r := range rows {
		if r.System != "understudy" {
			continue
		}
		for _, o := range lab.Beaten(r, rows) {
			if slices.Contains(peers, o.System) {
				t.Errorf("%s: %s answers %.3f %% with %.4f calls a request, we %.3f %% with %.4f", r.Scenario, o.System, o.Full, o.CallsPerRequest, r.Full, r.CallsPerRequest)
			}
		}
		if r.Scenario == "overload" && (r.Back < 0 || r.Back > 2*time.Minute || r.CallsPerRequest > 1.2) {
			t.Errorf("back %v after the overload, with %.4f calls a request", r.Back, r.CallsPerRequest)
		}
	}
	t.Run("it says the same as the results of make lab", func(t *testing.T) {
		committed, err := os.ReadFile("../../../bench-results/lab.csv")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(csvOf(t, rows)) {
			if !bytes.Contains(committed, []byte(line)) {
				t.Errorf("run make lab again: bench-results/lab.csv has no line %s", line)
			}
		}
	})
	t.Run("it draws a picture of it", func(t *testing.T) {
		var svg bytes.Buffer
		if err := lab.WriteSVG(&svg, rows); err != nil {
			t.Fatal(err)
		}
		marks := 0
		in := xml.NewDecoder(&svg)
		for {
			token, err := in.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("is no XML: %v", err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
				marks++
			}
		}
		if marks != len(rows) {
			t.Errorf("%d marks for %d rows", marks, len(rows))
		}
	})
}

func TestTheSameSeedGivesTheSameResults(t *testing.T) {
	days := shipped(t, "rate-limit", "overload")
	for i := range days {
		days[i].Length = lab.Duration(12 * time.Minute)
	}
	first := csvOf(t, lab.Run(t, days, lab.Systems(), nil))
	if again := csvOf(t, lab.Run(t, days, lab.Systems(), nil)); again != first {
		t.Errorf("once\n%s, and again\n%s", first, again)
	}
	for i := range days {
		days[i].Seed++
	}
	if other := csvOf(t, lab.Run(t, days[:1], lab.Systems()[:1], nil)); strings.Contains(first, strings.Split(other, "\n")[1]) {
		t.Error("another seed gives the same results")
	}
}
