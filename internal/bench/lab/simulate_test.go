package lab_test

import (
	"math"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/bench/lab"
)

func parsed(t *testing.T, text string) *lab.Scenario {
	t.Helper()
	s, err := lab.Parse("test.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

// within says whether a count is one that chance makes of an expected one.
func within(t *testing.T, what string, got, want, sigmas float64) {
	t.Helper()
	if math.Abs(got-want) > sigmas*math.Sqrt(want) {
		t.Errorf("%s: %v, want about %v", what, got, want)
	}
}

func TestRequests(t *testing.T) {
	day := parsed(t, `{"name": "x", "seed": 3, "length": "4h", "rate": 2, "poison": 0.1, "primary": {}, "surges": [{"from": "1h", "for": "1h", "times": 3}]}`)
	all := day.Requests()
	surge, poison, last := 0.0, 0.0, time.Duration(-1)
	var sum, squares float64
	gaps := 0.0
	for i, r := range all {
		if r.Number != i || r.At <= last || r.At >= 4*time.Hour {
			t.Fatalf("request %d is %+v, after one at %v", i, r, last)
		}
		switch {
		case r.At >= time.Hour && r.At < 2*time.Hour:
			surge++
		case r.At > 2*time.Hour:
			gap := (r.At - last).Seconds()
			sum, squares, gaps = sum+gap, squares+gap*gap, gaps+1
		}
		if r.Poison {
			poison++
		}
		last = r.At
	}
	within(t, "requests in the surge", surge, 3*7200, 4)
	within(t, "requests outside of it", float64(len(all))-surge, 3*7200, 4)
	within(t, "bad requests", poison, 0.1*float64(len(all)), 4)
	// The gaps of a Poisson process are as wide as they vary.
	mean := sum / gaps
	if spread := math.Sqrt(squares/gaps-mean*mean) / mean; math.Abs(mean-0.5) > 0.02 || math.Abs(spread-1) > 0.05 {
		t.Errorf("gaps of %v s that vary by %v times that", mean, spread)
	}
	other := *day
	other.Seed++
	if len(other.Requests()) == len(all) && other.Requests()[0].At == all[0].At {
		t.Error("another seed makes the same requests")
	}
}

func TestQueue(t *testing.T) {
	const sec = time.Second
	q := lab.NewQueue(lab.Agent{Servers: 2, Queue: 2})
	for i, step := range []struct {
		at, service, wait time.Duration
		taken             bool
		busy              float64 // before
	}{
		{0, 4 * sec, 0, true, 0},             // on A to 4
		{1 * sec, 5 * sec, 0, true, 0.5},     // on B to 6
		{2 * sec, 3 * sec, 2 * sec, true, 1}, // on A from 4 to 7
		{3 * sec, 1 * sec, 3 * sec, true, 1}, // on B from 6 to 7
		{3 * sec, 1 * sec, 0, false, 1},      // two wait already
		{4 * sec, 2 * sec, 3 * sec, true, 1}, // one has begun: on A from 7 to 9
		{8 * sec, 1 * sec, 0, true, 0.5},     // B is free since 7
		{20 * sec, 1 * sec, 0, true, 0},
	} {
		if busy := q.Busy(step.at); busy != step.busy {
			t.Errorf("step %d: %v of the servers are busy, want %v", i, busy, step.busy)
		}
		if wait, taken := q.Enqueue(step.at, step.service); wait != step.wait || taken != step.taken {
			t.Errorf("step %d: waits %v, taken %v, want %v, %v", i, wait, taken, step.wait, step.taken)
		}
	}
}

func TestMeasure(t *testing.T) {
	const sec = time.Second
	day := parsed(t, `{"name": "x", "seed": 1, "length": "10m", "rate": 1, "primary": {}, "stand_in": {}, "faults": [{"on": "primary", "from": "1m", "for": "1m", "errors": 1}]}`)
	var ends []lab.End
	var calls []*lab.Call
	for i := range 600 { // one a second
		e := lab.End{Request: lab.Request{Number: i, At: time.Duration(i) * sec}, Took: sec, Answer: lab.Answer{By: lab.Primary, Good: true}}
		call := &lab.Call{Agent: lab.Primary, Request: i, At: e.Request.At}
		switch {
		case i >= 60 && i < 90: // down, and nobody helps
			e.Err, e.Took, call.Futile = lab.ErrTest, 2*sec, true
		case i >= 90 && i < 150: // the stand-in
			e.Answer.By, call.Agent = lab.StandIn, lab.StandIn
		case i >= 150 && i < 156:
			e.Answer.Good = false // bad answers are failures
		case i == 300:
			e.Answer.By, e.Took = "canned", 9*sec
			calls = append(calls, call)
		}
		ends, calls = append(ends, e), append(calls, call)
	}
	row := lab.Measure(day, "s", lab.NewTrace(day, ends, calls, 61*sec, 200*sec))
	want := lab.Row{
		Scenario: "x", System: "s", Requests: 600,
		Full: 100 * 563.0 / 600, Degraded: 100 * 1.0 / 600, Failed: 100 * 36.0 / 600,
		P50: sec, P99: 2 * sec, P999: 9 * sec, Max: 9 * sec,
		CallsPerRequest: 601.0 / 600, Futile: 30, Most: 2,
		// The fault ends at 120 s; the bad answers end at 156 s, and so does the
		// time of the stand-in: three of a minute's sixty may be missed by the 95 %.
		HasEnd: true, Back: 36 * sec, Primary: 33 * sec,
		FalseOpenings: 1,
	}
	if row != want {
		t.Errorf("got\n%+v, want\n%+v", row, want)
	}
	t.Run("it knows a day without an end, and a system that never comes back", func(t *testing.T) {
		endless := parsed(t, `{"name": "x", "seed": 1, "length": "10m", "rate": 1, "primary": {}, "faults": [{"on": "primary", "errors": 0.1}]}`)
		if row := lab.Measure(endless, "s", lab.NewTrace(endless, ends, nil)); row.HasEnd {
			t.Errorf("an end at %v", row.Back)
		}
		for i := range ends {
			ends[i].Answer.Good = false
		}
		if row := lab.Measure(day, "s", lab.NewTrace(day, ends, nil)); row.Back >= 0 || row.Primary >= 0 {
			t.Errorf("back after %v", row.Back)
		}
	})
}

func TestBeaten(t *testing.T) {
	r := func(system string, full, calls float64) lab.Row {
		return lab.Row{Scenario: "x", System: system, Full: full, CallsPerRequest: calls}
	}
	us := r("us", 99, 1.1)
	for _, tc := range []struct {
		it    string
		other lab.Row
		want  bool
	}{
		{"takes a tie for none", r("o", 99, 1.1), false},
		{"sees more answers with as few calls", r("o", 99.1, 1.1), true},
		{"sees as many answers with fewer calls", r("o", 99, 1.0), true},
		{"allows more answers with more calls", r("o", 100, 1.2), false},
		{"allows fewer calls with fewer answers", r("o", 98, 1.0), false},
		{"looks at one scenario only", lab.Row{Scenario: "y", System: "o", Full: 100, CallsPerRequest: 1}, false},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			if got := len(lab.Beaten(us, []lab.Row{us, tc.other})) > 0; got != tc.want {
				t.Errorf("beaten: %v", got)
			}
		})
	}
}
