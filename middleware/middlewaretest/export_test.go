package middlewaretest

import (
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
)

// Broken returns the rules that a layer breaks, each with what it does wrong: of
// all rules, or of the only one that is named.
// The suite itself is under test here, so t does not fail.
func Broken(t *testing.T, layer func() middleware.Middleware[string, string], only string, patience time.Duration, allowed ...Liberty) map[string][]string {
	t.Helper()
	broken := map[string][]string{}
	for _, r := range rules[string, string]() {
		if only != "" && r.name != only {
			continue
		}
		if breaches := r.judge(t, layer, texts, allowed, patience); len(breaches) > 0 {
			broken[r.name] = breaches
		}
	}
	return broken
}

// Rules returns the names of all rules.
func Rules() (names []string) {
	for _, r := range rules[string, string]() {
		names = append(names, r.name)
	}
	return names
}

// Unfit is what Conform refuses to begin with.
func Unfit[Req, Resp any](layer func() middleware.Middleware[Req, Resp], sample func(n int) (Req, Resp)) string {
	return unfit(layer, sample)
}
