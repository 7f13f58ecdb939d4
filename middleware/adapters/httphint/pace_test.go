package httphint_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// A good answer says that nothing is left: nobody has a turn until it is.
func TestAPaceLearnsFromGoodAnswers(t *testing.T) {
	p := start(t, says(http.StatusOK, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "30"))
	pace := &strategies.Pace{RequestsPerMinute: 600, NoWait: true}
	client := &http.Client{Transport: httphint.Transport{Base: p.client.Transport, Pace: pace}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_, err = pace.Acquire(t.Context(), strategies.PriorityNormal, 0)
	late, ok := err.(*strategies.PaceError) //nolint:errorlint // made just now
	if !ok || late.Wait < 20*time.Second || late.Wait > 30*time.Second {
		t.Errorf("error = %v", err)
	}
}
