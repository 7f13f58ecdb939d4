package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What the README shows.
const want = `
Who is at the door?
  A stranger in a wet cloak, and no horse.
  by narrator, strategy retry, 2 attempts
What does she want?
  Her name is in the guest book, eleven years ago. She never paid.
  by archivist, strategy fallback, 2 attempts
Do we let her in?
  (The innkeeper shrugs. It is your door tonight.)
  by reduced answer, strategy degradation, 3 attempts
`

func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var out strings.Builder
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		if out.String() != want[1:] {
			t.Errorf("got:\n%s\nwant:\n%s", &out, want[1:])
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v, want the one second before the only retry", took)
		}
	})
}
