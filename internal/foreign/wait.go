package foreign

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxWait is the longest wait believed. Beyond a year it is a bug of the
// server's, and below it no sum with a time or a jitter overflows.
const MaxWait = 366 * 24 * time.Hour

// ParseRetryAfter is described in package strategies, which forwards to it.
func ParseRetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	if d, ok = parseDelay(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d, true
	}
	value := h.Get("Retry-After")
	if d, ok = parseDelay(value, time.Second); ok {
		return d, true
	}
	if value == "" {
		return 0, false
	}
	date, err := http.ParseTime(strings.TrimSpace(value))
	if err != nil {
		return 0, false
	}
	return Clamp(date.Sub(now)), true
}

// parseDelay reads a decimal number of units. Too large a number is a long
// delay, but infinity and NaN, which strconv takes for numbers, are not.
func parseDelay(number string, unit time.Duration) (time.Duration, bool) {
	number = strings.TrimSpace(number)
	if !numeric(number) {
		return 0, false
	}
	n, err := strconv.ParseFloat(number, 64)
	if math.IsNaN(n) || err == nil && math.IsInf(n, 0) || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	if n *= float64(unit); n >= float64(MaxWait) {
		return MaxWait, true
	}
	// Rounded, for 2.3 s is a hair less in binary and a hint is never shortened.
	return Clamp(time.Duration(math.Round(max(n, 0)))), true
}

// numeric says whether a text may be a number, for strconv makes an error of what
// is none.
func numeric(text string) bool {
	return text != "" && strings.IndexByte("0123456789.+-", text[0]) >= 0 && strings.IndexByte("0123456789.", text[len(text)-1]) >= 0
}

// Clamp makes a wait of any duration: none below 0, none above [MaxWait].
func Clamp(d time.Duration) time.Duration { return min(max(d, 0), MaxWait) }
