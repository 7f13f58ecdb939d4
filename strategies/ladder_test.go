package strategies_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func succeed(l *strategies.Ladder, n int) {
	for range n {
		l.Succeeded()
	}
}

func reasons(l *strategies.Ladder) []string {
	var texts []string
	for _, r := range l.Reasons() {
		texts = append(texts, r.Text)
	}
	return texts
}

// Each case is a story told in moves; want is where the ladder stands then.
func TestLadder(t *testing.T) {
	const stay = 30 * time.Second // the default
	for _, tt := range []struct {
		it      string
		moves   func(l *strategies.Ladder)
		level   strategies.Level
		pinned  bool
		reasons []string
	}{
		{"starts at full", func(*strategies.Ladder) {}, strategies.LevelFull, false, nil},
		{"moves down", func(l *strategies.Ladder) { l.Degrade(strategies.LevelMinimal, "a") }, strategies.LevelMinimal, false, []string{"a"}},
		{"moves only down", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelMinimal, "a")
			l.Degrade(strategies.LevelReduced, "b")
		}, strategies.LevelMinimal, false, []string{"a", "b"}},
		{"does not move up by degrading to full", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelMinimal, "a")
			l.Degrade(strategies.LevelFull, "b")
		}, strategies.LevelMinimal, false, []string{"a"}},
		{"has no level below emergency", func(l *strategies.Ladder) { l.Degrade(200, "a") }, strategies.LevelEmergency, false, []string{"a"}},

		{"is restored to full, and forgets why", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelMinimal, "a")
			l.Restore(strategies.LevelFull)
		}, strategies.LevelFull, false, nil},
		{"is restored in part, and keeps the reasons for that part", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			l.Degrade(strategies.LevelEmergency, "b")
			l.Restore(strategies.LevelMinimal)
		}, strategies.LevelMinimal, false, []string{"a"}},
		{"is not degraded by restoring", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			l.Restore(strategies.LevelMinimal)
		}, strategies.LevelReduced, false, []string{"a"}},

		{"climbs after five successes and the minimum stay", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay)
			succeed(l, 5)
		}, strategies.LevelFull, false, nil},
		{"does not climb after four", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
		}, strategies.LevelReduced, false, []string{"a"}},
		{"does not climb before the minimum stay", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay - 1)
			succeed(l, 100)
		}, strategies.LevelReduced, false, []string{"a"}},
		{"climbs with the next success once the stay is over", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			succeed(l, 100)
			time.Sleep(stay)
			l.Succeeded()
		}, strategies.LevelFull, false, nil},
		{"climbs one level at a time, with a stay at each", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			l.Degrade(strategies.LevelEmergency, "b")
			time.Sleep(stay)
			succeed(l, 100)
		}, strategies.LevelMinimal, false, []string{"a"}},
		{"begins to count anew at each level", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelEmergency, "b")
			time.Sleep(stay)
			succeed(l, 9)
			time.Sleep(stay)
		}, strategies.LevelMinimal, false, nil},
		{"climbs all the way", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelEmergency, "a")
			for range 3 {
				time.Sleep(stay)
				succeed(l, 5)
			}
		}, strategies.LevelFull, false, nil},
		{"begins the climb anew after a failure", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
			l.Failed()
			succeed(l, 4)
		}, strategies.LevelReduced, false, []string{"a"}},
		{"begins the climb anew after another reason", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
			l.Degrade(strategies.LevelReduced, "b")
			succeed(l, 4)
		}, strategies.LevelReduced, false, []string{"a", "b"}},
		{"stays again after it has been degraded again", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay)
			l.Degrade(strategies.LevelMinimal, "b")
			succeed(l, 100)
		}, strategies.LevelMinimal, false, []string{"a", "b"}},
		{"counts no success at full towards a later climb", func(l *strategies.Ladder) {
			succeed(l, 100)
			l.Failed()
			l.Degrade(strategies.LevelReduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
		}, strategies.LevelReduced, false, []string{"a"}},

		{"is pinned down", func(l *strategies.Ladder) { l.Pin(strategies.LevelMinimal, "maintenance") }, strategies.LevelMinimal, true, []string{"maintenance"}},
		{"is pinned to no level below emergency", func(l *strategies.Ladder) { l.Pin(200, "a") }, strategies.LevelEmergency, true, []string{"a"}},
		{"does not climb while pinned", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelReduced, "a")
			time.Sleep(time.Hour)
			succeed(l, 100)
		}, strategies.LevelReduced, true, []string{"a"}},
		{"does not sink while pinned", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelReduced, "a")
			l.Degrade(strategies.LevelEmergency, "b")
		}, strategies.LevelReduced, true, []string{"a"}},
		{"does not sink while pinned at full", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelFull, "a")
			l.Degrade(strategies.LevelEmergency, "b")
			succeed(l, 10)
		}, strategies.LevelFull, true, nil},
		{"is pinned up, and forgets why it was down", func(l *strategies.Ladder) {
			l.Degrade(strategies.LevelReduced, "a")
			l.Degrade(strategies.LevelEmergency, "b")
			l.Pin(strategies.LevelFull, "c")
		}, strategies.LevelFull, true, nil},
		{"is pinned anew", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelEmergency, "a")
			l.Pin(strategies.LevelReduced, "b")
		}, strategies.LevelReduced, true, []string{"b"}},
		{"is unpinned by restoring", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelMinimal, "a")
			l.Restore(strategies.LevelFull)
		}, strategies.LevelFull, false, nil},
		{"is unpinned where it stands, and climbs again from there", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelMinimal, "a")
			l.Restore(strategies.LevelMinimal)
			time.Sleep(stay)
			succeed(l, 5)
		}, strategies.LevelReduced, false, nil},
		{"stays pinned when it is restored to below", func(l *strategies.Ladder) {
			l.Pin(strategies.LevelReduced, "a")
			l.Restore(strategies.LevelMinimal)
		}, strategies.LevelReduced, true, []string{"a"}},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l strategies.Ladder
				tt.moves(&l)
				level, pinned := l.State()
				if level != tt.level || pinned != tt.pinned {
					t.Errorf("at %v, pinned %v; want %v, %v", level, pinned, tt.level, tt.pinned)
				}
				if l.Level() != level || l.Pinned() != pinned {
					t.Errorf("Level is %v and Pinned %v, but State %v, %v", l.Level(), l.Pinned(), level, pinned)
				}
				if got := reasons(&l); !slices.Equal(got, tt.reasons) {
					t.Errorf("reasons are %q, want %q", got, tt.reasons)
				}
			})
		})
	}
}

func TestLadderSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &strategies.Ladder{ClimbAfter: 2, MinimumStay: time.Minute}
		l.Degrade(strategies.LevelReduced, "a")
		time.Sleep(time.Minute)
		l.Succeeded()
		if l.Level() != strategies.LevelReduced {
			t.Error("it climbs after one success, want two")
		}
		l.Succeeded()
		if l.Level() != strategies.LevelFull {
			t.Error("it does not climb after two")
		}
	})
}

func TestLadderSaysWhetherItMoved(t *testing.T) {
	var l strategies.Ladder
	for _, step := range []struct {
		name string
		do   func() bool
		want bool
	}{
		{"Degrade to full", func() bool { return l.Degrade(strategies.LevelFull, "") }, false},
		{"Degrade", func() bool { return l.Degrade(strategies.LevelMinimal, "") }, true},
		{"Degrade to the same", func() bool { return l.Degrade(strategies.LevelMinimal, "") }, false},
		{"Degrade to a higher", func() bool { return l.Degrade(strategies.LevelReduced, "") }, false},
		{"Restore to a lower", func() bool { return l.Restore(strategies.LevelEmergency) }, false},
		{"Restore to the same", func() bool { return l.Restore(strategies.LevelMinimal) }, false},
		{"Restore", func() bool { return l.Restore(strategies.LevelReduced) }, true},
		{"Restore to the same, pinned", func() bool { l.Pin(strategies.LevelReduced, ""); return l.Restore(strategies.LevelReduced) }, true},
		{"Degrade while pinned", func() bool { l.Pin(strategies.LevelReduced, ""); return l.Degrade(strategies.LevelEmergency, "") }, false},
	} {
		if got := step.do(); got != step.want {
			t.Errorf("%s says %v", step.name, got)
		}
	}
}

func TestLadderReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l strategies.Ladder
		begin := time.Now()
		for i := range 20 {
			l.Degrade(strategies.LevelReduced, fmt.Sprint(i))
			time.Sleep(sec)
		}
		got := l.Reasons()
		if len(got) != 16 {
			t.Fatalf("it keeps %d, want the last 16", len(got))
		}
		for i, r := range got {
			want := strategies.LevelReason{Level: strategies.LevelReduced, Text: fmt.Sprint(i + 4), At: begin.Add(time.Duration(i+4) * sec)}
			if r != want {
				t.Errorf("reason %d is %+v, want %+v", i, r, want)
			}
		}
		got[0].Text = "mine"
		if l.Reasons()[0].Text != "4" {
			t.Error("a caller has changed the ladder's own list")
		}
	})
}

