package strategies

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest hint believed. Beyond a year it is a bug of the
// server's, and below it no sum with a time or a jitter overflows.
const maxRetryAfter = 366 * 24 * time.Hour

// ParseRetryAfter reads how long a server asks to be left alone, from the headers of
// its answer. ok is false if it says nothing that can be understood.
//
// Retry-After-Ms (milliseconds, sent by OpenAI and Azure) is finer and goes
// first; next comes Retry-After as RFC 9110, section 10.2.3, has it: seconds,
// here with a fraction too as some providers send it, or a date in any of the
// three HTTP forms, of which now is subtracted.
//
// A date that has passed and a negative number both mean "now": 0, true. No
// hint is longer than 366 days; a longer one is cut to that.
func ParseRetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	if d, ok = parseDelay(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d, true
	}
	value := h.Get("Retry-After")
	if d, ok = parseDelay(value, time.Second); ok {
		return d, true
	}
	date, err := http.ParseTime(strings.TrimSpace(value))
	if err != nil {
		return 0, false
	}
	return clampDelay(date.Sub(now)), true
}

// parseDelay reads a decimal number of units. Too large a number is a long
// delay, but infinity and NaN, which strconv takes for numbers, are not.
func parseDelay(number string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if math.IsNaN(n) || err == nil && math.IsInf(n, 0) || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	if n *= float64(unit); n >= float64(maxRetryAfter) {
		return maxRetryAfter, true
	}
	// Rounded, for 2.3 s is a hair less in binary and a hint is never shortened.
	return clampDelay(time.Duration(math.Round(max(n, 0)))), true
}

func clampDelay(d time.Duration) time.Duration { return min(max(d, 0), maxRetryAfter) }
