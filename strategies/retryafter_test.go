package strategies_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

const longest = 366 * 24 * time.Hour

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		it     string
		header http.Header
		want   time.Duration
		ok     bool
	}{
		{"reads whole seconds", http.Header{"Retry-After": {"7"}}, 7 * time.Second, true},
		{"reads fractional seconds", http.Header{"Retry-After": {"0.25"}}, 250 * time.Millisecond, true},
		{"loses no nanosecond to binary fractions", http.Header{"Retry-After": {"2.3"}}, 2300 * time.Millisecond, true},
		{"reads zero as now", http.Header{"Retry-After": {"0"}}, 0, true},
		{"reads negative seconds as now", http.Header{"Retry-After": {"-3"}}, 0, true},
		{"ignores blanks around a number", http.Header{"Retry-After": {" 7 "}}, 7 * time.Second, true},
		{"reads milliseconds", http.Header{"Retry-After-Ms": {"1500"}}, 1500 * time.Millisecond, true},
		{"reads fractional milliseconds", http.Header{"Retry-After-Ms": {"0.5"}}, 500 * time.Microsecond, true},
		{"prefers milliseconds to seconds", http.Header{"Retry-After-Ms": {"1500"}, "Retry-After": {"2"}}, 1500 * time.Millisecond, true},
		{"falls back to seconds when the milliseconds are garbage", http.Header{"Retry-After-Ms": {"soon"}, "Retry-After": {"2"}}, 2 * time.Second, true},
		{"reads an IMF-fixdate", http.Header{"Retry-After": {"Sun, 01 Mar 2026 12:00:30 GMT"}}, 30 * time.Second, true},
		{"reads an RFC 850 date", http.Header{"Retry-After": {"Sunday, 01-Mar-26 12:00:30 GMT"}}, 30 * time.Second, true},
		{"reads an asctime date", http.Header{"Retry-After": {"Sun Mar  1 12:00:30 2026"}}, 30 * time.Second, true},
		{"reads a past date as now", http.Header{"Retry-After": {"Sun, 01 Mar 2020 12:00:30 GMT"}}, 0, true},
		{"cuts a date beyond a year", http.Header{"Retry-After": {"Sun, 01 Mar 9999 12:00:30 GMT"}}, longest, true},
		{"cuts seconds that would overflow", http.Header{"Retry-After": {"9223372036854775807"}}, longest, true},
		{"cuts seconds that no float holds", http.Header{"Retry-After": {strings.Repeat("9", 400)}}, longest, true},
		{"cuts milliseconds that no float holds", http.Header{"Retry-After-Ms": {"1e999"}}, longest, true},
		{"reads a hugely negative number as now", http.Header{"Retry-After": {"-1e999"}}, 0, true},
		{"says nothing without headers", nil, 0, false},
		{"says nothing of an empty header", http.Header{"Retry-After": {""}}, 0, false},
		{"says nothing of NaN", http.Header{"Retry-After": {"NaN"}}, 0, false},
		{"says nothing of infinity", http.Header{"Retry-After": {"+Inf"}, "Retry-After-Ms": {"infinity"}}, 0, false},
		{"says nothing of a unit", http.Header{"Retry-After": {"5s"}}, 0, false},
		{"says nothing of garbage", http.Header{"Retry-After": {"tomorrow, maybe"}}, 0, false},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if d, ok := strategies.ParseRetryAfter(tt.header, noon); d != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v, want %v, %v", d, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("", "120", int64(0))
	f.Add("1500.5", "", int64(math.MaxInt64))
	f.Add("-1e999", "1e999", int64(math.MinInt64))
	f.Add("NaN", "Sun, 01 Mar 2026 12:00:30 GMT", noon.Unix())
	f.Add("0x1p-2", "Sunday, 01-Mar-26 12:00:30 GMT", int64(-62135596800))
	f.Add("inf", "Sun Mar  1 12:00:30 2026", int64(253402300799))
	f.Fuzz(func(t *testing.T, ms, after string, now int64) {
		h := http.Header{"Retry-After-Ms": {ms}, "Retry-After": {after}}
		d, ok := strategies.ParseRetryAfter(h, time.Unix(now, 0))
		if d < 0 || d > longest || !ok && d != 0 {
			t.Errorf("RetryAfter(%q, %q) = %v, %v", ms, after, d, ok)
		}
	})
}

func ExampleParseRetryAfter() {
	busy := http.Header{"Retry-After": {"Sun, 01 Mar 2026 12:00:30 GMT"}}
	fmt.Println(strategies.ParseRetryAfter(busy, noon))
	// Output: 30s true
}
