//go:build race

package overhead_test

// raceDetector: it makes a sync.Pool forget, which is an allocation more.
const raceDetector = true
