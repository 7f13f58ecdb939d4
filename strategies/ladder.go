package strategies

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Level says how much of an answer is given. Larger is less.
type Level uint8

const (
	// LevelFull is the agent's own answer.
	LevelFull Level = iota
	// LevelReduced is a simpler answer: a smaller model, fewer tools.
	LevelReduced
	// LevelMinimal is the least that is still an answer: a template, a cache.
	LevelMinimal
	// LevelEmergency is a word that there is no answer.
	LevelEmergency
)

var levelNames = [...]string{"full", "reduced", "minimal", "emergency"}

// Levels returns all levels, from Full down.
func Levels() []Level { return []Level{LevelFull, LevelReduced, LevelMinimal, LevelEmergency} }

// Ladder remembers how far an agent, or a whole system of agents, has been
// degraded. It only moves down until it is restored: by hand, or by itself one
// rung at a time, after ClimbAfter full successes in a row and no sooner than
// MinimumStay after the last move. The two together are its hysteresis: one
// lucky call does not lift a system that is failing.
//
// The zero value starts at Full. A Ladder is used by pointer and may be shared
// by agents of any type; its fields must not be changed once it is in use. At
// Full it costs a call one atomic load.
type Ladder struct {
	// Name is what a [Fleet] shares its pinned level under; nothing else needs it.
	Name string
	// ClimbAfter is the number of successes in a row, at full strength, that
	// lift the level by one. 0: 5.
	ClimbAfter int
	// MinimumStay is the shortest time at a level before it is lifted by
	// itself. 0: 30 s.
	MinimumStay time.Duration
	// Actions lists what is allowed at a level. A level that is not in the map
	// allows everything; an empty list allows nothing.
	Actions map[Level][]string

	// state holds the level above one bit for pinned: 0 is full and free.
	state atomic.Uint32
	set   inherited[Ladder]

	mu      sync.Mutex
	reasons []LevelReason
	streak  int
	moved   time.Time
	changes notices[LevelChange]
}

const (
	pinnedBit = 1
	lentBit   = 1 << 31 // it is another name of one
)

// LevelReason is why a level was reached, and when.
type LevelReason struct {
	Level Level
	Text  string
	At    time.Time
}

// LevelChange is one move of a ladder.
type LevelChange struct {
	From, To Level
	Reason   string
	At       time.Time
	Pinned   bool
}

// Level returns the level as it is now.
func (l *Ladder) Level() Level { return Level(l.read() >> 1) }

func (l *Ladder) read() uint32 {
	s := l.state.Load()
	if s == lentBit {
		return l.Itself().read()
	}
	return s
}

// Pinned says whether the level is held by hand.
func (l *Ladder) Pinned() bool { return l.read()&pinnedBit != 0 }

// State returns both at once, at the price of one atomic load.
func (l *Ladder) State() (level Level, pinned bool) {
	s := l.read()
	return Level(s >> 1), s&pinnedBit != 0
}

// Degrade moves down to a level, and keeps the reason. A level that is not
// below the present one changes nothing, but its reason is kept and the climb
// begins anew. False: nothing changed.
func (l *Ladder) Degrade(to Level, reason string) bool {
	l = l.Itself()
	defer l.changes.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	from, pinned := l.State()
	l.streak = 0
	to = min(to, LevelEmergency)
	if to == LevelFull || pinned {
		return false
	}
	l.remember(LevelReason{Level: to, Text: reason, At: time.Now()})
	if to <= from {
		return false
	}
	l.move(from, to, false, reason)
	return true
}

// Restore moves up to a level by hand, and unpins. Restoring to Full forgets
// the reasons; restoring to another level forgets those of the levels below it.
// False: the level was not below.
func (l *Ladder) Restore(to Level) bool {
	l = l.Itself()
	defer l.changes.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	from, pinned := l.State()
	if to > from || to == from && !pinned {
		return false
	}
	l.move(from, to, false, "restored")
	return true
}

// Pin holds the ladder at a level until Restore, whatever calls do. Calls are
// then answered at that level at once, without asking the agent.
func (l *Ladder) Pin(at Level, reason string) {
	l = l.Itself()
	defer l.changes.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pin(min(at, LevelEmergency), reason)
}

func (l *Ladder) pin(at Level, reason string) {
	if at != LevelFull {
		l.remember(LevelReason{Level: at, Text: reason, At: time.Now()})
	}
	l.move(l.Level(), at, true, reason)
}

