package strategies

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What replicas tell each other about a breaker, in JSON. Each part is one fact that a
// later one replaces, so that two records are merged in any order, any number of times,
// to the same result.

// when is the time of a fact by the store's clock, and who has told it: the two
// together tell any two facts apart.
type when struct {
	At int64  `json:"at"` // a stamp
	By string `json:"by"`
}

func (w when) after(o when) bool { return w.At > o.At || w.At == o.At && w.By > o.By }

type holdFact struct {
	when
	Until int64  `json:"until"` // a stamp
	Class string `json:"class"` // as text: a newer replica may know more of them
}

func (h holdFact) class() Class {
	class := ClassRateLimited
	_ = class.UnmarshalText([]byte(h.Class))
	return class
}

type trialFact struct {
	when
	OK     bool  `json:"ok"`
	Until  int64 `json:"until,omitempty"` // a stamp: nobody tries before
	Streak int64 `json:"streak,omitempty"`
}

type breakerFacts struct {
	Hold     holdFact  `json:"hold,omitzero"`
	Isolated when      `json:"isolated,omitzero"`
	Reset    when      `json:"reset,omitzero"`
	Trial    trialFact `json:"trial,omitzero"`
}

// merged is what both know.
func (a breakerFacts) merged(b breakerFacts) breakerFacts {
	if b.Isolated.after(a.Isolated) {
		a.Isolated = b.Isolated
	}
	if b.Reset.after(a.Reset) {
		a.Reset = b.Reset
	}
	if b.Trial.after(a.Trial.when) {
		a.Trial = b.Trial
	}
	// Of two holds that stand the longer one does. A reset ends those before it.
	if b.Hold.after(a.Reset) && (!a.Hold.after(a.Reset) || b.Hold.Until > a.Hold.Until || b.Hold.Until == a.Hold.Until && b.Hold.after(a.Hold.when)) {
		a.Hold = b.Hold
	}
	if !a.Hold.after(a.Reset) {
		a.Hold = holdFact{}
	}
	return a
}

func (a breakerFacts) isolated() bool { return a.Isolated.after(a.Reset) }

// last is the latest stamp in it: what happens here comes after what is known here.
func (a breakerFacts) last() int64 {
	return max(a.Hold.At, a.Isolated.At, a.Reset.At, a.Trial.At)
}

// ttl is how long anybody can need it.
func (a breakerFacts) ttl(now int64) time.Duration {
	if a.isolated() {
		return 0
	}
	return max(time.Hour, time.Duration(max(a.Hold.Until, a.Trial.Until)-now)*time.Microsecond+time.Minute)
}

// voteFact is how often a replica has failed in a row.
type voteFact struct {
	when
	Failures int `json:"failures"`
}

// levelFact is what a ladder is pinned at.
type levelFact struct {
	when
	Pinned bool   `json:"pinned"`
	Level  Level  `json:"level"`
	Reason string `json:"reason,omitempty"`
}

const (
	mostRecord = 4 << 10
	mostReason = 200
	mostAhead  = int64(longestWindow / time.Microsecond)
)

var errRecord = errors.New("is not a record of ours")

// parse reads a record of anybody's. Fields that it does not know are a newer
// replica's. latest is the latest stamp that makes sense.
func parse[T interface{ valid(latest int64) bool }](r Record, latest int64) (v T, err error) {
	if len(r.Value) > mostRecord {
		return v, fmt.Errorf("understudy: record %.200q has %d bytes, at most %d", r.Key, len(r.Value), mostRecord)
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return v, fmt.Errorf("understudy: record %.200q %w: %w", r.Key, errRecord, err)
	}
	if !v.valid(latest) {
		return v, fmt.Errorf("understudy: record %.200q %w: a time, a count or a name makes no sense", r.Key, errRecord)
	}
	return v, nil
}

// latest is a year ahead. What happens here comes after all that is known here, so a
// stamp of which nothing comes after would stand for ever.
func (f *Fleet) latest() int64 { return f.stampOf(f.moment()) + mostAhead }

func (w when) valid(latest int64) bool {
	return w.At > 0 && w.At < latest && w.By != "" && w.known(latest)
}

// known is valid for what may be missing.
func (w when) known(latest int64) bool {
	return w.At >= 0 && w.At < latest && len(w.By) <= mostName+16 && (w.At > 0) == (w.By != "")
}

func (a breakerFacts) valid(latest int64) bool {
	return a != breakerFacts{} && a.Hold.known(latest) && a.Isolated.known(latest) && a.Reset.known(latest) && a.Trial.known(latest) &&
		a.Hold.Until >= 0 && a.Hold.Until < latest && len(a.Hold.Class) <= mostName &&
		a.Trial.Until >= 0 && a.Trial.Until < latest && a.Trial.Streak >= 0 && a.Trial.Streak < 1<<20
}

func (v voteFact) valid(latest int64) bool { return v.when.valid(latest) && v.Failures >= 0 }

func (l levelFact) valid(latest int64) bool {
	return l.when.valid(latest) && l.Level <= LevelEmergency && len(l.Reason) <= mostReason
}
