package foreign

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Waits that stand in a header without a standard, or in a sentence.

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

// WaitIn reads from a sentence, in lower case, when to come back; the longest, if
// it says so more than once. A number without a unit is none.
//
// It goes from number to number, and asks what stands before one: "again in",
// "retry after", "wait", "resets at". A number behind other words is a limit, a
// window, or what was asked for.
func (f *Facts) WaitIn(text string) time.Duration {
	var wait time.Duration
	foreign := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		foreign = foreign || c >= utf8.RuneSelf
		if c < '0' || c > '9' {
			if c == 'a' && i > 0 && text[i-1] == ' ' && i < len(text)-2 && (text[i+1] == ' ' || text[i+1] == 'n') && cue(text[:i]) == cueDelay {
				d, _ := leading(text[i:]) // "in an hour"
				wait = max(wait, d)
			}
			continue
		}
		if kind := cue(text[:i]); kind != 0 {
			wait = max(wait, f.when(text[i:], kind, strings.HasSuffix(text[:i], "retry-after: ")))
		}
		for i+1 < len(text) && strings.IndexByte("0123456789.,:-", text[i+1]) >= 0 {
			i++ // the rest of it, and of a date
		}
	}
	if foreign {
		wait = max(wait, later(text))
	}
	return wait
}

// when reads what the number at the beginning of a text says.
func (f *Facts) when(text string, kind int, seconds bool) (wait time.Duration) {
	if kind&cueDelay != 0 {
		if d, ok := leading(text); ok {
			return d
		}
		if seconds { // the header, quoted
			wait, _ = parseDelay(text[:digits(text)], time.Second)
			return wait
		}
	}
	if kind&cueMoment != 0 {
		if t, ok := f.moment(text); ok {
			return Clamp(t.Sub(f.clock()))
		}
	}
	return 0
}

// What may stand behind a cue.
const (
	cueDelay = 1 << iota
	cueMoment
)

// cue says what the end of a text announces.
func cue(text string) int {
	text = text[max(0, len(text)-64):]
	var word string
	for range 4 { // "wait for about at least"
		text = strings.TrimRight(text, " :='\"`(~≈")
		word = text[strings.LastIndexAny(text, " \n(\"'{")+1:]
		switch word {
		case "about", "approximately", "another", "least", "least:", "time", "is", "for":
			text = text[:len(text)-len(word)]
			if word == "for" && anyWord(text[max(0, len(text)-8):], "out ", "off ", "paused ", "blocked ") {
				return cueDelay
			}
			if word == "least" {
				text = strings.TrimSuffix(text, "at ")
			}
			continue
		}
		break
	}
	before := text[:len(text)-len(word)]
	before = before[max(0, len(before)-32):]
	before = before[strings.LastIndexAny(before, ".;:()0123456789")+1:] // another sentence, or another number
	switch word {
	case "wait", "waiting", "cooldown", "retry-after", "retry_after", "retrydelay", "retry":
		return cueDelay | cueMoment
	case "until":
		return cueMoment
	case "in":
		if anyWord(before, "again", "retry", "available", "replenished", "reset", "ready", "refresh", "lifted", "allowed", "versuchen") {
			return cueDelay
		}
	case "en", "dans":
		if anyWord(before, "intent", "essay") { // intentarlo en, réessayer dans
			return cueDelay
		}
	case "after":
		if anyWord(before, "again", "retry", "access") {
			return cueDelay | cueMoment
		}
	case "at", "on":
		if anyWord(before, "again", "retry", "available", "reset", "access", "renew") {
			return cueMoment
		}
	}
	return 0
}

// leading reads the duration at the beginning of a text: "10 hours 58 minutes
// before …", "an hour".
func leading(text string) (time.Duration, bool) {
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

// within and index look for a word, in lower case, and do not care for the text's.
func within(text, word string) bool { return index(text, word) >= 0 }

func index(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}