func TestLadderAllows(t *testing.T) {
	l := &strategies.Ladder{Actions: map[strategies.Level][]string{
		strategies.LevelReduced: {"look", "talk"},
		strategies.LevelMinimal: {},
	}}
	for _, tt := range []struct {
		level  strategies.Level
		action string
		want   bool
	}{
		{strategies.LevelFull, "fight", true}, // not in the map
		{strategies.LevelReduced, "talk", true},
		{strategies.LevelReduced, "fight", false},
		{strategies.LevelMinimal, "talk", false}, // an empty list
		{strategies.LevelEmergency, "talk", true},
	} {
		l.Pin(tt.level, "")
		if got := l.Allows(tt.action); got != tt.want {
			t.Errorf("at %v, %s is allowed: %v", tt.level, tt.action, got)
		}
	}
}

func TestLadderWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l strategies.Ladder
		var got []strategies.LevelChange
		stop := l.Watch(func(c strategies.LevelChange) {
			got = append(got, c)
			// A listener may ask, and even move, the ladder it listens to.
			if c.Reason == "down" {
				l.Degrade(strategies.LevelMinimal, fmt.Sprintf("further than %v", l.Level()))
			}
		})
		begin := time.Now()
		l.Degrade(strategies.LevelReduced, "down")
		l.Degrade(strategies.LevelReduced, "no move, no notice")
		time.Sleep(time.Minute)
		succeed(&l, 5)
		l.Pin(strategies.LevelReduced, "hold")
		l.Restore(strategies.LevelReduced)
		l.Restore(strategies.LevelFull)
		stop()
		l.Degrade(strategies.LevelEmergency, "nobody listens")
		later := begin.Add(time.Minute)
		want := []strategies.LevelChange{
			{From: strategies.LevelFull, To: strategies.LevelReduced, Reason: "down", At: begin},
			{From: strategies.LevelReduced, To: strategies.LevelMinimal, Reason: "further than reduced", At: begin},
			{From: strategies.LevelMinimal, To: strategies.LevelReduced, Reason: "5 successes in a row", At: later},
			{From: strategies.LevelReduced, To: strategies.LevelReduced, Reason: "hold", At: later, Pinned: true},
			{From: strategies.LevelReduced, To: strategies.LevelReduced, Reason: "restored", At: later},
			{From: strategies.LevelReduced, To: strategies.LevelFull, Reason: "restored", At: later},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// However many move it at a time, a listener is told of one unbroken way.
func TestLadderWatchIsInOrder(t *testing.T) {
	var l strategies.Ladder
	at := strategies.LevelFull
	told, broken := 0, 0
	l.Watch(func(c strategies.LevelChange) { // never two at a time, or -race says so
		if c.From != at {
			broken++
		}
		at = c.To
		told++
	})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				l.Degrade(strategies.Level(1+(g+i)%3), "")
				l.Restore(strategies.Level(i % 2))
			}
		})
	}
	all.Wait()
	if broken > 0 || told < 500 {
		t.Errorf("%d of %d moves did not begin where the one before had ended", broken, told)
	}
	if at != l.Level() {
		t.Errorf("the last notice says %v, the ladder is at %v", at, l.Level())
	}
}

func TestLadderValidate(t *testing.T) {
	for _, tt := range []struct {
		it      string
		ladder  *strategies.Ladder
		setting string
	}{
		{"accepts the zero value", &strategies.Ladder{}, ""},
		{"accepts actions at every level", &strategies.Ladder{Actions: map[strategies.Level][]string{strategies.LevelFull: nil, strategies.LevelEmergency: {"a"}}}, ""},
		{"refuses a negative climb", &strategies.Ladder{ClimbAfter: -1}, "Ladder.ClimbAfter"},
		{"refuses a climb that is never done", &strategies.Ladder{ClimbAfter: math.MaxInt}, "Ladder.ClimbAfter"},
		{"refuses a negative stay", &strategies.Ladder{MinimumStay: -1}, "Ladder.MinimumStay"},
		{"refuses actions at a level that is none", &strategies.Ladder{Actions: map[strategies.Level][]string{9: nil}}, "Ladder.Actions"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) { wantSetting(t, tt.ladder.Validate(), tt.setting) })
	}
}

func TestLadderString(t *testing.T) {
	if got, want := (&strategies.Ladder{}).String(), "climbs a level after 5 successes and 30s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLevels(t *testing.T) {
	want := []strategies.Level{strategies.LevelFull, strategies.LevelReduced, strategies.LevelMinimal, strategies.LevelEmergency}
	if got := strategies.Levels(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
