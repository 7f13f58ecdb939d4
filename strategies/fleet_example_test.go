package strategies_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// Two replicas of a shop; in a real one each is a process, and the store is one that
// both reach.
func ExampleFleet() {
	store := &memory.Store{} // or nats.Open, redis.Open, postgres.Open
	defer store.Close()

	replica := func() (*strategies.Breaker, *strategies.Fleet) {
		openAI := &strategies.Breaker{Name: "openai"}
		budget := &strategies.Budget{}
		ladder := &strategies.Ladder{Name: "shop"}
		pace := &strategies.Pace{RequestsPerMinute: 600} // what the plan allows, of all replicas together

		fleet := &strategies.Fleet{Store: store, Name: "shop"}
		if err := fleet.Share(openAI, budget, ladder, pace); err != nil {
			fmt.Println(err)
		}
		return openAI, fleet
	}
	first, fleet := replica()
	defer fleet.Close()
	second, fleet := replica()
	defer fleet.Close()

	told := make(chan strategies.BreakerChange, 1)
	defer second.Watch(func(c strategies.BreakerChange) { told <- c })()

	first.Hold(20*time.Second, strategies.WithClass(strategies.ClassRateLimited, errors.New("429 Retry-After: 20")))

	fmt.Println("the second is", (<-told).To)
	_, err := second.Allow()
	var shared *strategies.SharedError
	if errors.As(err, &shared) {
		fmt.Println(shared.Class, "as another replica was told")
	}
	// Output:
	// the second is held
	// rate_limited as another replica was told
}
