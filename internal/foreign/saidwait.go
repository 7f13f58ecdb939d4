package foreign

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Waits that stand in a sentence.

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
