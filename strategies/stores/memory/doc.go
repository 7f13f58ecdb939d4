// Package memory keeps the records of a [strategies.Store] in this process: for a
// program that runs once, for tests, and for whatever is not worth keeping.
//
// A program begins on one machine. Its leases, its journal and its incidents are asked
// for by the same calls that a fleet of fifty makes, so it begins with this store, and on
// the day of the second replica one line is another:
//
//	     one process                           many
//
//	┌──────────────────┐      ┌─────────┐ ┌─────────┐ ┌─────────┐
//	│ agents           │      │ replica │ │ replica │ │ replica │
//	│   │              │      └────┬────┘ └────┬────┘ └────┬────┘
//	│   ▼              │           └───────────┼───────────┘
//	│ strategies.Store │                       ▼
//	│   memory         │      strategies.Store: nats, redis, postgres
//	└──────────────────┘
//
//	store := &memory.Store{} // ready; it runs nothing until somebody watches
//	defer store.Close()
//
// # What it promises
//
// All that [strategies.Store] does, and more: List is a snapshot, a call never fails but
// for its context, and a watch never tells [strategies.ChangeLost]. Its clock is
// time.Now, so in a testing/synctest bubble records expire in virtual time.
//
// # What it does not
//
// Nothing outlives the process, nor Close. An expired record is swept out when somebody
// writes, so that no goroutine runs for it.
//
// # What it costs
//
// A call is a lock and a copy of the value, well under a microsecond; List looks at
// every key. A watch is a goroutine. Values are copied both ways: nobody's slice is kept.
package memory
