package middleware_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// spell is a time in which a member is at its limit.
type spell struct{ from, until time.Duration }

// limitedMember answers but for its spells, in which it says when they end.
type limitedMember struct {
	start  time.Time
	spells []spell
	takes  time.Duration

	mu     sync.Mutex
	toldAt time.Duration
	told   time.Duration // until when it has asked to be left alone
	abused []string      // calls that came all the same
}

func (m *limitedMember) well(at time.Duration) bool {
	for _, s := range m.spells {
		if at >= s.from && at < s.until {
			return false
		}
	}
	return true
}

func (m *limitedMember) Run(ctx context.Context, _ string) (string, error) {
	at := time.Since(m.start)
	m.mu.Lock()
	if at > m.toldAt && at < m.told {
		m.abused = append(m.abused, fmt.Sprintf("at %v, until %v", at, m.told))
	}
	m.mu.Unlock()
	for _, s := range m.spells {
		if at >= s.from && at < s.until {
			m.mu.Lock()
			m.toldAt, m.told = at, s.until
			m.mu.Unlock()
			return "", strategies.WithRetryAfter(s.until-at, ofClass(strategies.ClassRateLimited))
		}
	}
	select {
	case <-time.After(m.takes):
		return "hi", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Whatever the spells of the members are, nobody is asked while it is held, and a call
// that somebody could answer before its deadline is answered.
func TestPoolAnswersWhatCanBeAnswered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.IntRange(1, 4).Draw(rt, "members")
		var spells [][]spell
		for i := range count {
			var own []spell
			at := time.Duration(0)
			for range rapid.IntRange(0, 4).Draw(rt, fmt.Sprint("spells of ", i)) {
				at += time.Duration(rapid.IntRange(1, 30).Draw(rt, "after")) * time.Second
				end := at + time.Duration(rapid.IntRange(1, 40).Draw(rt, "for"))*time.Second
				own = append(own, spell{at, end})
				at = end
			}
			spells = append(spells, own)
		}
		patience := time.Duration(rapid.IntRange(4, 60).Draw(rt, "patience")) * time.Second
		gap := time.Duration(rapid.IntRange(100, 3000).Draw(rt, "gap")) * time.Millisecond
		seed := rapid.Uint64Range(1, 1000).Draw(rt, "seed")
		synctest.Test(t, func(t *testing.T) {
			start, takes := time.Now(), 300*time.Millisecond
			var all []*limitedMember
			var members []member
			for i, own := range spells {
				m := &limitedMember{start: start, spells: own, takes: takes}
				all = append(all, m)
				members = append(members, member{Name: fmt.Sprint("m", i), Agent: m})
			}
			p := pooled(t, middleware.PoolSettings[string]{Spread: &strategies.Spread{Seed: seed}, MaxWait: time.Hour}, members...)
			g := built(t, middleware.Wrap(p).Retry(strategies.Retry{MaxRetries: 8, Budget: &strategies.Budget{Capacity: 1 << 30}}))
			var callers sync.WaitGroup
			for n := range 60 {
				callers.Go(func() {
					time.Sleep(time.Duration(n) * gap)
					began := time.Since(start)
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					_, err := g.Run(ctx, "")
					if err == nil {
						return
					}
					// It needs time for its own call, and for the first call to one that comes back.
					for at := began; at+8*takes < began+patience; at += 100 * time.Millisecond {
						for i, m := range all {
							if m.well(at) && m.well(at+4*takes) && m.well(at+8*takes) && m.well(at+6*takes) && m.well(at+2*takes) {
								rt.Errorf("call %d at %v with %v was not answered by m%d, which was well at %v: %v", n, began, patience, i, at, err)
								return
							}
						}
					}
				})
			}
			callers.Wait()
			for i, m := range all {
				for _, a := range m.abused {
					rt.Errorf("m%d was asked while it was held: %s", i, a)
				}
			}
		})
	})
}
