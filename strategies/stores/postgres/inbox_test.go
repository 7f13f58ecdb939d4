package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/inboxtest"
)

// The inbox's own property, over a real server.
func TestInboxOverPostgres(t *testing.T) {
	server := install(t)
	server.start()
	store := open(t, server.url())
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("storm ", seed), func(t *testing.T) {
			t.Parallel()
			seen := inboxtest.Run(t, store, inboxtest.Storm{
				Seed: seed, Heartbeat: 250 * time.Millisecond, Processes: 3, Held: 12, Parked: 8, People: 3, Crashes: 3, Outages: 1,
			})
			t.Logf("%+v", seen)
		})
	}
}
