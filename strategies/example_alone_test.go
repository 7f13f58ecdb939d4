package strategies_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// A worker takes jobs from a queue and sends each to a model. It has no call to
// wrap in layers, so it asks the strategies itself.
func Example_alone() {
	breaker := &strategies.Breaker{Name: "model", Failures: 2, NoJitter: true}
	retry := strategies.Retry{MaxRetries: 3, Budget: &strategies.Budget{}}
	classifier := &strategies.Classifier{}

	// work tries one job once, and says when to try it again, if at all.
	work := func(send func() error, tried int) (again time.Duration, retried bool) {
		permit, err := breaker.Allow()
		if err != nil {
			fmt.Println("  not sent: the breaker is", breaker.State())
			return breaker.RetryAfter(), true
		}
		err = send()
		verdict := classifier.Classify(err)
		permit.Settle(verdict, err) // books it, and holds the breaker for a rate limit
		if err == nil {
			retry.Budget.Success()
			fmt.Println("  done")
			return 0, false
		}
		wait, stop := retry.Next(strategies.RetryState{Verdict: verdict, Retries: tried})
		if stop != "" {
			fmt.Println("  given up:", stop)
			return 0, false
		}
		fmt.Println("  failed, again in", wait)
		return wait, true
	}

	fine := func() error { return nil }
	refused := func() error { return strategies.WithClass(strategies.ClassBlocked, errors.New("no")) }
	down := func() error { return errors.New("connection reset") }
	for _, job := range []func() error{fine, refused, down, down, fine} {
		fmt.Println("a job:")
		work(job, 0)
	}
	// Output:
	// a job:
	//   done
	// a job:
	//   given up: this class of failure rules it out
	// a job:
	//   failed, again in 1s
	// a job:
	//   failed, again in 1s
	// a job:
	//   not sent: the breaker is open
}
