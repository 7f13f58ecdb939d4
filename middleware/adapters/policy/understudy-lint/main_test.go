package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	right, wrong := "../testdata/right/override.yaml", "../testdata/wrong/unknown-field.yaml"
	schema := filepath.Join(t.TempDir(), "schema.json")
	for _, tc := range []struct {
		args         []string
		code         int
		out, problem string
	}{
		{[]string{right}, 0, "a: retry\n", ""},
		{[]string{"-q", right}, 0, "", ""},
		{[]string{wrong, right}, 1, "worst case of one call: 2 calls", `unknown-field.yaml:4:7: agents.a.circuit_breaker: has no field "failure": did you mean "failures"?`},
		{[]string{"missing.yaml"}, 1, "", "missing.yaml"},
		{nil, 2, "", "usage"},
		{[]string{"-colour"}, 2, "", "usage"},
		{[]string{"-schema", schema}, 0, "", ""},
		{[]string{"-schema", filepath.Join(schema, "x")}, 1, "", "schema.json"},
	} {
		var out, problems strings.Builder
		code := run(tc.args, &out, &problems)
		if code != tc.code || !strings.Contains(out.String(), tc.out) || !strings.Contains(problems.String(), tc.problem) || tc.out == "" && out.Len() > 0 {
			t.Errorf("%v: %d\n%s\n%s", tc.args, code, out.String(), problems.String())
		}
	}
	if text, err := os.ReadFile(schema); err != nil || !strings.Contains(string(text), "max_retries") {
		t.Error("no schema")
	}
}
