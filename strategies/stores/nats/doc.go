// Package nats keeps the records of a [strategies.Store] in a key-value bucket of NATS
// JetStream: in a folder on one machine, with nothing to install, or in a cluster.
//
// A program runs on one machine and must not send a letter twice after a crash. It has no
// database, and nobody who would run one. So it opens a folder, and a small server runs in
// the process, without a port. When the second machine comes, the same program is given
// the address of a cluster:
//
//	nats.Embedded(dir)                     nats.URL("nats://a,nats://b,nats://c")
//
//	┌────────────────────────┐             ┌─────────┐  ┌─────────┐
//	│ process                │             │ replica │  │ replica │
//	│  agents ─► Store       │             └────┬────┘  └────┬────┘
//	│              │ memory  │                  └─────┬──────┘ TCP, TLS
//	│         nats-server    │             ┌──────────┼──────────┐
//	└──────────────┼─────────┘             ▼          ▼          ▼
//	               ▼                      node a    node b    node c    Replicas(3)
//	              dir                       └── one is the leader ──┘
//
//	store, err := nats.Open(ctx, nats.Embedded("/var/lib/tavern"))
//	...
//	store, err := nats.Open(ctx, nats.URL("nats://10.0.0.1", natsgo.UserCredentials("tavern.creds")), nats.Replicas(3))
//
// # What it promises
//
// All that [strategies.Store] does, and its tests run on a folder and on three servers. Reads and writes are the stream leader's: nothing is
// read from a follower. What Put has returned is on disk, fsync included if the server is
// ours ([SyncEvery] says otherwise), and on a majority of the replicas.
//
// # What it does not
//
//   - A leader that was cut off from its cluster may answer reads with what was, for the
//     seconds until it notices. It can confirm no write, so who decides by
//     compare-and-swap is never fooled.
//   - A renewal that reaches the server in the very moment of the record's expiry, between
//     our look and its write, may still succeed. It is one round trip long. A Put with
//     the revision 0 is never fooled.
//   - The clock is the leader's. Keep the servers' clocks together, as NATS itself asks.
//   - One process a folder: a second Open of it is [strategies.ErrUnavailable] on Unix,
//     and must be avoided elsewhere.
//   - While the connection is made anew, calls fail at once: nothing is kept to be sent
//     later. With a [Conn] of your own that is its option ReconnectBufSize.
//   - A server of your own must be 2.11 or newer: Open says so.
//   - A cluster's servers sync their disks as they are configured: by default every two
//     minutes, trusting in the replicas.
//
// # What it costs
//
// A Put on the disk of the process takes about 0.4 ms with its fsync and 0.04 ms without, a
// Get 0.06 ms (BenchmarkEmbedded). A Get is one round trip, as is a creation; a replacement and a deletion are two, for
// they look first whether the record has expired. List asks for each record, 32 at a time.
// The first watch of a store opens one consumer for all of them, and every 15 s each watch
// asks what it has missed. The server in the process adds about 15 MB to a binary.
//
// The bucket is an ordinary one, so `nats kv ls understudy` shows it. Its keys are escaped:
// "lease/letter 17" is "lease.letter=2017". Give it to nobody else to write.
package nats
