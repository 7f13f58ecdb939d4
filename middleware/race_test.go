//go:build race

package middleware_test

// raceDetector: it allocates on its own account, and bears 8,128 goroutines.
const raceDetector = true
