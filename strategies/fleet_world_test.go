package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/farstore"
	"github.com/understudy-go/understudy/strategies"
)

type (
	cloud = farstore.Cloud
	wire  = farstore.Wire
)

// wireTo is a wire for as long as the test lasts.
func wireTo(t *testing.T, c *cloud, seed uint64, latency time.Duration, loss float64) *wire {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return c.Wire(ctx, seed, latency, loss)
}

// member is one replica.
type member struct {
	*strategies.Breaker
	t      *testing.T
	wire   *wire
	fleet  *strategies.Fleet
	budget *strategies.Budget
	ladder *strategies.Ladder
	pace   *strategies.Pace
}

var errDead = strategies.WithClass(strategies.ClassTransient, errors.New("503"))

// inFleet runs a test with so many replicas in virtual time.
func inFleet(t *testing.T, name string, n int, test func(t *testing.T, c *cloud, all []*member)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{}
			var all []*member
			for i := range n {
				all = append(all, join(t, c, i, 2*time.Millisecond, 0))
			}
			settle(10 * time.Second)
			test(t, c, all)
		})
	})
}

// settle lets time pass, and all that happens in it.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func join(t *testing.T, c *cloud, i int, latency time.Duration, loss float64) *member {
	t.Helper()
	m := &member{
		Breaker: &strategies.Breaker{Name: "openai", NoJitter: true}, t: t, wire: wireTo(t, c, uint64(i), latency, loss),
		budget: &strategies.Budget{}, ladder: &strategies.Ladder{Name: "shop"}, pace: &strategies.Pace{RequestsPerMinute: 600},
	}
	m.fleet = &strategies.Fleet{Store: m.wire, Name: "shop", Replica: fmt.Sprint("r", i)}
	if err := m.fleet.Share(m.Breaker, m.budget, m.ladder, m.pace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// call makes a call that ends so; false: it was refused.
func (m *member) call(err error) bool {
	permit, refused := m.Allow()
	if refused != nil {
		return false
	}
	if err != nil {
		permit.Failure(err)
	} else {
		permit.Success()
	}
	return true
}

func states(all []*member) (n map[strategies.State]int) {
	n = map[strategies.State]int{}
	for _, m := range all {
		n[m.State()]++
	}
	return n
}

func (m *member) want(s strategies.State) {
	m.t.Helper()
	if got := m.State(); got != s {
		m.t.Errorf("%s is %s, want %s", m.fleet.Replica, got, s)
	}
}
