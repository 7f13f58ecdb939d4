package strategies_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

// TestFieldCodes asks for every code of testdata/field/codes.tsv, beside a 400 and
// without a word to it: what the code alone says. A code that says nothing is
// bad_request there, as the status is.
func TestFieldCodes(t *testing.T) {
	data, err := os.ReadFile("testdata/field/codes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) < 900 || lines[0] != "code\tclass\twhose" {
		t.Fatalf("%d lines, the first %q", len(lines), lines[0])
	}
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		if len(fields) != 3 || fields[2] == "" || seen[fields[0]] {
			t.Errorf("%q: not three fields, or twice", line)
			continue
		}
		seen[fields[0]] = true
		got := strategies.Classify(&fieldTextError{StatusCode: 400, Body: bodyOfCode(fields[0])}).Class.String()
		if got != fields[1] {
			t.Errorf("%s of %s is %s, want %s", fields[0], fields[2], got, fields[1])
		}
	}
}

// TestFieldSentences asks for every line of testdata/field/sentences.tsv: what a
// body says in its own words, beside a status.
func TestFieldSentences(t *testing.T) {
	data, err := os.ReadFile("testdata/field/sentences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) < 350 || lines[0] != "class\tstatus\tbody" {
		t.Fatalf("%d lines, the first %q", len(lines), lines[0])
	}
	for _, line := range lines[1:] {
		fields := strings.SplitN(line, "\t", 3)
		status, err := strconv.Atoi(fields[1])
		if err != nil || len(fields) != 3 {
			t.Errorf("%q: not three fields, or no status", line)
			continue
		}
		got := strategies.Classify(&fieldTextError{StatusCode: status, Body: fields[2]}).Class.String()
		if got != fields[0] {
			t.Errorf("%s, want %s: %d %s", got, fields[0], status, fields[2])
		}
	}
}

// bodyOfCode is a body that says the code and nothing else. A number stands behind
// the key of what it is in; "-" is the body itself.
func bodyOfCode(code string) string {
	where, number, ok := strings.Cut(code, " ")
	switch {
	case !ok:
		return fmt.Sprintf(`{"error":{"code":%q}}`, code)
	case where == "-":
		return fmt.Sprintf(`{"code":%s}`, number)
	case where == "error_code":
		return fmt.Sprintf(`{"error_code":%s}`, number)
	case where == "base_resp":
		return fmt.Sprintf(`{"base_resp":{"status_code":%s}}`, number)
	case where == "errors":
		return fmt.Sprintf(`{"errors":[{"code":%s}]}`, number)
	}
	return fmt.Sprintf(`{%q:{"code":%q}}`, where, number)
}
