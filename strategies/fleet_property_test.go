package strategies_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// worlds runs a test in many worlds of virtual time, each with its own number of
// replicas, latency and loss.
func worlds(t *testing.T, test func(t *testing.T, rnd *rand.Rand, c *cloud, all []*member)) {
	t.Helper()
	n := uint64(40)
	if testing.Short() {
		n = 15
	}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 15))
			c := &cloud{Ahead: time.Duration(rnd.Int64N(int64(4*time.Hour))) - 2*time.Hour}
			var all []*member
			latency, loss := time.Duration(rnd.Int64N(int64(80*time.Millisecond))), 0.0
			if rnd.IntN(2) == 0 {
				loss = rnd.Float64() / 10
			}
			for i := range 2 + rnd.IntN(7) {
				all = append(all, join(t, c, i, latency, loss))
			}
			settle(5 * time.Second)
			test(t, rnd, c, all)
			if t.Failed() {
				t.Fatalf("seed %d: %d replicas, latency %v, loss %.3f", seed, len(all), latency, loss)
			}
		})
	}
}

// cuts parts replicas from the store and joins them again, at random.
func cuts(rnd *rand.Rand, all []*member) {
	switch m := all[rnd.IntN(len(all))]; rnd.IntN(60) {
	case 0:
		m.wire.Cut(true)
	case 1, 2:
		m.wire.Cut(false)
	case 3:
		m.wire.Hang(rnd.IntN(2) == 0)
	}
}

// Whatever one sick replica says and whatever the store does, the breakers of the others
// stay closed.
func TestFleetOneSickReplicaOpensNoOther(t *testing.T) {
	worlds(t, func(t *testing.T, rnd *rand.Rand, _ *cloud, all []*member) {
		sick, streak := all[0], map[*member]int{}
		busy := all[:1+rnd.IntN(len(all))] // the others have no calls
		for range 3000 {
			cuts(rnd, all)
			m := busy[rnd.IntN(len(busy))]
			switch {
			case m == sick:
				m.call(errDead)
			case streak[m] < 2 && len(all) > 2 && m == all[1] && rnd.IntN(10) == 0:
				streak[m]++ // one of the others fails now and then, for reasons of its own
				m.call(errDead)
			default:
				streak[m] = 0
				m.call(nil)
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(200 * time.Millisecond))))
			for _, m := range all[1:] {
				if s := m.State(); s != strategies.StateClosed {
					t.Errorf("%s is %s", m.fleet.Replica, s)
					return
				}
			}
		}
	})
}

// What a replica knows of a hold is never taken back, but by a Reset.
func TestFleetHoldsNeverShorten(t *testing.T) {
	worlds(t, func(t *testing.T, rnd *rand.Rand, _ *cloud, all []*member) {
		until := map[*member]time.Time{}
		for range 2000 {
			cuts(rnd, all)
			m := all[rnd.IntN(len(all))]
			if rnd.IntN(20) == 0 {
				m.Hold(time.Duration(1+rnd.Int64N(int64(time.Minute))), errDead)
			} else {
				m.call(nil)
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
			for _, m := range all {
				is := time.Now().Add(m.RetryAfter())
				if is.Before(until[m]) && until[m].After(time.Now()) {
					t.Errorf("%s was held until %v, and is until %v", m.fleet.Replica, until[m], is)
					return
				}
				until[m] = is
			}
		}
		// In the end all know the longest.
		for _, m := range all {
			m.wire.Mend()
		}
		settle(20 * time.Second)
		all[0].Hold(30*time.Minute, errDead)
		settle(5 * time.Second)
		for _, m := range all {
			if left := m.RetryAfter(); left < 29*time.Minute {
				t.Errorf("%s is held for %v", m.fleet.Replica, left)
			}
		}
	})
}

// trialCall is a call under way.
type trialCall struct {
	m     *member
	p     strategies.Permit
	trial bool
	end   time.Time
}

// As long as the store is reached, one replica tries at a time, however long its trials
// take, whoever has calls; and when the agent is well all breakers close.
func TestFleetOneTrialAtATime(t *testing.T) {
	most := 0
	worlds(t, func(t *testing.T, rnd *rand.Rand, _ *cloud, all []*member) {
		for _, m := range all {
			m.wire.Mend()
		}
		var calls []trialCall
		began, trials := time.Now(), 0
		var until time.Time // a trial has failed, and nobody tries before
		dead := func() bool { return time.Since(began) < 8*time.Minute }
		for time.Since(began) < 20*time.Minute {
			m := all[rnd.IntN(len(all))]
			if p, err := m.Allow(); err == nil {
				_, trial := p.Trial(0)
				if trial {
					trials++
					if time.Now().Before(until) {
						t.Errorf("a trial %v too early", time.Until(until))
					}
				}
				calls = append(calls, trialCall{m, p, trial, time.Now().Add(time.Duration(rnd.Int64N(int64(time.Minute))))})
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(800 * time.Millisecond))))
			left := calls[:0]
			busy := 0
			for _, c := range calls {
				if time.Now().Before(c.end) {
					left = append(left, c)
					if c.trial {
						busy++
					}
					continue
				}
				switch err := errDead; {
				case c.trial && rnd.IntN(10) == 0:
					c.p.Neutral() // its caller left
				case dead():
					c.p.Failure(err)
					if c.trial {
						until = time.Now().Add(30 * time.Second)
					}
				default:
					c.p.Success()
				}
			}
			if calls = left; busy > 1 {
				t.Errorf("%d trials at a time, %v after the beginning", busy, time.Since(began))
				return
			}
		}
		if n := states(all)[strategies.StateClosed]; n != len(all) {
			t.Errorf("%d of %d are closed in the end, after %d trials", n, len(all), trials)
		}
		most = max(most, trials)
	})
	t.Logf("at most %d trials in 8 minutes of outage and after", most)
}

