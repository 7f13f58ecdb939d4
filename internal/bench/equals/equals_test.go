package equals_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/bench/equals"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func live(t *testing.T, d equals.Day, s equals.System) (r equals.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r = d.Live(s) })
	t.Logf("%-26s %v", s.Name, r)
	return r
}

func regions(change func(i int, m *equals.Member)) func() []*equals.Member {
	return func() (all []*equals.Member) {
		for i := range 3 {
			m := &equals.Member{Name: fmt.Sprint("region-", i), Median: 2 * time.Second}
			change(i, m)
			all = append(all, m)
		}
		return all
	}
}

const seeds = 3

// Three regions of 60 a minute, and 150 a minute for ten minutes.
func TestThreeRegionsAtTheirLimits(t *testing.T) {
	for _, mute := range []bool{false, true} {
		t.Run(map[bool]string{false: "with Retry-After", true: "without"}[mute], func(t *testing.T) {
			for seed := range uint64(seeds) {
				day := equals.Day{
					Members: regions(func(_ int, m *equals.Member) { m.Limit, m.Mute = 60, mute }),
					Rate:    2.5, Length: 10 * time.Minute, Patience: 2 * time.Minute, Seed: seed + 1,
				}
				for _, ours := range []equals.System{equals.Ours, equals.Paced} {
					if r := live(t, day, ours); r.Failed > 0 || r.Refusals > 30 {
						t.Errorf("%s: %d failed, %d refusals", ours.Name, r.Failed, r.Refusals)
					}
				}
				for _, peer := range equals.Peers {
					live(t, day, peer)
				}
			}
		})
	}
}

// The same regions near the brim, 177 a minute of 180: whoever is refused where nobody
// else has room must wait, and not fail. Without a hint a call that meets three limits
// and then one of them again has used up its retries: that is rare, and rarer than
// with anybody else.
func TestThreeRegionsNearTheBrim(t *testing.T) {
	for _, mute := range []bool{false, true} {
		day := equals.Day{
			Members: regions(func(_ int, m *equals.Member) { m.Limit, m.Mute = 60, mute }),
			Rate:    2.95, Length: 10 * time.Minute, Patience: 2 * time.Minute, Seed: 1,
		}
		for _, ours := range []equals.System{equals.Ours, equals.Paced} {
			most := map[bool]int{true: 5}[mute]
			r := live(t, day, ours)
			if r.Failed > most || r.Refusals > 60 {
				t.Errorf("%s: %d failed, %d refusals", ours.Name, r.Failed, r.Refusals)
			}
			for _, peer := range equals.Peers {
				if p := live(t, day, peer); p.Failed <= r.Failed {
					t.Errorf("%s has %d failed, %s %d", peer.Name, p.Failed, ours.Name, r.Failed)
				}
			}
		}
	}
}

// One of three is ten times as slow as the others.
func TestOneIsSlow(t *testing.T) {
	for seed := range uint64(seeds) {
		day := func(slow float64) equals.Day {
			return equals.Day{
				Members: regions(func(i int, m *equals.Member) {
					if i == 1 {
						m.Slow = slow
					}
				}),
				Rate: 2.5, Length: 20 * time.Minute, Patience: 5 * time.Minute, Seed: seed + 1,
			}
		}
		for i, s := range append([]equals.System{equals.Ours}, equals.Peers...) {
			well, slow := live(t, day(1), s), live(t, day(10), s)
			if times := float64(slow.P99) / float64(well.P99); i == 0 && (times > 1.5 || slow.Failed > 0) {
				t.Errorf("p99 is %.2f times that without it, %d failed", times, slow.Failed)
			}
		}
	}
}

// One of ten keys is at its limit, and says for how long.
func TestOneOfTenKeysIsLimited(t *testing.T) {
	day := equals.Day{
		Members: func() (all []*equals.Member) {
			for i := range 10 {
				m := &equals.Member{Name: fmt.Sprint("key-", i), Median: time.Second}
				if i == 3 {
					m.Limit = -1
				}
				all = append(all, m)
			}
			return all
		},
		Rate: 2, Length: 10 * time.Minute, Patience: 2 * time.Minute, Seed: 1,
	}
	if r := live(t, day, equals.Ours); r.Failed > 0 || r.Max > 5*time.Second || r.Refusals > 15 {
		t.Errorf("slowest %v, %d failed, %d refusals", r.Max, r.Failed, r.Refusals)
	}
	for _, peer := range equals.Peers {
		live(t, day, peer)
	}
}

// A conversation of 40 turns, whose first model is overloaded every other time.
func TestAConversationKeepsItsVoice(t *testing.T) {
	changes := func(s equals.System) (changes, failed int) {
		synctest.Test(t, func(t *testing.T) {
			day := equals.Day{Members: func() []*equals.Member {
				return []*equals.Member{
					{Name: "first", Median: 2 * time.Second, Fails: func(call int) bool { return call%2 == 0 }},
					{Name: "second", Median: 2 * time.Second},
				}
			}, Seed: 1}
			ask := day.Start(s)
			last := ""
			for turn := range 40 {
				by, err := ask(t.Context(), "chat")
				if err != nil {
					failed++
				}
				if turn > 0 && by != last {
					changes++
				}
				last = by
				time.Sleep(30 * time.Second)
			}
		})
		t.Logf("%-26s %2d changes of the speaker, %d failed", s.Name, changes, failed)
		return changes, failed
	}
	if n, failed := changes(equals.Staying); n > 4 || failed > 0 {
		t.Errorf("%d changes of the speaker, %d failed", n, failed)
	}
	for _, s := range append([]equals.System{equals.Chain}, equals.Peers...) {
		changes(s)
	}
}

// A batch and people share two members of four slots each.
func TestPeopleDoNotWaitForABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, jobs, one = 4, 400, 2 * time.Second
		day := equals.Day{Members: func() []*equals.Member {
			return []*equals.Member{{Name: "a", Median: one, Even: true}, {Name: "b", Median: one, Even: true}}
		}, Seed: 1}
		ask := day.Start(equals.Urgent(slots))
		var all sync.WaitGroup
		batch := middleware.WithPriority(t.Context(), strategies.PriorityBatch)
		answered := 0
		var mu sync.Mutex
		for range jobs {
			all.Go(func() {
				if _, err := ask(batch, ""); err != nil {
					t.Error(err)
				}
				mu.Lock()
				answered++
				mu.Unlock()
			})
		}
		worst := time.Duration(0)
		people := middleware.WithPriority(t.Context(), strategies.PriorityInteractive)
		for range 15 {
			time.Sleep(700 * time.Millisecond)
			began := time.Now()
			if _, err := ask(people, ""); err != nil {
				t.Error(err)
			}
			worst = max(worst, time.Since(began))
		}
		mu.Lock()
		left := jobs - answered
		mu.Unlock()
		t.Logf("people had their answer after %v at most, with %d of the batch still to be answered", worst, left)
		if left < 20 {
			t.Errorf("only %d of the batch are left: nobody had to wait", left)
		}
		if worst > 2*one+time.Millisecond { // a call's time for a slot, and one for the answer
			t.Errorf("a person waited %v", worst)
		}
		all.Wait()
	})
}
