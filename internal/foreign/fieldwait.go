package foreign

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Waits that stand in a header or a field without a standard.

// clockWait reads a moment or a number of seconds: an epoch in seconds or
// milliseconds, a date, a duration, or seconds from now. The server's own clock
// counts where there is one.
func (f *Facts) clockWait(value string) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if !numeric(value) {
		// a duration, or a date
	} else if n, err := strconv.ParseFloat(value, 64); err == nil {
		switch {
		case n >= 1e17: // a bug of the server's, or nanoseconds
			return 0, false
		case n >= 1e11:
			return Clamp(time.UnixMilli(int64(n)).Sub(f.clock())), true
		case n >= 1e9:
			return Clamp(time.Unix(0, int64(n*1e9)).Sub(f.clock())), true
		}
		return parseDelay(value, time.Second)
	}
	if d, ok := duration(value); ok {
		return d, true
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return Clamp(t.Sub(f.clock())), true
	}
	if t, err := http.ParseTime(value); err == nil {
		return Clamp(t.Sub(f.clock())), true
	}
	if t, err := time.Parse("2006-Jan-02 15:04:05-0700 MST", value); err == nil { // WSO2
		return Clamp(t.Sub(f.clock())), true
	}
	return 0, false
}

// delay reads a field or a header whose name, in lower case, says that its value
// is when to come back: retry_after, retryAfterMs, reset_in_seconds, retry_at.
func (f *Facts) delay(name, value string) {
	if len(name) > 32 || !anyWord(name, "retry", "reset", "wait", "time", "cooldown") {
		return
	}
	name = strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "-", "")
	switch name {
	case "xratelimitreset", "resetsat", "resetat", "resettime", "retryat", "nextretryat", "retryafterdate", "nextaccesstime":
		if d, ok := f.clockWait(value); ok {
			f.Reset = max(f.Reset, d)
		}
		return
	case "estimatedtime":
		name = "retryafter"
	}
	for _, start := range [...]string{"retryafter", "retryin", "retrydelay", "resetsin", "resetin", "resetafter", "cooldown", "waittime", "wait"} {
		unit, ok := strings.CutPrefix(name, start)
		if !ok || start == "wait" && unit == "" {
			continue
		}
		if unit == "" {
			if d, ok := f.clockWait(value); ok {
				f.setWait(d)
			}
		} else if of := unitOf(unit); of != 0 {
			if d, ok := parseDelay(value, of); ok {
				f.setWait(d)
			}
		}
		return
	}
}

// Moment reads a header that says when: a moment, by a clock that says now, or a time
// from then.
func Moment(value string, now time.Time) (time.Duration, bool) {
	if len(value) > 64 {
		return 0, false
	}
	f := Facts{now: now}
	return f.clockWait(value)
}

func anyWord(text string, words ...string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func (f *Facts) clock() time.Time {
	if f.now.IsZero() {
		var err error
		if f.now, err = http.ParseTime(f.date); err != nil {
			f.now = time.Now()
		}
	}
	return f.now
}

// resets reads the headers that say when a limit is lifted: of those that are
// used up, the longest. A limit with something left says nothing of this failure.
//
// They are x-ratelimit-reset and x-ratelimit-reset-tokens with their kin,
// anthropic-ratelimit-tokens-reset, ratelimit-reset, and RateLimit itself, in both
// forms that the IETF's draft has had (draft-ietf-httpapi-ratelimit-headers).
func (f *Facts) resets(h http.Header) {
	seen := 0
	for name, values := range h {
		if seen++; seen > maxDetails || len(values) == 0 {
			continue
		}
		switch at, word := limitWord(name); {
		case word == "":
			continue
		case word == "retry-after":
			if at > 0 {
				f.delay(lower(name[at:]), values[0])
			}
			continue
		}
		if strings.EqualFold(name, "RateLimit") {
			f.policies(values[0])
			continue
		}
		at := index(name, "reset")
		if at < 0 {
			continue
		}
		if left := beside(h, name, at, "remaining"); left != "" {
			if n, err := strconv.ParseFloat(left, 64); err != nil || n > 0 {
				continue
			}
		} else if status := beside(h, name, at, "status"); status != "" && !strings.EqualFold(status, "rejected") {
			continue
		}
		if d, ok := f.clockWait(values[0]); ok {
			f.Reset = max(f.Reset, d)
		}
	}
}

// beside returns the header that has word where name has "reset", at at, however
// either is spelled.
func beside(h http.Header, name string, at int, word string) string {
	behind := name[at+len("reset"):]
	var room [64]byte
	if twin := append(append(append(room[:0], name[:at]...), word...), behind...); len(twin) <= len(room) {
		twin[at] ^= name[at]&0x20 ^ 0x20 // as large as the name's own letter: nearly all are spelled alike
		if values := h[string(twin)]; len(values) > 0 {
			return values[0]
		}
	}
	for key, values := range h {
		if len(values) > 0 && len(key) == at+len(word)+len(behind) &&
			strings.EqualFold(key[:at], name[:at]) && strings.EqualFold(key[at:at+len(word)], word) && strings.EqualFold(key[at+len(word):], behind) {
			return values[0]
		}
	}
	return ""
}

// policies reads RateLimit: `"default";r=0;t=30, "hourly";r=5;t=60` and
// `limit=100, remaining=0, reset=50`.
func (f *Facts) policies(value string) {
	var left, reset string
	for item := range strings.SplitSeq(value[:min(len(value), 1024)], ",") {
		var r, t string
		for part := range strings.SplitSeq(item, ";") {
			key, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch key {
			case "r":
				r = v
			case "t":
				t = v
			case "remaining":
				left = v
			case "reset":
				reset = v
			}
		}
		f.policy(r, t)
	}
	f.policy(left, reset)
}

func (f *Facts) policy(left, seconds string) {
	if d, ok := parseDelay(seconds, time.Second); ok && left == "0" {
		f.Reset = max(f.Reset, d)
	}
}

// duration reads a whole text as one: "2m59.56s", "120ms", "6 s".
func duration(value string) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" || len(value) > 32 || value[0] < '0' || value[0] > '9' {
		return 0, false
	}
	d, err := time.ParseDuration(strings.ReplaceAll(value, " ", ""))
	if err != nil {
		if number, isSeconds := strings.CutSuffix(value, "s"); isSeconds { // too long for a time.Duration
			return parseDelay(number, time.Second)
		}
		return 0, false
	}
	return Clamp(d), true
}

// limitWord finds what says that a header is about limits, which most are not. One
// that says when to come back counts for more.
func limitWord(name string) (at int, found string) {
	for i := 0; i+len("ratelimit") <= len(name); i++ {
		if name[i]|0x20 != 'r' {
			continue
		}
		switch rest := name[i:]; {
		case begins(rest, "ratelimit"):
			at, found = i, "ratelimit"
		case begins(rest, "rate-limit"):
			at, found = i, "rate-limit"
		case begins(rest, "retry-after"):
			return i, "retry-after"
		}
	}
	return at, found
}

// index looks for a word, in lower case, and does not care for the text's.
func index(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && begins(text[i:], word) {
			return i
		}
	}
	return -1
}

// begins is a cheap look, which takes some marks for others, before the dear one.
func begins(text, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if text[i]|0x20 != word[i] {
			return false
		}
	}
	return strings.EqualFold(text[:len(word)], word)
}
