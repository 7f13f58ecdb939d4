// Package fleettest asks a question of every store: what does an upstream suffer from
// ten real processes with four callers each that share a breaker over it? Each store's
// tests bring the store; the replicas are the test's own program, run again.
package fleettest
