// Package postgres keeps the records of a [strategies.Store] in one table of PostgreSQL.
//
// What an agent did in the world (a letter sent, a sum refunded) must be known for as long
// as anybody may ask, and be in the backup that is made every night anyway. The database is
// there. So the journal of side effects becomes a table in it, and a question at an audit
// is one line of SQL.
//
//	replica ──┐ one round trip a call                    ┌───────────────────────────────┐
//	          ├──────────────────► understudy_records    │ key, value, revision, expires │
//	replica ──┤                      │ its sequence      │ revisions, for all keys       │
//	          │                      ▼                   └───────────────────────────────┘
//	replica ──┘ ◄── hint: a key ── NOTIFY, never relied on
//
//	pool, err := pgxpool.New(ctx, "postgres://tavern@10.0.0.1/tavern?sslmode=verify-full")
//	...
//	store, err := postgres.Open(ctx, pool, postgres.Table("agents", "records"))
//
// The pool is yours: its credentials, TLS and size. Close leaves it open. Open makes the
// table, its sequence and an index if the table is not there; where the program must not,
// [Schema] is the SQL for whoever may.
//
// # What it promises
//
// All that [strategies.Store] does, on the primary. What Put has returned is committed: with
// synchronous replication it survives the primary. Expiry is judged by the server's
// clock_timestamp() in the statement that reads or writes.
//
// # What it does not
//
//   - With synchronous_commit off, a crash takes back what was confirmed last. So does a
//     failover to a standby that replicates asynchronously; then revisions may be given
//     a second time.
//   - A pool that reads from a standby reads what was.
//   - Behind a pooler that multiplexes transactions nothing can be listened to: give
//     [PollEvery].
//
// # What it costs
//
// A call is one round trip, and for a Put one commit: on loopback, without fsync, a Get
// takes about 0.07 ms and a Put 0.17 ms (BenchmarkPostgres). Writers of one key wait for each
// other, others do not; but PostgreSQL lets one transaction at a time commit that
// notifies, so beyond some thousand writes a second give [PollEvery], which does without.
// While anybody watches, one connection of the pool listens; each watch asks every 10 s
// which revisions there are. One Put in 256 sweeps out what has expired.
package postgres
