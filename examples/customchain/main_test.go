package main

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/understudy-go/understudy/examples/internal/golden"
)

func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "output.txt", out.String())
	})
}
