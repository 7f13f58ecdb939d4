package strategies

import (
	"net/http"
	"time"

	"github.com/understudy-go/understudy/internal/foreign"
)

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
	return foreign.ParseRetryAfter(h, now)
}
