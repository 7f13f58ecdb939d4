package lab_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/bench/lab"
)

// The days of the means, and what they are to show.
func TestMeans(t *testing.T) {
	days := shipped(t, "token-limit", "long-tail", "told-why", "runaway", "local-model", "shared-plan")
	systems := slices.DeleteFunc(lab.Systems(), func(s lab.System) bool {
		return !slices.Contains([]string{"none", "retry-go", "failsafe-go", "understudy"}, s.Name)
	})
	rows := map[string]lab.Row{}
	for _, r := range lab.Run(t, days, systems, nil) {
		rows[r.Scenario+" "+r.System] = r
	}
	of := func(day string) (none, retry, failsafe, ours lab.Row) {
		return rows[day+" none"], rows[day+" retry-go"], rows[day+" failsafe-go"], rows[day+" understudy"]
	}
	t.Run("a limit of tokens is kept, and used up", func(t *testing.T) {
		_, retry, failsafe, ours := of("token-limit")
		if retry.Limited < 100 || ours.Limited*20 > retry.Limited {
			t.Errorf("%d calls over the limit, retry-go %d", ours.Limited, retry.Limited)
		}
		if ours.Full < failsafe.Full || ours.P50 > failsafe.P50 {
			t.Errorf("%.3f %% answered after %v, failsafe-go %.3f %% after %v", ours.Full, ours.P50, failsafe.Full, failsafe.P50)
		}
	})
	t.Run("a long tail is cut, for a twentieth more calls", func(t *testing.T) {
		none, _, failsafe, ours := of("long-tail")
		if 2*ours.P99 > none.P99 || ours.CallsPerRequest > 1.05 {
			t.Errorf("p99 %v, without hedging %v, with %.4f calls a request", ours.P99, none.P99, ours.CallsPerRequest)
		}
		if failsafe.CallsPerRequest < 1.04 || ours.CallsPerRequest > failsafe.CallsPerRequest+0.001 || ours.P99 > failsafe.P99 {
			t.Errorf("p99 %v with %.4f calls, failsafe-go %v with %.4f", ours.P99, ours.CallsPerRequest, failsafe.P99, failsafe.CallsPerRequest)
		}
	})
	t.Run("a model that is told what was wrong is asked less often", func(t *testing.T) {
		_, retry, failsafe, ours := of("told-why")
		if ours.Full < retry.Full || ours.CallsPerRequest >= retry.CallsPerRequest || ours.Full < failsafe.Full || ours.CallsPerRequest > failsafe.CallsPerRequest {
			t.Errorf("%.3f %% with %.4f calls, retry-go %.3f %% with %.4f, failsafe-go %.3f %% with %.4f",
				ours.Full, ours.CallsPerRequest, retry.Full, retry.CallsPerRequest, failsafe.Full, failsafe.CallsPerRequest)
		}
	})
	t.Run("an agent that runs away is stopped", func(t *testing.T) {
		_, retry, _, ours := of("runaway")
		if limit := days[slices.IndexFunc(days, func(s lab.Scenario) bool { return s.Name == "runaway" })].Means.Calls; ours.Most != limit || retry.Most < 2*limit {
			t.Errorf("%d calls of one request, retry-go %d, the limit is %d", ours.Most, retry.Most, limit)
		}
		if ours.Full < retry.Full {
			t.Errorf("%.3f %% answered, retry-go %.3f %%: the limit is for those who run away", ours.Full, retry.Full)
		}
	})
	t.Run("what others take of a plan is learned", func(t *testing.T) {
		_, retry, failsafe, ours := of("shared-plan")
		if ours.Limited*20 > retry.Limited || ours.Limited*20 > failsafe.Limited || ours.Full < failsafe.Full {
			t.Errorf("%.3f %% answered, %d calls over the limit; failsafe-go %.3f %%, %d; retry-go %d", ours.Full, ours.Limited, failsafe.Full, failsafe.Limited, retry.Limited)
		}
	})
	t.Run("a model of one's own is given what it bears", func(t *testing.T) {
		_, _, failsafe, ours := of("local-model")
		if ours.Full < 99 || ours.Full < failsafe.Full || ours.P50 > failsafe.P50 || ours.P99 > failsafe.P99 {
			t.Errorf("%.3f %% answered within %v and %v, failsafe-go %.3f %% within %v and %v", ours.Full, ours.P50, ours.P99, failsafe.Full, failsafe.P50, failsafe.P99)
		}
	})
}