// Succeeded books a success at full strength; enough of them lift the level by
// one. At Full it costs one atomic load.
func (l *Ladder) Succeeded() {
	if l.state.Load() == 0 {
		return
	}
	l = l.Itself()
	defer l.changes.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	from, pinned := l.State()
	if from == LevelFull || pinned {
		return
	}
	l.streak++
	if l.streak < orDefault(l.conf().ClimbAfter, 5) || time.Since(l.moved) < l.minimumStay() {
		return
	}
	to := from - 1
	l.move(from, to, false, fmt.Sprintf("%d successes in a row", l.streak))
}

// Failed books a failure at full strength: the climb begins anew.
func (l *Ladder) Failed() {
	if l.state.Load() == 0 {
		return
	}
	l = l.Itself()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streak = 0
}

// Reasons returns why the ladder stands where it does, oldest first. It keeps
// the last 16 and nothing at Full.
func (l *Ladder) Reasons() []LevelReason {
	l = l.Itself()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.reasons)
}

// Allows says whether an action is allowed at the present level.
func (l *Ladder) Allows(action string) bool {
	allowed, listed := l.conf().Actions[l.Level()]
	return !listed || slices.Contains(allowed, action)
}

// Watch calls listener after every move, in order and outside of every lock.
// stop ends it: the listener is begun no more, and the ladder keeps nothing of it.
func (l *Ladder) Watch(listener func(LevelChange)) (stop func()) {
	return l.Itself().changes.watch(listener)
}

// WatchAs is Watch for many on behalf of one; see [Breaker.WatchAs].
func (l *Ladder) WatchAs(key any, listener func(LevelChange)) (stop func()) {
	return l.Itself().changes.watchAs(key, listener)
}

const maxReasons = 16

func (l *Ladder) remember(r LevelReason) {
	if len(l.reasons) == maxReasons {
		l.reasons = slices.Delete(l.reasons, 0, 1)
	}
	l.reasons = append(l.reasons, r)
}

func (l *Ladder) move(from, to Level, pinned bool, reason string) {
	s := uint32(to) << 1
	if pinned {
		s |= pinnedBit
	}
	l.state.Store(s)
	l.streak, l.moved = 0, time.Now()
	l.reasons = slices.DeleteFunc(l.reasons, func(r LevelReason) bool { return r.Level > to })
	l.changes.add(LevelChange{From: from, To: to, Reason: reason, At: l.moved, Pinned: pinned})
}

func (l *Ladder) minimumStay() time.Duration {
	return orDefault(l.conf().MinimumStay, 30*time.Second)
}

// Update replaces the settings while the ladder is in use: its level, its reasons and
// who watches it stay. to is read for its settings alone, and becomes another name of
// this ladder; one that has been moved or watched is refused with a [ConfigError].
func (l *Ladder) Update(to *Ladder) error {
	if to == nil {
		return &ConfigError{Setting: "Ladder.Update", Problem: "is nil", Fix: "give it a *strategies.Ladder with the new settings"}
	}
	if l = l.Itself(); l == to.Itself() {
		return nil
	}
	if err := to.Validate(); err != nil {
		return err
	}
	if !to.lend(l) {
		return usedAlready("Ladder.Update")
	}
	l.set.settings.Store(to)
	return nil
}

func (l *Ladder) lend(to *Ladder) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Used() {
		return false
	}
	l.set.name.Store(to)
	l.state.Store(lentBit)
	return true
}

// Itself returns the ladder that this one is another name of, see Update, or itself.
func (l *Ladder) Itself() *Ladder { return l.set.who(l) }

// Used says whether the ladder has left its top, or is watched.
func (l *Ladder) Used() bool { return l.state.Load() != 0 || l.changes.watched() }

func (l *Ladder) conf() *Ladder { l = l.Itself(); return l.set.of(l) }

// Validate says all that is wrong with the settings, each by its name.
func (l *Ladder) Validate() error {
	var p problems
	negative(&p, "Ladder.ClimbAfter", l.ClimbAfter, "leave it 0 for 5")
	if l.ClimbAfter > math.MaxInt32 {
		p.add("Ladder.ClimbAfter", fmt.Sprintf("is %d", l.ClimbAfter), "use a number that can be reached")
	}
	negative(&p, "Ladder.MinimumStay", l.MinimumStay, "leave it 0 for 30s")
	for _, level := range slices.Sorted(maps.Keys(l.Actions)) {
		if level > LevelEmergency {
			p.add("Ladder.Actions", fmt.Sprintf("names level %d", level), "use LevelFull, LevelReduced, LevelMinimal or LevelEmergency")
		}
	}
	return p.err()
}

// String describes the settings in a line.
func (l *Ladder) String() string {
	return fmt.Sprintf("climbs a level after %d successes and %v", orDefault(l.conf().ClimbAfter, 5), l.minimumStay())
}
