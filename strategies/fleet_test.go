package strategies_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

const quarter = 250 * time.Millisecond // as late as anybody may learn of a fact

func TestFleetFacts(t *testing.T) {
	errLimit := strategies.WithClass(strategies.ClassRateLimited, errors.New("slow down, customer 4711"))
	inFleet(t, "a hold is everybody's at once", 10, func(t *testing.T, _ *cloud, all []*member) {
		all[3].Hold(20*time.Second, errLimit)
		settle(quarter)
		for _, m := range all {
			m.want(strategies.StateHeld)
			if left := m.RetryAfter(); left < 19*time.Second || left > 20*time.Second {
				t.Errorf("%s is held for %v", m.fleet.Replica, left)
			}
		}
		_, err := all[0].Allow()
		var cause *strategies.SharedError
		if !errors.As(err, &cause) || cause.Class != strategies.ClassRateLimited || cause.Replica != all[3].fleet.Health().Replica {
			t.Errorf("the cause is %+v", err)
		}
		settle(20 * time.Second)
		for _, m := range all {
			if !m.call(nil) {
				t.Errorf("%s is held still", m.fleet.Replica)
			}
		}
	})
	inFleet(t, "a hold only ever lengthens", 2, func(t *testing.T, c *cloud, all []*member) {
		all[0].Hold(time.Minute, errLimit)
		all[1].Hold(time.Second, errLimit) // nobody has told anybody yet
		settle(quarter)
		late := join(t, c, 9, 0, 0)
		settle(quarter)
		for _, m := range append(all, late) {
			if left := m.RetryAfter(); left < 59*time.Second {
				t.Errorf("%s is held for %v", m.fleet.Replica, left)
			}
		}
		all[1].Hold(2*time.Minute, errLimit)
		settle(quarter)
		if left := all[0].RetryAfter(); left < 119*time.Second {
			t.Errorf("held for %v", left)
		}
	})
	inFleet(t, "nobody is held for longer than he allows", 1, func(t *testing.T, c *cloud, all []*member) {
		careful := join(t, c, 9, 0, 0)
		careful.fleet.Close()
		short := &strategies.Breaker{Name: "openai", MaxHold: time.Minute}
		f := &strategies.Fleet{Store: careful.wire, Name: "shop"}
		if err := f.Share(short); err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		settle(time.Second)
		all[0].Hold(time.Hour, errLimit)
		settle(quarter)
		if left := short.RetryAfter(); left <= 0 || left > time.Minute {
			t.Errorf("held for %v", left)
		}
	})
	inFleet(t, "isolated by one, reset by another", 3, func(t *testing.T, c *cloud, all []*member) {
		all[0].Isolate()
		settle(quarter)
		all[1].want(strategies.StateIsolated)
		late := join(t, c, 7, 0, 0)
		settle(quarter)
		late.want(strategies.StateIsolated)
		all[2].Reset()
		settle(quarter)
		for _, m := range append(all, late) {
			m.want(strategies.StateClosed)
		}
		all[2].Hold(time.Hour, errLimit)
		settle(quarter)
		all[0].Reset()
		settle(quarter)
		all[1].want(strategies.StateClosed)
		all[1].Hold(time.Minute, errLimit) // shorter than the one that is over
		settle(quarter)
		all[0].want(strategies.StateHeld)
	})
	inFleet(t, "a level is pinned, and restored", 3, func(t *testing.T, _ *cloud, all []*member) {
		all[0].ladder.Degrade(strategies.LevelReduced, "slow") // its own affair
		settle(quarter)
		if level, pinned := all[1].ladder.State(); level != strategies.LevelFull || pinned {
			t.Errorf("degraded to %v", level)
		}
		all[0].ladder.Pin(strategies.LevelMinimal, "maintenance")
		settle(quarter)
		for _, m := range all {
			if level, pinned := m.ladder.State(); level != strategies.LevelMinimal || !pinned {
				t.Errorf("%v, pinned %v", level, pinned)
			}
		}
		if why := all[1].ladder.Reasons(); len(why) != 1 || why[0].Text != "maintenance" {
			t.Errorf("reasons: %v", why)
		}
		all[2].ladder.Restore(strategies.LevelFull)
		settle(quarter)
		for _, m := range all {
			if level, pinned := m.ladder.State(); level != strategies.LevelFull || pinned {
				t.Errorf("%v, pinned %v", level, pinned)
			}
		}
	})
}

