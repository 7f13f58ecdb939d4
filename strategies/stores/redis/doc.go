// Package redis keeps the records of a [strategies.Store] in Redis, or in what speaks as
// it does (Valkey).
//
// The fleet has a Redis already: sessions are in it, and somebody is paged when it is
// down. Its replicas need to know that one of them found a provider down, or which of them
// cleans up at night. That fits there: small records, a millisecond away.
//
//	replica ──┐ one script a call                        ┌────────────────────────────┐
//	          ├──────────────────► {name}:r:<key>        │ hash: value, revision, end │
//	replica ──┤                    {name}:keys           │ the keys, in order         │
//	          │                    {name}:rev            │ the last revision          │
//	replica ──┘ ◄── hint: a key ── {name}:changes        │ published, never relied on │
//	                                                     └────────────────────────────┘
//
//	client := goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: []string{"10.0.0.1:6379"}})
//	store, err := redis.Open(ctx, client)
//
// The client is yours: its credentials, TLS, pool, sentinel or cluster. Close leaves it
// open.
//
// # What it promises
//
// All that [strategies.Store] does, on one Redis that is up. Each call is one script, so a
// comparison and its swap are one step, and expiry is judged inside of it by the server's
// TIME. A revision is the server's time in microseconds, or one more than the last: so it
// grows also after the data was lost.
//
// A write is sent once, whatever the client's MaxRetries says: sent again after its
// answer was lost it would be a conflict with itself. Without an answer it is
// [strategies.ErrUnavailable]. A call ends with its context, also without ContextTimeoutEnabled;
// the client's connection is busy until its ReadTimeout then, and Close waits for it.
//
// # What it does not
//
//   - Redis replicates after it has answered. When a replica takes over, the last writes may
//     be gone, and a lease may have a second holder. A revision that is handed on as a
//     fencing token shows who came later. For what must not be lost, use one of the
//     other stores.
//   - What survives a restart is what appendonly and appendfsync say.
//   - With a maxmemory-policy other than noeviction, Redis throws records away.
//   - In a cluster all records of a name are in one slot, on one node.
//
// # What it costs
//
// A call is one round trip: on loopback a Get takes about 0.04 ms and a Put 0.07 ms
// (BenchmarkRedis); 0.015 ms of it are for a goroutine, so that the call can end with its
// context. List is one for every 500 records or MiB. While anybody watches, one connection
// listens, and each watch asks every 10 s which revisions there are.
package redis