// With the store away a breaker decides what one without a fleet does, and at the same
// moment.
func TestFleetAwayIsAsWithout(t *testing.T) {
	worlds(t, func(t *testing.T, rnd *rand.Rand, _ *cloud, all []*member) {
		alone := make([]*strategies.Breaker, len(all))
		for i, m := range all {
			m.wire.Cut(true)
			alone[i] = &strategies.Breaker{Name: m.Breaker.Name, NoJitter: true}
		}
		for i, m := range all[:min(len(all), 4)] { // what was said before counts no more
			m.wire.Cut(false)
			settle(10 * time.Second)
			m.call(errDead)
			alone[i].Reset() // so that both have begun
			if p, err := alone[i].Allow(); err == nil {
				p.Failure(errDead)
			}
		}
		settle(10 * time.Second)
		for _, m := range all {
			m.wire.Cut(true)
		}
		settle(time.Minute)
		type pair struct {
			a, b strategies.Permit
			end  time.Time
			err  error
		}
		var calls []pair
		for range 3000 {
			i := rnd.IntN(len(all))
			switch m, a := all[i], alone[i]; rnd.IntN(300) {
			case 0:
				d := time.Duration(rnd.Int64N(int64(time.Minute)))
				m.Hold(d, errDead)
				a.Hold(d, errDead)
			case 1:
				m.Isolate()
				a.Isolate()
			case 2, 3, 4:
				m.Reset()
				a.Reset()
			}
			m, a := all[i], alone[i]
			before := time.Now()
			p, err := m.Allow()
			if took := time.Since(before); took > 0 {
				t.Errorf("a call waited %v", took)
			}
			q, errAlone := a.Allow()
			if (err == nil) != (errAlone == nil) || m.State() != a.State() {
				t.Errorf("%v in %s, alone %v in %s", err, m.State(), errAlone, a.State())
				return
			}
			if err == nil {
				c := pair{p, q, time.Now().Add(time.Duration(rnd.Int64N(int64(5 * time.Second)))), nil}
				if rnd.IntN(10) < 7 {
					c.err = errDead
				}
				calls = append(calls, c)
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(time.Second))))
			left := calls[:0]
			for _, c := range calls {
				switch {
				case time.Now().Before(c.end):
					left = append(left, c)
				case c.err != nil:
					c.a.Failure(c.err)
					c.b.Failure(c.err)
				default:
					c.a.Success()
					c.b.Success()
				}
			}
			calls = left
		}
	})
}

// However the store is cut and whoever says what, all agree in the end.
func TestFleetAgreesInTheEnd(t *testing.T) {
	worlds(t, func(t *testing.T, rnd *rand.Rand, _ *cloud, all []*member) {
		for range 500 {
			cuts(rnd, all)
			m := all[rnd.IntN(len(all))]
			switch rnd.IntN(12) {
			case 0:
				m.Isolate()
			case 1:
				m.Reset()
			case 2:
				m.Hold(time.Duration(rnd.Int64N(int64(time.Minute))), errDead)
			case 3:
				m.ladder.Pin(strategies.Level(rnd.IntN(4)), "by hand")
			case 4:
				m.ladder.Restore(strategies.Level(rnd.IntN(4)))
			case 5, 6:
				m.call(errDead)
			default:
				m.call(nil)
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(400 * time.Millisecond))))
		}
		for _, m := range all {
			m.wire.Mend()
		}
		settle(90 * time.Second)
		view := func(m *member) string {
			_, pinned := m.ladder.State()
			level := m.ladder.Level()
			if !pinned {
				level = 0 // is a replica's own
			}
			return fmt.Sprint(m.State() == strategies.StateIsolated, pinned, level)
		}
		for _, m := range all[1:] {
			if view(m) != view(all[0]) {
				t.Errorf("%s: %s, %s: %s", all[0].fleet.Replica, view(all[0]), m.fleet.Replica, view(m))
			}
			if h := m.fleet.Health(); h.Away || h.Unpublished > 0 || h.Replicas != len(all) {
				t.Errorf("%+v", h)
			}
		}
	})
}
