package strategies

import "sync/atomic"

// inherited is what a strategy keeps whose settings were replaced while it is in
// use, and what one keeps that was given for its settings: that is another name of
// the first from then on, so that whoever holds either of them holds the one that
// calls go through.
type inherited[S any] struct {
	settings atomic.Pointer[S] // in the place of its own fields; nil: its own
	name     atomic.Pointer[S] // the strategy that this is another name of; nil: itself
}

// of returns the settings of a strategy as they are now.
func (i *inherited[S]) of(own *S) *S {
	if s := i.settings.Load(); s != nil {
		return s
	}
	return own
}

// who returns the strategy that this one is a name of.
func (i *inherited[S]) who(own *S) *S {
	if s := i.name.Load(); s != nil {
		return s
	}
	return own
}

// Memory is what would be forgotten if a new strategy with the same settings stood in
// the place of one: whoever keeps many, one for each tenant, drops those first whose
// loss nobody notices.
type Memory uint8

const (
	// MemoryNothing is one that is as good as new.
	MemoryNothing Memory = iota
	// MemoryCounts is one that has counted something, such as failures in a row.
	MemoryCounts
	// MemoryHolds is one that refuses, bounds or has let through somebody just now: to
	// drop it would let them escape.
	MemoryHolds
)

var memoryNames = [...]string{"nothing", "counts", "holds"}

func usedAlready(setting string) error {
	return &ConfigError{Setting: setting, Problem: "is in use itself", Fix: "give it one that nobody has used yet, for its settings"}
}
