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
		{"starts at full", func(*strategies.Ladder) {}, strategies.Full, false, nil},
		{"moves down", func(l *strategies.Ladder) { l.Degrade(strategies.Minimal, "a") }, strategies.Minimal, false, []string{"a"}},
		{"moves only down", func(l *strategies.Ladder) {
			l.Degrade(strategies.Minimal, "a")
			l.Degrade(strategies.Reduced, "b")
		}, strategies.Minimal, false, []string{"a", "b"}},
		{"does not move up by degrading to full", func(l *strategies.Ladder) {
			l.Degrade(strategies.Minimal, "a")
			l.Degrade(strategies.Full, "b")
		}, strategies.Minimal, false, []string{"a"}},
		{"has no level below emergency", func(l *strategies.Ladder) { l.Degrade(200, "a") }, strategies.Emergency, false, []string{"a"}},

		{"is restored to full, and forgets why", func(l *strategies.Ladder) {
			l.Degrade(strategies.Minimal, "a")
			l.Restore(strategies.Full)
		}, strategies.Full, false, nil},
		{"is restored in part, and keeps the reasons for that part", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			l.Degrade(strategies.Emergency, "b")
			l.Restore(strategies.Minimal)
		}, strategies.Minimal, false, []string{"a"}},
		{"is not degraded by restoring", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			l.Restore(strategies.Minimal)
		}, strategies.Reduced, false, []string{"a"}},

		{"climbs after five successes and the minimum stay", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay)
			succeed(l, 5)
		}, strategies.Full, false, nil},
		{"does not climb after four", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
		}, strategies.Reduced, false, []string{"a"}},
		{"does not climb before the minimum stay", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay - 1)
			succeed(l, 100)
		}, strategies.Reduced, false, []string{"a"}},
		{"climbs with the next success once the stay is over", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			succeed(l, 100)
			time.Sleep(stay)
			l.Succeeded()
		}, strategies.Full, false, nil},
		{"climbs one level at a time, with a stay at each", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			l.Degrade(strategies.Emergency, "b")
			time.Sleep(stay)
			succeed(l, 100)
		}, strategies.Minimal, false, []string{"a"}},
		{"begins to count anew at each level", func(l *strategies.Ladder) {
			l.Degrade(strategies.Emergency, "b")
			time.Sleep(stay)
			succeed(l, 9)
			time.Sleep(stay)
		}, strategies.Minimal, false, nil},
		{"climbs all the way", func(l *strategies.Ladder) {
			l.Degrade(strategies.Emergency, "a")
			for range 3 {
				time.Sleep(stay)
				succeed(l, 5)
			}
		}, strategies.Full, false, nil},
		{"begins the climb anew after a failure", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
			l.Failed()
			succeed(l, 4)
		}, strategies.Reduced, false, []string{"a"}},
		{"begins the climb anew after another reason", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
			l.Degrade(strategies.Reduced, "b")
			succeed(l, 4)
		}, strategies.Reduced, false, []string{"a", "b"}},
		{"stays again after it has been degraded again", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay)
			l.Degrade(strategies.Minimal, "b")
			succeed(l, 100)
		}, strategies.Minimal, false, []string{"a", "b"}},
		{"counts no success at full towards a later climb", func(l *strategies.Ladder) {
			succeed(l, 100)
			l.Failed()
			l.Degrade(strategies.Reduced, "a")
			time.Sleep(stay)
			succeed(l, 4)
		}, strategies.Reduced, false, []string{"a"}},

		{"is pinned down", func(l *strategies.Ladder) { l.Pin(strategies.Minimal, "maintenance") }, strategies.Minimal, true, []string{"maintenance"}},
		{"is pinned to no level below emergency", func(l *strategies.Ladder) { l.Pin(200, "a") }, strategies.Emergency, true, []string{"a"}},
		{"does not climb while pinned", func(l *strategies.Ladder) {
			l.Pin(strategies.Reduced, "a")
			time.Sleep(time.Hour)
			succeed(l, 100)
		}, strategies.Reduced, true, []string{"a"}},
		{"does not sink while pinned", func(l *strategies.Ladder) {
			l.Pin(strategies.Reduced, "a")
			l.Degrade(strategies.Emergency, "b")
		}, strategies.Reduced, true, []string{"a"}},
		{"does not sink while pinned at full", func(l *strategies.Ladder) {
			l.Pin(strategies.Full, "a")
			l.Degrade(strategies.Emergency, "b")
			succeed(l, 10)
		}, strategies.Full, true, nil},
		{"is pinned up, and forgets why it was down", func(l *strategies.Ladder) {
			l.Degrade(strategies.Reduced, "a")
			l.Degrade(strategies.Emergency, "b")
			l.Pin(strategies.Full, "c")
		}, strategies.Full, true, nil},
		{"is pinned anew", func(l *strategies.Ladder) {
			l.Pin(strategies.Emergency, "a")
			l.Pin(strategies.Reduced, "b")
		}, strategies.Reduced, true, []string{"b"}},
		{"is unpinned by restoring", func(l *strategies.Ladder) {
			l.Pin(strategies.Minimal, "a")
			l.Restore(strategies.Full)
		}, strategies.Full, false, nil},
		{"is unpinned where it stands, and climbs again from there", func(l *strategies.Ladder) {
			l.Pin(strategies.Minimal, "a")
			l.Restore(strategies.Minimal)
			time.Sleep(stay)
			succeed(l, 5)
		}, strategies.Reduced, false, nil},
		{"stays pinned when it is restored to below", func(l *strategies.Ladder) {
			l.Pin(strategies.Reduced, "a")
			l.Restore(strategies.Minimal)
		}, strategies.Reduced, true, []string{"a"}},
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
		l.Degrade(strategies.Reduced, "a")
		time.Sleep(time.Minute)
		l.Succeeded()
		if l.Level() != strategies.Reduced {
			t.Error("it climbs after one success, want two")
		}
		l.Succeeded()
		if l.Level() != strategies.Full {
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
		{"Degrade to full", func() bool { return l.Degrade(strategies.Full, "") }, false},
		{"Degrade", func() bool { return l.Degrade(strategies.Minimal, "") }, true},
		{"Degrade to the same", func() bool { return l.Degrade(strategies.Minimal, "") }, false},
		{"Degrade to a higher", func() bool { return l.Degrade(strategies.Reduced, "") }, false},
		{"Restore to a lower", func() bool { return l.Restore(strategies.Emergency) }, false},
		{"Restore to the same", func() bool { return l.Restore(strategies.Minimal) }, false},
		{"Restore", func() bool { return l.Restore(strategies.Reduced) }, true},
		{"Restore to the same, pinned", func() bool { l.Pin(strategies.Reduced, ""); return l.Restore(strategies.Reduced) }, true},
		{"Degrade while pinned", func() bool { l.Pin(strategies.Reduced, ""); return l.Degrade(strategies.Emergency, "") }, false},
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
			l.Degrade(strategies.Reduced, fmt.Sprint(i))
			time.Sleep(sec)
		}
		got := l.Reasons()
		if len(got) != 16 {
			t.Fatalf("it keeps %d, want the last 16", len(got))
		}
		for i, r := range got {
			want := strategies.Reason{Level: strategies.Reduced, Text: fmt.Sprint(i + 4), At: begin.Add(time.Duration(i+4) * sec)}
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
		strategies.Reduced: {"look", "talk"},
		strategies.Minimal: {},
	}}
	for _, tt := range []struct {
		level  strategies.Level
		action string
		want   bool
	}{
		{strategies.Full, "fight", true}, // not in the map
		{strategies.Reduced, "talk", true},
		{strategies.Reduced, "fight", false},
		{strategies.Minimal, "talk", false}, // an empty list
		{strategies.Emergency, "talk", true},
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
				l.Degrade(strategies.Minimal, fmt.Sprintf("further than %v", l.Level()))
			}
		})
		begin := time.Now()
		l.Degrade(strategies.Reduced, "down")
		l.Degrade(strategies.Reduced, "no move, no notice")
		time.Sleep(time.Minute)
		succeed(&l, 5)
		l.Pin(strategies.Reduced, "hold")
		l.Restore(strategies.Reduced)
		l.Restore(strategies.Full)
		stop()
		l.Degrade(strategies.Emergency, "nobody listens")
		later := begin.Add(time.Minute)
		want := []strategies.LevelChange{
			{From: strategies.Full, To: strategies.Reduced, Reason: "down", At: begin},
			{From: strategies.Reduced, To: strategies.Minimal, Reason: "further than reduced", At: begin},
			{From: strategies.Minimal, To: strategies.Reduced, Reason: "5 successes in a row", At: later},
			{From: strategies.Reduced, To: strategies.Reduced, Reason: "hold", At: later, Pinned: true},
			{From: strategies.Reduced, To: strategies.Reduced, Reason: "restored", At: later},
			{From: strategies.Reduced, To: strategies.Full, Reason: "restored", At: later},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// However many move it at a time, a listener is told of one unbroken way.
func TestLadderWatchIsInOrder(t *testing.T) {
	var l strategies.Ladder
	at := strategies.Full
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
		{"accepts actions at every level", &strategies.Ladder{Actions: map[strategies.Level][]string{strategies.Full: nil, strategies.Emergency: {"a"}}}, ""},
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
	want := []strategies.Level{strategies.Full, strategies.Reduced, strategies.Minimal, strategies.Emergency}
	if got := strategies.Levels(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
