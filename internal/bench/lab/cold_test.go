package lab_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/bench/lab"
)

// together asks an agent n times at once and counts the answers.
func together(t *testing.T, ask lab.Ask, day *lab.Scenario, first, n int) (answers int, last error) {
	t.Helper()
	var mu sync.Mutex
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			_, err := ask(t.Context(), lab.Request{Number: first + i, Poison: day.Poison == 1})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answers++
			} else {
				last = err
			}
		})
	}
	calls.Wait()
	return answers, last
}

func TestColdAgent(t *testing.T) {
	day := parsed(t, `{"name": "x", "length": "1h", "rate": 1, "primary": {"cold": {"calls": 2, "warm": 4}}, "faults": [{"on": "primary", "for": "10m", "errors": 1}]}`)
	synctest.Test(t, func(t *testing.T) {
		ask := lab.NewAgent(day, 100)
		for _, step := range []struct {
			it         string
			after      time.Duration
			asks, want int
		}{
			{"is down", 0, 3, 0},
			{"falls over under many", 11 * time.Minute, 20, 2},
			{"bears one more for each answer", time.Minute, 4, 4},
			{"is warm after enough of them", time.Minute, 30, 30},
		} {
			time.Sleep(step.after)
			if got, _ := together(t, ask, day, 0, step.asks); got != step.want {
				t.Errorf("it %s: %d answers to %d, want %d", step.it, got, step.asks, step.want)
			}
		}
	})
}

func TestRefusalsOfTheNewDays(t *testing.T) {
	for it, tc := range map[string]struct {
		text   string
		status int
		hinted bool
	}{
		"a limit names its time":   {`"faults": [{"on": "primary", "limit": {"calls": 0, "per": "1m"}}]`, 429, true},
		"a mute limit names none":  {`"faults": [{"on": "primary", "limit": {"calls": 0, "per": "1m", "mute": true}}]`, 429, false},
		"poison is a bad request":  {`"poison": 1`, 400, false},
		"poison may be a server's": {`"poison": 1, "poison_status": 500`, 500, false},
	} {
		t.Run(it, func(t *testing.T) {
			day := parsed(t, `{"name": "x", "length": "1h", "rate": 1, "primary": {}, `+tc.text+`}`)
			synctest.Test(t, func(t *testing.T) {
				_, err := together(t, lab.NewAgent(day, 1), day, 0, 1)
				var refused *lab.StatusError
				if !errors.As(err, &refused) || refused.StatusCode != tc.status || (refused.Header.Get("Retry-After") != "") != tc.hinted {
					t.Errorf("refused by %+v", refused)
				}
			})
		})
	}
}