// Settings that change while it is shared change nothing in what is shared.
func TestFleetUpdate(t *testing.T) {
	inFleet(t, "updated", 3, func(t *testing.T, _ *cloud, all []*member) {
		old := all[0].Breaker
		all[0].Breaker = &strategies.Breaker{Name: "another name", Failures: 2, NoJitter: true}
		if err := old.Update(all[0].Breaker); err != nil {
			t.Fatal(err)
		}
		pace := &strategies.Pace{RequestsPerMinute: 300}
		if err := all[0].pace.Update(pace); err != nil {
			t.Fatal(err)
		}
		if rate, _ := pace.Rate(); rate < 99.9 || rate > 100.1 {
			t.Errorf("a pace of %v, want a third of 300", rate)
		}
		budget := &strategies.Budget{Capacity: 90}
		if err := all[0].budget.Update(budget); err != nil || budget.Left() != 30 {
			t.Errorf("%v, a budget of %d, want a third of 90", err, budget.Left())
		}
		all[1].Hold(time.Minute, errDead)
		settle(quarter)
		all[0].want(strategies.StateHeld)
		all[0].Reset()
		settle(quarter)
		all[1].want(strategies.StateClosed)
		all[0].call(errDead)
		all[0].call(errDead)
		all[0].want(strategies.StateOpen)
	})
}

func TestFleetSuspicion(t *testing.T) {
	for _, n := range []int{3, 10, 100} {
		inFleet(t, "a dead agent costs about what it costs one process", n, func(t *testing.T, _ *cloud, all []*member) {
			calls, most := 0, map[int]int{3: 9, 10: 12, 100: 12}[n]
			for i := 0; states(all)[strategies.StateClosed] > 0 && calls < 1000; i++ {
				if all[i%n].call(errDead) {
					calls++
				}
				settle(5 * time.Millisecond)
			}
			t.Logf("%d calls until all of %d are open", calls, n)
			if calls > most {
				t.Errorf("%d calls, at most %d", calls, most)
			}
		})
	}
	inFleet(t, "one that is sick opens no breaker but its own", 5, func(t *testing.T, _ *cloud, all []*member) {
		for range 20 {
			all[0].call(errDead)
			settle(50 * time.Millisecond)
		}
		all[0].want(strategies.StateOpen)
		for _, m := range all[1:] {
			m.want(strategies.StateClosed)
			for range 4 { // its own threshold is where it was
				m.call(errDead)
				settle(10 * time.Millisecond)
				m.want(strategies.StateClosed)
				m.call(nil)
				settle(10 * time.Millisecond)
			}
		}
	})
	inFleet(t, "a success of anybody's begins the count anew", 10, func(t *testing.T, _ *cloud, all []*member) {
		for i := range 300 { // three fail, and then a fourth succeeds
			all[i%7].call([]error{errDead, errDead, errDead, nil}[i%4])
			settle(150 * time.Millisecond) // as often as all that can be told
		}
		if n := states(all); n[strategies.StateClosed] != 10 {
			t.Errorf("%v", n)
		}
	})
	inFleet(t, "a newcomer learns what all know", 10, func(t *testing.T, c *cloud, all []*member) {
		for i := 0; states(all)[strategies.StateClosed] > 0 && i < 1000; i++ {
			all[i%10].call(errDead)
			settle(5 * time.Millisecond)
		}
		late := join(t, c, 50, 2*time.Millisecond, 0)
		settle(quarter)
		late.want(strategies.StateOpen)
	})
}

