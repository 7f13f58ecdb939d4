package recent_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/recent"
)

// losses is a table whose values say what it means to lose them.
func losses(most int, idle time.Duration) *recent.Table[*recent.Loss] {
	return recent.New(most, idle, func(l *recent.Loss) recent.Loss { return *l })
}

func add(t *testing.T, table *recent.Table[*recent.Loss], key string, loss recent.Loss) (dropped int) {
	t.Helper()
	e, added, gone := table.Add(key, &loss)
	if !added {
		t.Fatalf("%s was not added", key)
	}
	e.Leave()
	return len(gone)
}

func keys(table *recent.Table[*recent.Loss]) string {
	var all []string
	for key := range table.All() {
		all = append(all, key)
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

func TestTable(t *testing.T) {
	for it, tc := range map[string]struct {
		losses []recent.Loss
		use    string // is asked for before there is another one
		want   string
	}{
		"drops the oldest":                                          {[]recent.Loss{0, 0, 0}, "", "[b c new]"},
		"keeps what was asked for":                                  {[]recent.Loss{0, 0, 0}, "a", "[a c new]"},
		"keeps what holds, however old":                             {[]recent.Loss{recent.LossHold, 0, 0}, "", "[a c new]"},
		"passes over what has counted once":                         {[]recent.Loss{recent.LossCount, 0, 0}, "", "[a c new]"},
		"drops what has counted if there is nothing else":           {[]recent.Loss{recent.LossCount, recent.LossHold, recent.LossHold}, "", "[b c new]"},
		"drops the oldest of those that have counted, all the same": {[]recent.Loss{recent.LossCount, recent.LossCount, recent.LossHold}, "", "[b c new]"},
	} {
		t.Run("it "+it, func(t *testing.T) {
			table := losses(3, time.Hour)
			for i, l := range tc.losses {
				add(t, table, string(rune('a'+i)), l)
			}
			if tc.use != "" {
				table.Enter(tc.use).Leave()
			}
			add(t, table, "new", recent.LossNone)
			if got := keys(table); got != tc.want {
				t.Errorf("kept %s, want %s", got, tc.want)
			}
		})
	}
	t.Run("it has no room if all are in use or hold, and counts that", func(t *testing.T) {
		table := losses(2, time.Hour)
		used, _, _ := table.Add("used", new(recent.Loss))
		add(t, table, "holds", recent.LossHold)
		if e, added, _ := table.Add("new", new(recent.Loss)); e != nil || added {
			t.Error("it was taken in")
		}
		if n, crowded := table.Len(); n != 2 || crowded != 1 {
			t.Errorf("%d entries, crowded %d times", n, crowded)
		}
		used.Leave()
		add(t, table, "new", recent.LossNone)
		if again, added, _ := table.Add("new", new(recent.Loss)); added || again != table.Enter("new") {
			t.Error("who comes second gets what there is")
		}
	})
	t.Run("it drops what is idle, a few at a time, and gets smaller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			table := losses(100, time.Minute)
			for n := range 9 {
				add(t, table, fmt.Sprint(n), recent.Loss(n%3))
			}
			time.Sleep(time.Hour)
			gone := 0
			for _, key := range []string{"a", "b", "c", "d"} {
				gone += add(t, table, key, 0)
			}
			if n, _ := table.Len(); gone != 6 || n != 7 {
				t.Errorf("%d are gone, %d left: %s", gone, n, keys(table))
			}
			table.Resize(4, time.Minute)
			if gone = add(t, table, "e", 0); keys(table) != "[2 5 8 e]" || gone != 4 {
				t.Errorf("%d are gone, left: %s", gone, keys(table))
			}
			(*recent.Entry[*recent.Loss])(nil).Leave()
		})
	})
}

func BenchmarkEnter(b *testing.B) {
	table := losses(10_000, time.Hour)
	for n := range 10_000 {
		e, _, _ := table.Add(fmt.Sprint(n), new(recent.Loss))
		e.Leave()
	}
	for b.Loop() {
		table.Enter("4711").Leave()
	}
}
