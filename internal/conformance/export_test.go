package conformance

import "github.com/understudy-go/understudy/middleware"

// Problems is what a case finds wrong with a result, and with what the layers told.
func Problems(c Case, got Result, events []middleware.Event) []string {
	return plots[c].want.problems(got, events)
}

// CutProblems is what a broken stream finds wrong with a result.
func CutProblems[F any](c Cut[F], got Result) []string { return c.problems(got) }