func TestFleetTrial(t *testing.T) {
	inFleet(t, "one trial an open time, and all follow its result", 10, func(t *testing.T, _ *cloud, all []*member) {
		for _, m := range all {
			for range 5 {
				m.call(errDead)
			}
		}
		settle(time.Second)
		if n := states(all); n[strategies.StateOpen] != 10 {
			t.Fatalf("%v", n)
		}
		// Three trials fail, and the fourth succeeds.
		trials, dead := []time.Duration{}, true
		began := time.Now()
		for time.Since(began) < 6*time.Minute && states(all)[strategies.StateClosed] < 10 {
			for _, m := range all {
				permit, err := m.Allow()
				if err != nil {
					continue
				}
				if m.State() == strategies.StateClosed {
					permit.Success()
					continue
				}
				trials = append(trials, time.Since(began))
				settle(10 * time.Millisecond)
				if dead = len(trials) < 4; dead {
					permit.Failure(errDead)
				} else {
					permit.Success()
				}
				settle(20 * time.Millisecond)
			}
			settle(100 * time.Millisecond)
		}
		t.Logf("trials at %v, all closed after %v", trials, time.Since(began))
		if len(trials) != 4 || trials[0] > 31*time.Second || trials[3] > 331*time.Second { // 30 s, 60 s, 120 s, 120 s
			t.Errorf("trials at %v", trials)
		}
		if n := states(all); n[strategies.StateClosed] != 10 {
			t.Errorf("%v", n)
		}
	})
	inFleet(t, "one that has not heard of the result yet does not try again", 2, func(t *testing.T, _ *cloud, all []*member) {
		for _, m := range all {
			for range 5 {
				m.call(errDead)
			}
		}
		settle(10 * time.Second)
		all[1].wire.Delay(5 * time.Second)
		trials := 0
		for range 300 { // both have calls
			for _, m := range all {
				if m.call(errDead) {
					trials++
				}
			}
			settle(100 * time.Millisecond)
		}
		if trials != 1 {
			t.Errorf("%d trials", trials)
		}
	})
	inFleet(t, "an idle one gives the trial to who has calls", 2, func(t *testing.T, _ *cloud, all []*member) {
		for _, m := range all {
			for range 5 {
				m.call(errDead)
			}
		}
		settle(10 * time.Minute) // nobody asks
		asked := 0
		for ; asked < 50 && all[0].State() != strategies.StateClosed; asked++ {
			all[0].call(nil)
			settle(100 * time.Millisecond)
		}
		if asked > 20 {
			t.Errorf("refused %d times", asked)
		}
		all[1].want(strategies.StateClosed)
	})
	inFleet(t, "one that dies with the trial is replaced", 2, func(t *testing.T, _ *cloud, all []*member) {
		for _, m := range all {
			for range 5 {
				m.call(errDead)
			}
		}
		settle(28 * time.Second)
		for range 30 { // has calls, and so gets the trial
			all[0].call(nil)
			settle(100 * time.Millisecond)
			if _, err := all[0].Allow(); err == nil {
				break
			}
		}
		all[0].wire.Cut(true)
		began := time.Now()
		for all[1].State() != strategies.StateClosed && time.Since(began) < time.Minute {
			all[1].call(nil)
			settle(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 22*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestFleetDivision(t *testing.T) {
	inFleet(t, "budgets and paces are divided by the living", 4, func(t *testing.T, c *cloud, all []*member) {
		part := func(replicas int, of ...*member) {
			t.Helper()
			for _, m := range of {
				if n := m.fleet.Health().Replicas; n != replicas {
					t.Errorf("%s counts %d, want %d", m.fleet.Replica, n, replicas)
				}
				if left := m.budget.Left(); left != 500/replicas {
					t.Errorf("a budget of %d", left)
				}
				if rate, _ := m.pace.Rate(); rate < 600/float64(replicas)-1e-6 || rate > 600/float64(replicas)+1e-6 {
					t.Errorf("a pace of %v", rate)
				}
			}
		}
		part(4, all...)
		late := join(t, c, 4, 0, 0)
		settle(3 * time.Second)
		part(5, append(all, late)...)
		late.fleet.Close()
		settle(3 * time.Second)
		part(4, all...)
		all[3].wire.Cut(true) // it dies
		settle(80 * time.Second)
		part(3, all[:3]...)
	})
	inFleet(t, "a pace keeps to the plan over the fleet", 4, func(t *testing.T, _ *cloud, all []*member) {
		turns := 0
		began := time.Now()
		for time.Since(began) < time.Minute {
			for _, m := range all {
				if _, err := m.pace.Acquire(short(t), strategies.PriorityNormal, 0); err == nil {
					turns++
				}
			}
			settle(10 * time.Millisecond)
		}
		if turns > 600+60+4 {
			t.Errorf("%d turns of 600 in a minute and a burst", turns)
		}
	})
}

// short is the context of a call that does not wait.
func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	t.Cleanup(cancel)
	return ctx
}
