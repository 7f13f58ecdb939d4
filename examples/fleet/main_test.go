package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "" {
		os.Exit(m.Run())
	}
	if err := play(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// What is printed is what stands in testdata, but for the counts, which have bounds.
func TestOutput(t *testing.T) {
	began := time.Now()
	var out strings.Builder
	if err := play(t.Context(), &out); err != nil {
		t.Fatal(err, out.String())
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v, want less than 30s", took)
	}
	counted := regexp.MustCompile(`has (?:counted|refused) (\d+)`)
	want, err := os.ReadFile("testdata/output.txt")
	if err != nil {
		t.Fatal(err)
	}
	masked := func(s string) string { return counted.ReplaceAllString(s, "has counted some") }
	if masked(out.String()) != masked(string(want)) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	bounds := []struct {
		what        string
		least, most int
	}{
		{"calls until all are open", 5, 13},
		{"trials in two open times", 1, 3},
		{"refused calls", 1, 8},
		{"calls of two that are alone", 10, 16},
	}
	found := counted.FindAllStringSubmatch(out.String(), -1)
	if len(found) != len(bounds) {
		t.Fatalf("%d counts, want %d", len(found), len(bounds))
	}
	for i, b := range bounds {
		if n, _ := strconv.Atoi(found[i][1]); n < b.least || n > b.most {
			t.Errorf("%s: %d, want %d to %d", b.what, n, b.least, b.most)
		}
	}
}
