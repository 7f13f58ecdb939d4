// Package storetest tests a store of anybody's against what [strategies.Store] promises.
//
// A store is trusted with who may act: two holders of one lease are two refunds. So every
// store of ours is tested by the same checks, and so can yours be, which keeps its records
// in whatever your company has run for ten years:
//
//	your store ──► storetest.Run ──► records   create, replace, delete, revisions, odd keys, sizes
//	                                 races     16 writers, one winner, nothing lost
//	                                 time      expiry by the store's clock, renewal
//	                                 watches   beginning, mark, changes, expiry, slow readers
//	                                 endings   contexts, Close
//	                                 model     random histories beside a map
//	two of them ──► RunReplicas ───► what one writes the other reads, is told and cannot overwrite
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) strategies.Store { return open(t) })
//	}
//
// # What it cannot see
//
// What the engine does when a machine dies, a disk lies or a network splits. A store that
// passes keeps the contract while its engine keeps its own.
//
// # What it costs
//
// About 10 s of real time for a store on loopback: expiry must be waited for. A store whose
// clock is time.Now runs each of [Checks] in a testing/synctest bubble, in no time at all.
package storetest
