// Package units knows when a duration is a number whose unit was forgotten:
// Timeout(600) compiles, and means 600 nanoseconds.
package units

import (
	"fmt"
	"time"
)

// Least is the shortest time that anybody means. What is shorter, and not zero,
// has lost its unit.
const Least = time.Microsecond

// Missing says what is wrong with a duration that has lost its unit, and what to
// do. ok is true if there is nothing wrong with it.
func Missing(d time.Duration) (problem, fix string, ok bool) {
	if d <= 0 || d >= Least {
		return "", "", true
	}
	return fmt.Sprintf("is %v", d), fmt.Sprintf("did you mean %d * time.Second?", int64(d)), false
}
