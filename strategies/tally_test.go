package strategies_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

func TestTally(t *testing.T) {
	t.Run("it begins with a clean record and makes none for who is only asked about", func(t *testing.T) {
		var tally strategies.Tally
		if tally.Failures("narrator") != 0 {
			t.Error("a stranger has failures")
		}
		tally.Reset("narrator")
		if c := tally.Of("narrator"); c.Failures() != 0 || c.Spent() {
			t.Error("a new agent has a record")
		}
	})
	t.Run("it counts each agent by itself", func(t *testing.T) {
		var tally strategies.Tally
		tally.Of("narrator").Failed()
		tally.Of("narrator").Failed()
		tally.Of("archivist").Failed()
		if n, a := tally.Failures("narrator"), tally.Failures("archivist"); n != 2 || a != 1 {
			t.Errorf("narrator %d, archivist %d", n, a)
		}
	})
	t.Run("it keeps one count a name, so that a pointer stays good after a reset", func(t *testing.T) {
		var tally strategies.Tally
		c := tally.Of("narrator")
		c.Failed()
		c.Spend()
		tally.Reset("narrator")
		if c.Failures() != 0 || c.Spent() || tally.Of("narrator") != c {
			t.Error("the pointer does not see the reset")
		}
	})
}

func TestCount(t *testing.T) {
	type step func(*strategies.Count)
	failed, spend := func(c *strategies.Count) { c.Failed() }, (*strategies.Count).Spend
	recovered, succeeded := (*strategies.Count).Recovered, (*strategies.Count).Succeeded
	for _, tt := range []struct {
		it       string
		steps    []step
		failures int
		spent    bool
	}{
		{"counts failed calls", []step{failed, failed}, 2, false},
		{"remembers that the retries are spent", []step{failed, spend}, 1, true},
		{"spends retries once", []step{spend, spend}, 0, true},
		{"deletes the failures when a stand-in answers, but the agent has not succeeded", []step{failed, failed, spend, recovered}, 0, true},
		{"deletes all when the agent succeeds", []step{failed, spend, succeeded}, 0, false},
		{"counts anew afterwards", []step{failed, spend, succeeded, failed}, 1, false},
		{"does not mix failures with spent retries", []step{spend, failed, failed, failed}, 3, true},
		{"loses nothing by recovering from nothing", []step{recovered, succeeded}, 0, false},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			var c strategies.Count
			for _, do := range tt.steps {
				do(&c)
			}
			if c.Failures() != tt.failures || c.Spent() != tt.spent {
				t.Errorf("%d failures, spent %v; want %d, %v", c.Failures(), c.Spent(), tt.failures, tt.spent)
			}
		})
	}
	t.Run("it tells who fails how often that was, and whether retries were spent before", func(t *testing.T) {
		var c strategies.Count
		if n, spent := c.Failed(); n != 1 || spent {
			t.Errorf("first: %d, %v", n, spent)
		}
		c.Spend()
		if n, spent := c.Failed(); n != 2 || !spent {
			t.Errorf("second: %d, %v", n, spent)
		}
	})
}

// No failure is lost, and each caller is told a number of its own.
func TestTallyUnderConcurrency(t *testing.T) {
	var tally strategies.Tally
	var all sync.WaitGroup
	seen := make([]map[int]bool, 8)
	for g := range seen {
		seen[g] = map[int]bool{}
		all.Go(func() {
			for i := range 500 {
				n, _ := tally.Of("shared").Failed()
				seen[g][n] = true
				tally.Of(fmt.Sprintf("agent %d", i%10)).Failed()
			}
		})
	}
	all.Wait()
	numbers := map[int]bool{}
	for _, s := range seen {
		for n := range s {
			numbers[n] = true
		}
	}
	if tally.Failures("shared") != 4000 || len(numbers) != 4000 {
		t.Errorf("%d failures, %d numbers, want 4000", tally.Failures("shared"), len(numbers))
	}
	for i := range 10 {
		if n := tally.Failures(fmt.Sprintf("agent %d", i)); n != 400 {
			t.Errorf("agent %d has %d failures, want 400", i, n)
		}
	}
}
