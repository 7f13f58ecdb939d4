package middlewaretest_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

func TestARecorderKeepsWhatItIsTold(t *testing.T) {
	var r middlewaretest.Recorder
	if r.String() != "" || len(r.Events()) != 0 || len(r.Kinds()) != 0 || r.Count(middleware.EventFailed) != 0 {
		t.Error("a new recorder is not empty")
	}
	told := []middleware.Event{
		{Kind: middleware.EventAttemptFailed, Agent: "narrator", Attempt: 1, Err: errSick},
		{Kind: middleware.EventAttemptFailed, Agent: "narrator", Attempt: 2, Err: errSick},
		{Kind: middleware.EventFailed, Agent: "narrator"},
	}
	for _, e := range told {
		r.Observe(t.Context(), e)
	}
	if got := r.Events(); !slices.Equal(got, told) {
		t.Errorf("events: %v, want %v", got, told)
	}
	if got, want := r.Kinds(), []middleware.EventKind{middleware.EventAttemptFailed, middleware.EventAttemptFailed, middleware.EventFailed}; !slices.Equal(got, want) {
		t.Errorf("kinds: %v, want %v", got, want)
	}
	if r.Count(middleware.EventAttemptFailed) != 2 || r.Count(middleware.EventFailed) != 1 || r.Count(middleware.EventRecovered) != 0 {
		t.Errorf("counts: %d, %d, %d, want 2, 1, 0", r.Count(middleware.EventAttemptFailed), r.Count(middleware.EventFailed), r.Count(middleware.EventRecovered))
	}
	r.Events()[0].Agent = "changed"
	if r.Events()[0].Agent != "narrator" {
		t.Error("Events does not return a copy")
	}
	if r.Reset(); r.String() != "" || len(r.Events()) != 0 {
		t.Error("a recorder that was reset is not empty")
	}
}

func TestARecorderWritesOneLineAnEvent(t *testing.T) {
	full := middleware.Event{
		Kind: middleware.EventRetriesEnded, Time: time.Now(), Agent: "narrator", ServedBy: "the archivist", Attempt: 4, Class: strategies.ClassTimeout,
		Strategy: strategies.StrategyDegradation, Level: strategies.LevelMinimal, Delay: 1500 * time.Millisecond, Stop: strategies.StopBudget,
		Detail: "attempt", Err: errors.New("two\nlines"),
	}
	for name, tc := range map[string]struct {
		event middleware.Event
		want  string
	}{
		"it names kind and agent":               {middleware.Event{Kind: middleware.EventAnsweredLate, Agent: "narrator"}, "answered_late narrator\n"},
		"it leaves out who is the agent itself": {middleware.Event{Kind: middleware.EventRecovered, Agent: "narrator", ServedBy: "narrator"}, "recovered narrator\n"},
		"it keeps every field on one line": {full, `retries_ended narrator served_by="the archivist" attempt=4 class=timeout strategy=degradation level=minimal` +
			` delay=1.5s stop=budget_empty detail=attempt err="two\nlines"` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var r middlewaretest.Recorder
			r.Observe(t.Context(), tc.event)
			if got := r.String(); got != tc.want {
				t.Errorf("got  %swant %s", got, tc.want)
			}
		})
	}
}

func TestARecorderListensToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r middlewaretest.Recorder
		g, err := middleware.Wrap(middlewaretest.Script(middlewaretest.Fail(errSick))).Observe(&r).Build()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				_, _ = g.Run(t.Context(), "q")
				_ = r.String()
			})
		}
		wg.Wait()
		if n := r.Count(middleware.EventFailed); n != 40 {
			t.Errorf("%d failed calls recorded, want 40", n)
		}
	})
}
