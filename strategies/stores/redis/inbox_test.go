package redis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/inboxtest"
)

// The inbox's own property, over a real server.
func TestInboxOverRedis(t *testing.T) {
	port := freePort(t)
	serve(t, t.TempDir(), port)
	store := open(t, "127.0.0.1:"+port)
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
