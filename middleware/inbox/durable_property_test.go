package inbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/inboxtest"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// Random people, callers, crashes, takeovers and outages: each incident is decided at
// most once, each parked call comes to one end, no decision reaches another call, and
// nothing that has expired is a yes.
func TestPropertyEachIsDecidedOnceWhoeverDies(t *testing.T) {
	var all inboxtest.Seen
	const seeds = 200
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			store := &memory.Store{}
			defer store.Close()
			s := inboxtest.Run(t, store, inboxtest.Storm{
				Seed: seed, Heartbeat: 10 * time.Second, Processes: 3, Held: 12, Parked: 8, People: 3, Crashes: int(seed % 5), Outages: int(seed % 3),
				Quorum: 1 + int(seed/7%2), Slow: time.Duration(seed%4) * time.Second,
			})
			all.Decided += s.Decided
			all.Refused += s.Refused
			all.Expired += s.Expired
			all.Withdrawn += s.Withdrawn
			all.Orphaned += s.Orphaned
			all.Taken += s.Taken
			all.Paid += s.Paid
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d storms: %+v", seeds, all)
	for what, n := range map[string]int{"decided": all.Decided, "refused": all.Refused, "expired": all.Expired, "withdrawn": all.Withdrawn, "orphaned": all.Orphaned, "taken over": all.Taken, "paid": all.Paid} {
		if n < seeds/10 {
			t.Errorf("only %d were %s", n, what)
		}
	}
}
