// Package inboxtest tests an inbox over a store of anybody's: people who decide at
// random, callers who leave, processes that die, and lines that are cut, all at once.
// What is promised is looked at in the end: each incident was decided at most once, each
// parked call gone on with to one end, no decision reached another call, nothing that
// has expired was taken for a yes, and nothing was done twice.
//
// In memory it runs in virtual time; over a real server as fast as that is.
package inboxtest
