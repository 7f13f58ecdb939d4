package house_test

import (
	"regexp"
	"testing"
)

// What keeps the records of a store, and what speaks to it. None of it may reach a user of
// the core, by whatever way.
var storeEngine = regexp.MustCompile(`(^|[/.-])(nats-io|nats-server|redis|go-redis|miniredis|jackc|pgx|lib/pq|etcd|bbolt|sqlite)([/.-]|$)`)

func TestTheCorePullsInNoEngineOfAStore(t *testing.T) {
	all := listed(t, root, "./...")
	if _, ok := all[module+"/strategies/stores/memory"]; !ok {
		t.Error("the store in memory is not of the core: the walk started in the wrong place")
	}
	for path := range all {
		if within(path, module) {
			continue // ours; what nested modules import is theirs
		}
		if storeEngine.MatchString(path) {
			t.Errorf("the core pulls in %s", path)
		}
	}
}

func TestEnginesOfStoresAreSeen(t *testing.T) {
	for path, want := range map[string]bool{
		"github.com/nats-io/nats.go":             true,
		"github.com/nats-io/nats-server/v2/conf": true,
		"github.com/redis/go-redis/v9":           true,
		"github.com/alicebob/miniredis/v2":       true,
		"github.com/jackc/pgx/v5/pgxpool":        true,
		"go.etcd.io/bbolt":                       true,
		"github.com/sony/gobreaker/v2":           false,
		"net/http":                               false,
		"go.uber.org/zap":                        false,
	} {
		if got := storeEngine.MatchString(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}
