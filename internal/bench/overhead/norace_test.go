//go:build !race

package overhead_test

const raceDetector = false