func TestTempers(t *testing.T) {
	asked := func(t *testing.T, text string, n int, change func(*lab.Request)) (answers []lab.Answer, took []time.Duration, refusals []*lab.StatusError) {
		t.Helper()
		day := parsed(t, `{"name": "x", "seed": 1, "length": "1h", "rate": 1, `+text+`}`)
		synctest.Test(t, func(t *testing.T) {
			ask := lab.NewAgent(day, n)
			for i := range n {
				r := lab.Request{Number: i}
				change(&r)
				start := time.Now()
				answer, err := ask(t.Context(), r)
				if refused, ok := errors.AsType[*lab.StatusError](err); ok {
					refusals = append(refusals, refused)
					continue
				}
				answers, took = append(answers, answer), append(took, time.Since(start))
			}
		})
		return answers, took, refusals
	}
	bad := func(answers []lab.Answer) (n float64) {
		for _, a := range answers {
			if !a.Good {
				n++
			}
		}
		return n
	}
	t.Run("a tail takes longer", func(t *testing.T) {
		_, took, _ := asked(t, `"primary": {"sigma": 0.0001, "tail": {"share": 0.1, "times": 10}}`, 2000, func(*lab.Request) {})
		long := 0.0
		for _, d := range took {
			if d > 20*time.Second {
				long++
			}
		}
		within(t, "of the tail", long, 200, 4)
	})
	t.Run("tricky requests get bad answers, fewer when told", func(t *testing.T) {
		const day = `"primary": {}, "tricky": {"share": 1, "bad": 0.9, "told": 0.1}`
		answers, _, _ := asked(t, day, 2000, func(r *lab.Request) { r.Tricky = true })
		within(t, "bad", bad(answers), 1800, 4)
		answers, _, _ = asked(t, day, 2000, func(r *lab.Request) { r.Tricky, r.Told = true, true })
		within(t, "bad when told", bad(answers), 200, 4)
		if answers, _, _ = asked(t, day, 100, func(*lab.Request) {}); bad(answers) > 0 {
			t.Error("a request that is not tricky has a bad answer")
		}
	})
	t.Run("a plan lets so many tokens through", func(t *testing.T) {
		answers, _, refusals := asked(t, `"primary": {"median": "1s", "sigma": 0.0001, "plan": {"per_minute": 6000}}`, 300, func(r *lab.Request) { r.Tokens = 300 })
		minutes := 0.0
		for range answers {
			minutes += 1.015 / 60
		}
		for range refusals {
			minutes += 0.165 / 60
		}
		within(t, "answers", float64(len(answers)), 20+20*minutes, 1)
		for _, r := range refusals {
			if r.StatusCode != 429 || r.Header.Get("Retry-After") == "" {
				t.Fatalf("refused with %d, after %q", r.StatusCode, r.Header.Get("Retry-After"))
			}
		}
	})
	t.Run("an agent thrashes under too many", func(t *testing.T) {
		day := parsed(t, `{"name": "x", "seed": 1, "length": "1h", "rate": 1, "primary": {"median": "1s", "sigma": 0.0001, "thrash": {"over": 4, "power": 2}}}`)
		synctest.Test(t, func(t *testing.T) {
			ask := lab.NewAgent(day, 100)
			for n, most := range map[int]time.Duration{4: 1050 * time.Millisecond, 8: 4050 * time.Millisecond} {
				start := time.Now()
				together(t, ask, day, 0, n)
				if d := time.Since(start); d > most || d < most-100*time.Millisecond {
					t.Errorf("%d at a time took %v, want up to %v", n, d, most)
				}
			}
		})
	})
}
