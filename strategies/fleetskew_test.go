package strategies_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// skews are how far the store's clock is from that of the replicas.
var skews = []time.Duration{-2 * time.Hour, 0, 2 * time.Hour}

// What a fleet does is the same however far the replicas' clocks are from the store's,
// and what it writes down for others is of the store's clock.
func TestFleetSkewedClocks(t *testing.T) {
	for _, ahead := range skews {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cloud{Ahead: ahead}
				var all []*member
				for i := range 3 {
					all = append(all, join(t, c, i, 2*time.Millisecond, 0))
				}
				settle(time.Minute)
				living(t, all, 3)

				all[0].Hold(10*time.Minute, errDead)
				settle(quarter)
				for _, m := range all {
					m.want(strategies.StateHeld)
					if left := m.RetryAfter(); left < 10*time.Minute-time.Second || left > 10*time.Minute {
						t.Errorf("%s is held for %v", m.fleet.Replica, left)
					}
				}
				ofTheStore(t, c, ahead)
				late := join(t, c, 3, 2*time.Millisecond, 0) // it hears of it later
				settle(9 * time.Minute)
				late.want(strategies.StateHeld)
				if left := late.RetryAfter(); left < 50*time.Second || left > time.Minute {
					t.Errorf("held for %v", left)
				}
				all = append(all, late)
				living(t, all, 4)
				settle(2 * time.Minute)

				for _, m := range all {
					m.Reset()
					m.call(nil)
				}
				settle(quarter)
				for i := 0; states(all)[strategies.StateOpen] < len(all) && i < 60; i++ {
					all[i%len(all)].call(errDead)
					settle(100 * time.Millisecond)
				}
				settle(quarter)
				for _, m := range all {
					m.want(strategies.StateOpen)
				}
				ofTheStore(t, c, ahead)
				trials := 0
				for range 600 { // all of them want to try, all the time
					for _, m := range all {
						permit, err := m.Allow()
						if err != nil {
							continue
						}
						if trials++; trials > 1 {
							permit.Success()
							continue
						}
						// The first trial takes longer than a lease lives, and is renewed.
						time.Sleep(20 * time.Second)
						for _, other := range all {
							if p, err := other.Allow(); err == nil {
								p.Neutral()
								t.Errorf("%s tries while %s does", other.fleet.Replica, m.fleet.Replica)
							}
						}
						permit.Success()
						settle(quarter)
					}
					settle(100 * time.Millisecond)
				}
				for _, m := range all {
					m.want(strategies.StateClosed)
				}
				ofTheStore(t, c, ahead)

				late.wire.Cut(true) // as if it were gone
				settle(2 * time.Minute)
				living(t, all[:3], 3)
				late.wire.Cut(false)
				settle(time.Minute)
				living(t, all, 4)
			})
		})
	}
}

func living(t *testing.T, all []*member, n int) {
	t.Helper()
	for _, m := range all {
		if got := m.fleet.Health().Replicas; got != n {
			t.Errorf("%s knows of %d replicas, want %d", m.fleet.Replica, got, n)
		}
	}
}

// ofTheStore wants each moment in each record to be about now by the store's clock.
func ofTheStore(t *testing.T, c *cloud, ahead time.Duration) {
	t.Helper()
	all, err := wireTo(t, c, 99, 0, 0).List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	now, found := time.Now().Add(ahead), 0
	for _, r := range all {
		var value any
		if err := json.Unmarshal(r.Value, &value); err != nil {
			t.Fatalf("%q: %v", r.Key, err)
		}
		moments(value, func(at time.Time) {
			found++
			if off := at.Sub(now).Abs(); off > time.Hour {
				t.Errorf("%q says %s, which is %v from the store's clock", r.Key, r.Value, off)
			}
		})
	}
	if found == 0 {
		t.Error("no record has a moment in it")
	}
}

// moments finds what may be one: RFC 3339, or a number of nano-, micro- or milliseconds.
func moments(value any, found func(at time.Time)) {
	switch v := value.(type) {
	case map[string]any:
		for _, part := range v {
			moments(part, found)
		}
	case []any:
		for _, part := range v {
			moments(part, found)
		}
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			found(at)
		}
	case float64: // the year 2000, at which a bubble begins, is 9.5e8 seconds
		switch {
		case v > 9e17:
			found(time.Unix(0, int64(v)))
		case v > 9e14:
			found(time.UnixMicro(int64(v)))
		case v > 9e11:
			found(time.UnixMilli(int64(v)))
		case v > 9e8:
			found(time.Unix(int64(v), 0))
		}
	}
}
