package foreign

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Waits that stand in a header without a standard, or in a sentence.

// clockWait reads a moment or a number of seconds: an epoch in seconds or
// milliseconds, a date, a duration, or seconds from now. The server's own clock
// counts where there is one.
func (f *Facts) clockWait(value string) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseFloat(value, 64); err == nil {
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
		f.now = time.Now()
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
		if at := index(name, "retry-after"); at > 0 {
			f.delay(lower(name[at:]), values[0])
			continue
		}
		if !within(name, "ratelimit") && !within(name, "rate-limit") {
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
		if left := value1(h, name[:at]+"remaining"+name[at+len("reset"):]); left != "" {
			if n, err := strconv.ParseFloat(left, 64); err != nil || n > 0 {
				continue
			}
		} else if status := value1(h, name[:at]+"status"+name[at+len("reset"):]); status != "" && !strings.EqualFold(status, "rejected") {
			continue
		}
		if d, ok := f.clockWait(values[0]); ok {
			f.Reset = max(f.Reset, d)
		}
	}
}

// value1 finds a header whose name may not be spelled as net/http spells it.
func value1(h http.Header, name string) string {
	if v := h.Get(name); v != "" {
		return v
	}
	for key, values := range h {
		if len(values) > 0 && strings.EqualFold(key, name) {
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

// WaitIn reads from a sentence, in lower case, when to come back; the longest, if
// it says so more than once. A number without a unit is none.
func (f *Facts) WaitIn(text string) time.Duration {
	var wait time.Duration
	for _, cue := range [...]string{
		"again in", "again after", "retry ", "retry-after", "retry_after", "wait", "available in", "replenished in", "resets in",
		"reset in", "retrydelay", "ready in", "refreshes in", "lifted in", "allowed in", "out for", "paused for", "blocked for", "back off for", "cooldown",
		"versuchen sie es in", "intentarlo en", "réessayer dans", "réessayez dans",
	} {
		for rest := text; ; {
			at := strings.Index(rest, cue)
			if at < 0 {
				break
			}
			rest = rest[at+len(cue):]
			if d, ok := leading(past(rest, cue)); ok {
				wait = max(wait, d)
			} else if number, ok := strings.CutPrefix(rest, ": "); ok && cue == "retry-after" { // the header, quoted
				d, _ := parseDelay(number[:digits(number)], time.Second)
				wait = max(wait, d)
			}
		}
	}
	for _, cue := range [...]string{
		"resets at", "reset at", "reset on", "resets on", "access on", "again at", "again on", "again after", "available at", "available on", "until", "retry at",
		"retry after", "renews on", "renews at",
	} {
		for rest := text; ; {
			at := strings.Index(rest, cue)
			if at < 0 {
				break
			}
			rest = rest[at+len(cue):]
			if t, ok := f.moment(rest); ok {
				wait = max(wait, Clamp(t.Sub(f.clock())))
			}
		}
	}
	return max(wait, later(text))
}

// past is a text behind what is to be tried again: "your request after 20 s".
func past(text, cue string) string {
	if cue == "retry " {
		for _, when := range [...]string{"after ", "in "} {
			if at := strings.Index(text[:min(len(text), 24)], when); at >= 0 {
				return text[at+len(when):]
			}
		}
	}
	return text
}

// leading reads the duration at the beginning of a text, behind a few words that
// say nothing: "approximately 10 hours 58 minutes before …".
func leading(text string) (time.Duration, bool) {
	text = strings.TrimLeft(text, " :='\"`(")
	for _, filler := range [...]string{"time: ", "time is ", "about ", "approximately ", "at least ", "another ", "for ", "after ", "~", "≈"} {
		text = strings.TrimPrefix(text, filler)
	}
	if days, rest, ok := strings.Cut(text, "."); ok && len(days) <= 3 { // .NET: 9.02:11:19
		n, err := strconv.Atoi(days)
		if d, ok := clockFace(rest); ok && err == nil && n >= 0 {
			return d + time.Duration(n)*24*time.Hour, true
		}
	}
	if d, ok := clockFace(text); ok {
		return d, true
	}
	for _, one := range [...]string{"an ", "a "} {
		if rest, ok := strings.CutPrefix(text, one); ok {
			unit := unitOf(rest[:letters(rest)])
			return unit, unit != 0
		}
	}
	var sum time.Duration
	found := false
	for range 4 {
		n := digits(text)
		if n == 0 || n > 20 {
			break
		}
		number, rest := strings.ReplaceAll(text[:n], ",", ""), strings.TrimLeft(text[n:], " -")
		end := letters(rest)
		unit := unitOf(rest[:end])
		if unit == 0 {
			break
		}
		d, ok := parseDelay(number, unit)
		if !ok {
			break
		}
		sum, found = Clamp(sum+d), true
		text = strings.TrimLeft(rest[end:], " ,")
		text = strings.TrimPrefix(text, "and ")
	}
	return sum, found
}

// digits is how many bytes of a number a text begins with.
func digits(text string) (n int) {
	for n < len(text) && (text[n] >= '0' && text[n] <= '9' || n > 0 && (text[n] == '.' || text[n] == ',')) {
		n++
	}
	return n
}

func letters(text string) (n int) {
	for n < len(text) && text[n] >= 'a' && text[n] <= 'z' {
		n++
	}
	return n
}

// later reads what Chinese, Japanese and Korean say: "30 秒后", thirty seconds
// later, and "等待时间 30 秒". "1分钟内" is a window.
func later(text string) (wait time.Duration) {
	for _, word := range [...]struct {
		name string
		unit time.Duration
	}{{"秒", time.Second}, {"초 후", time.Second}, {"分钟", time.Minute}, {"分後", time.Minute}, {"분 후", time.Minute}, {"小时", time.Hour}, {"時間後", time.Hour}} {
		at := strings.Index(text, word.name)
		if at < 0 {
			continue
		}
		before, after := strings.TrimRight(text[:at], " "), text[at+len(word.name):]
		n := len(before)
		for n > 0 && (before[n-1] >= '0' && before[n-1] <= '9' || before[n-1] == '.') {
			n--
		}
		if !anyWord(word.name, "後", "후") && !strings.HasPrefix(after, "后") && !strings.HasPrefix(after, "後") && !anyWord(before[max(0, n-20):n], "等待", "剩余") {
			continue
		}
		if d, ok := parseDelay(before[n:], word.unit); ok {
			wait = max(wait, d)
		}
	}
	return wait
}

func unitOf(name string) time.Duration {
	switch name {
	case "ms", "msec", "msecs", "millis", "millisecond", "milliseconds":
		return time.Millisecond
	case "s", "sec", "secs", "second", "seconds", "secondes", "sekunden", "segundos":
		return time.Second
	case "m", "min", "mins", "minute", "minutes", "minuten", "minutos":
		return time.Minute
	case "h", "hr", "hrs", "hour", "hours":
		return time.Hour
	case "d", "day", "days":
		return 24 * time.Hour
	}
	return 0
}

// clockFace reads 02:11:19, hours and minutes and seconds.
func clockFace(text string) (time.Duration, bool) {
	if len(text) < 8 || text[2] != ':' || text[5] != ':' || len(text) > 8 && text[8] >= '0' && text[8] <= '9' {
		return 0, false
	}
	var parts [3]int
	for i := range parts {
		n, err := strconv.Atoi(text[3*i : 3*i+2])
		if err != nil || n < 0 || i > 0 && n > 59 {
			return 0, false
		}
		parts[i] = n
	}
	return time.Duration(parts[0])*time.Hour + time.Duration(parts[1])*time.Minute + time.Duration(parts[2])*time.Second, true
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

// moment reads the date and time at the beginning of a text, in lower case, or
// the time alone, or an epoch. One without a zone is none: a day off is worse than
// no hint.
func (f *Facts) moment(text string) (time.Time, bool) {
	text = strings.TrimLeft(text, " :='\"`(")
	if n := digits(text); n >= 10 && n <= 14 && !strings.Contains(text[:n], ",") {
		d, ok := f.clockWait(strings.TrimRight(text[:n], "."))
		return f.clock().Add(d), ok
	}
	if t, ok := f.timeOfDay(text); ok {
		return t, true
	}
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return time.Time{}, false
	}
	text = strings.ToUpper(text[:min(len(text), 40)])
	text = strings.Replace(text, " AT ", " ", 1)
	if end := strings.IndexAny(text, ",;()'\"`\n"); end >= 0 {
		text = text[:end]
	}
	fields := strings.Fields(strings.TrimRight(text, ". "))
	for n := min(len(fields), 3); n > 0; n-- {
		try := strings.TrimRight(strings.Join(fields[:n], " "), ".")
		for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST", "2006-01-02 15:04 MST", "2006-01-02T15:04:05 MST"} {
			if strings.HasSuffix(layout, "MST") && !strings.HasSuffix(try, " UTC") && !strings.HasSuffix(try, " GMT") {
				continue // other names of zones are not known everywhere
			}
			if t, err := time.Parse(layout, try); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// timeOfDay reads "12:30 utc" and "12:30 pm utc", and means the next one.
func (f *Facts) timeOfDay(text string) (time.Time, bool) {
	end := strings.Index(text, "utc")
	if end < 4 || end > 12 || strings.IndexByte(text[:3], ':') < 0 {
		return time.Time{}, false
	}
	now := f.clock().UTC()
	for _, layout := range [...]string{"15:04", "15:04:05", "3:04PM", "3:04 PM"} {
		t, err := time.Parse(layout, strings.ToUpper(strings.TrimRight(text[:end], " (")))
		if err != nil {
			continue
		}
		t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		if t.Before(now) {
			t = t.AddDate(0, 0, 1)
		}
		return t, true
	}
	return time.Time{}, false
}

// within and index look for a word without a care for upper and lower case.
func within(text, word string) bool { return index(text, word) >= 0 }

func index(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}
