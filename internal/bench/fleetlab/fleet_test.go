package fleetlab_test

import (
	"testing"

	"github.com/understudy-go/understudy/internal/bench/fleetlab"
)

// What docs/fleet.md says of fleets, on days of the lab.
func TestFleetsShareOneBadDay(t *testing.T) {
	systems := map[string]fleetlab.System{}
	for _, s := range fleetlab.Systems() {
		systems[s.Name] = s
	}
	for _, d := range fleetlab.Days() {
		for _, n := range []int{1, 10, 100} {
			if n == 100 && (testing.Short() || d.Name != "near") {
				continue
			}
			with, without := fleetlab.Live(t, d, systems["fleet"], n), fleetlab.Live(t, d, systems["alone"], n)
			t.Logf("%+v", with)
			t.Logf("%+v", without)
			if with.Rest > 0.2 && !d.Away || with.Trouble > 5 {
				t.Errorf("%s, %d replicas: %.3f operations a second at rest, %.3f in trouble", d.Name, n, with.Rest, with.Trouble)
			}
			if with.Waited > 0 {
				t.Errorf("%s, %d replicas: a call waited %v", d.Name, n, with.Waited)
			}
			if with.Back < 0 {
				t.Errorf("%s, %d replicas: it never came back", d.Name, n)
			}
			switch {
			case n == 1, d.Away:
				if with.Opening != without.Opening {
					t.Errorf("%s, %d replicas: %d calls until all are open, %d alone", d.Name, n, with.Opening, without.Opening)
				}
			case d.Cut > 0:
				if with.Opening >= without.Opening {
					t.Errorf("%s, %d replicas: %d calls, and %d alone", d.Name, n, with.Opening, without.Opening)
				}
			case d.Drains: // any answer of the last second begins the count anew, as in one process
				if with.Opening > 12+n*4/10 {
					t.Errorf("%s, %d replicas: %d calls until all are open", d.Name, n, with.Opening)
				}
			default:
				if with.Opening > 12+n/50 || with.Limited > 6 {
					t.Errorf("%s, %d replicas: %d calls until all are open, %d after the first 429", d.Name, n, with.Opening, with.Limited)
				}
				if with.Outage > 9 { // one in each open time of about a minute, and a newcomer's
					t.Errorf("%s, %d replicas: %d calls while it is down", d.Name, n, with.Outage)
				}
			}
		}
	}
}
