package main

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/examples/internal/golden"
)

func TestOutput(t *testing.T) {
	begin := time.Now()
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "output.txt", out.String())
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v, want less than 3s", took)
	}
	with, without, _ := strings.Cut(out.String(), "without one")
	if once, twice := strings.Count(with, "was paid 1 ("), strings.Count(without, "was paid 1 ("); once != len(day) || twice != 1 {
		t.Errorf("paid exactly once: %d orders with a journal, %d without; want all %d, and the calm one", once, twice, len(day))
	}
}
