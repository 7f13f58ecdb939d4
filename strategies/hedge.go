package strategies

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Hedge says when a call that takes long is asked of somebody else too, without
// giving up the first: the first answer wins. It is for long tails, in which one
// call in a hundred takes ten times as long for no reason of its own (Dean and
// Barroso, "The Tail at Scale", CACM 56(2), 2013).
//
// A Hedge is used by pointer and may be shared by agents of any type; it learns from
// all of them. Its fields must not be changed once it is in use. It is safe for
// concurrent use; a healthy call costs a lock and a store. It holds 16 KB.
type Hedge struct {
	// After is how long the first answer may take. 0: as long as the slowest twentieth
	// of the last 1024 answers took; nobody is asked twice before 20 have come.
	After time.Duration
	// Quantile is from which part of the answers on they are taken for slow where After
	// is 0. 0: 0.95. So that MaxRatio is used up evenly, the share of the slow is up to
	// half larger than this says while few are asked twice, and smaller while many are.
	Quantile float64
	// MaxRatio bounds the second calls: at most so many for each first one, in the
	// long run. 0: 0.05.
	MaxRatio float64
	// ReadOnly says that the agent and whoever is asked with it change nothing, so
	// that it is safe to ask both. Without it a chain needs Effects.
	ReadOnly bool

	set    inherited[Hedge]
	mu     sync.Mutex
	recent [1024]time.Duration
	seen   int                 // answers in all
	of     int                 // how many answers sorted was taken of
	sorted [1024]time.Duration // the recent ones then
	earned float64             // second calls that may be made, beyond hedgeStart
}

// hedgeBurst is how many second calls may come at once after a quiet time, and
// hedgeStart how many before there was one.
const (
	hedgeBurst = 25
	hedgeStart = 5
)

// Begin counts a first call, and says after how long a second one is due; ok is
// false if there is to be none.
func (h *Hedge) Begin() (after time.Duration, ok bool) {
	h = h.Itself()
	is := h.conf()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.earned = min(h.earned+orDefault(is.MaxRatio, 0.05), hedgeBurst-hedgeStart)
	if is.After > 0 {
		return is.After, true
	}
	if h.seen < 20 {
		return 0, false
	}
	if h.of == 0 || h.seen-h.of >= max(16, min(h.of, len(h.recent))/16) {
		h.of, h.sorted = h.seen, h.recent
		slices.Sort(h.sorted[:min(h.seen, len(h.recent))])
	}
	return h.slow(), true
}

// Take says whether a second call may be made now, and pays for it.
func (h *Hedge) Take() bool {
	h = h.Itself()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.earned+hedgeStart < 1 {
		return false
	}
	h.earned--
	return true
}

// Answered notes how long an answer took.
func (h *Hedge) Answered(took time.Duration) {
	h = h.Itself()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent[h.seen%len(h.recent)] = took
	h.seen++
}

// slow is what an answer may take. The fewer second calls are left, the longer that
// is: so they are used up evenly, and those that are stuck still find some when many
// have been just slow.
func (h *Hedge) slow() time.Duration {
	q := 1 - (1-orDefault(h.conf().Quantile, 0.95))*(0.5+(h.earned+hedgeStart)/hedgeBurst)
	kept := h.sorted[:min(h.of, len(h.sorted))]
	at := int(math.Ceil(q*float64(len(kept)))) - 1
	return kept[min(max(at, 0), len(kept)-1)]
}

// Update replaces the settings while the hedge is in use, and keeps what it has
// learned. to is read for its settings alone, and becomes another name of this hedge;
// one that is in use itself is refused with a [ConfigError].
func (h *Hedge) Update(to *Hedge) error {
	if to == nil {
		return &ConfigError{Setting: "Hedge.Update", Problem: "is nil", Fix: "give it a *strategies.Hedge with the new settings"}
	}
	if h = h.Itself(); h == to.Itself() {
		return nil
	}
	if err := to.Validate(); err != nil {
		return err
	}
	if to.Used() || !to.set.name.CompareAndSwap(nil, h) {
		return usedAlready("Hedge.Update")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set.settings.Store(to)
	h.of = 0 // another part of the answers may be slow now
	return nil
}

// Itself returns the hedge that this one is another name of, see Update, or itself.
func (h *Hedge) Itself() *Hedge { return h.set.who(h) }

// Used says whether the hedge has counted a call.
func (h *Hedge) Used() bool {
	if h.set.name.Load() != nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.earned != 0 || h.seen > 0
}

func (h *Hedge) conf() *Hedge { h = h.Itself(); return h.set.of(h) }

// Validate says all that is wrong with the settings, each by its name.
func (h *Hedge) Validate() error {
	var p problems
	negative(&p, "Hedge.After", h.After, "leave it 0 to learn it from the answers")
	if h.Quantile != 0 && !(h.Quantile > 0 && h.Quantile < 1) {
		p.add("Hedge.Quantile", fmt.Sprintf("is %v", h.Quantile), "use a number between 0 and 1, or 0 for 0.95")
	}
	if h.MaxRatio != 0 && !(h.MaxRatio > 0 && h.MaxRatio <= 1) {
		p.add("Hedge.MaxRatio", fmt.Sprintf("is %v", h.MaxRatio), "use a number up to 1, or 0 for 0.05")
	}
	return p.err()
}

// String describes the settings in a line.
func (h *Hedge) String() string {
	h = h.conf()
	after := fmt.Sprintf("%v", h.After)
	if h.After == 0 {
		after = fmt.Sprintf("the slowest %.3g %% begin", 100*(1-orDefault(h.Quantile, 0.95)))
	}
	return fmt.Sprintf("after %s somebody else is asked too, for %.3g %% of the calls at most", after, 100*orDefault(h.MaxRatio, 0.05))
}
