package strategies

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// follow is the goroutine that hears what others tell.
func (f *Fleet) follow() {
	pause := leastAway
	for f.ctx.Err() == nil {
		var changes <-chan Change
		err := guarded(func() (err error) {
			changes, err = f.Store.Watch(f.ctx, f.prefix+"w/")
			return err
		})
		if err == nil {
			for c := range f.until(changes) {
				f.hear(c)
				f.deliver()
				pause = leastAway
			}
			err = errNoAnswer
		}
		f.listening(err)
		f.deliver()
		select {
		case <-f.ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostAway)
	}
}

// until is what a watch tells while the fleet is open. Then it is waited for, so that
// nothing is left behind, but not for ever.
func (f *Fleet) until(changes <-chan Change) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var ending <-chan time.Time
		done := f.ctx.Done()
		for {
			select {
			case c, open := <-changes:
				if !open || ending == nil && !yield(c) {
					return
				}
			case <-done:
				timer := time.NewTimer(opPatience)
				defer timer.Stop()
				ending, done = timer.C, nil
			case <-ending:
				return
			}
		}
	}
}

// deliver tells listeners what has happened. One that panics ends nobody's program.
func (f *Fleet) deliver() {
	defer func() { _ = recover() }()
	f.changes.deliver()
}

// hear applies one change. Listeners of breakers and ladders run in it.
func (f *Fleet) hear(c Change) {
	defer func() {
		if p := recover(); p != nil {
			f.skip(fmt.Errorf("understudy: a listener has panicked: %v", p))
		}
	}()
	switch c.Kind {
	case ChangeLost:
		f.listening(c.Err)
	case ChangeCurrent:
		f.listening(nil)
	case ChangePut, ChangeGone:
		if err := f.hearRecord(c.Record, c.Kind == ChangeGone); err != nil {
			f.skip(err)
		}
	}
}

func (f *Fleet) hearRecord(r Record, gone bool) error {
	rest, ours := strings.CutPrefix(r.Key, f.prefix+"w/")
	if !ours {
		return nil
	}
	kind, rest, _ := strings.Cut(rest, "/")
	name, by, _ := strings.Cut(rest, "/")
	if kind == "members" {
		f.mu.Lock()
		f.recount = true
		f.mu.Unlock()
		f.nudge()
		return nil
	}
	f.mu.Lock()
	s, l := f.breakers[unescaped(name)], f.ladders[unescaped(name)]
	f.mu.Unlock()
	if kind == "level" && l != nil {
		return l.hear(r, gone)
	}
	if s == nil || kind == "level" {
		return nil // another replica shares more
	}
	switch kind {
	case "facts":
		if !gone {
			return s.learn(r)
		}
	case "trial":
		return s.hearLease(r, gone)
	case "want":
		if w, err := parse[when](r, f.latest()); gone || err != nil {
			return err
		} else if w.By != f.id {
			s.hearWant()
		}
	case "vote":
		if gone {
			s.dropVote(by)
			return nil
		}
		v, err := parse[voteFact](r, f.latest())
		if err != nil || v.By == f.id {
			return err
		}
		s.hearVote(by, v)
	case "well":
		if gone {
			return nil
		}
		w, err := parse[when](r, f.latest())
		if err != nil {
			return err
		}
		s.hearWell(w)
	default:
		return fmt.Errorf("understudy: record %.200q %w: it is of no kind that this version knows", r.Key, errRecord)
	}
	return nil
}

func unescaped(name string) string {
	return strings.NewReplacer("%25", "%", "%2F", "/").Replace(name)
}

// skip reports a record that was left alone.
func (f *Fleet) skip(err error) {
	f.mu.Lock()
	f.skipped++
	f.mu.Unlock()
	f.tell(FleetSkipped, err)
}

// silences is how many operations in a row without an answer mean that the store is
// away.
const silences = 2

// answered notes how an operation ended: err is nil, or it counts for so many without
// an answer.
func (f *Fleet) answered(err error, silent int) {
	f.mu.Lock()
	if err == nil {
		f.opsBad = 0
	} else {
		f.opsBad = min(f.opsBad+silent, silences)
	}
	f.judge(err)
	f.mu.Unlock()
}

// listening notes whether the watch tells all that changes.
func (f *Fleet) listening(err error) {
	if f.ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	f.deaf = err != nil
	f.judge(err)
	var breakers []*breakerShare
	for _, s := range f.breakers {
		breakers = append(breakers, s)
	}
	f.mu.Unlock()
	for _, s := range breakers {
		s.weigh()
	}
	f.nudge()
}

// judge says whether the store is away; f.mu is held.
func (f *Fleet) judge(err error) {
	away := f.opsBad >= silences || f.deaf
	said := f.awayErr != nil
	f.away.Store(away)
	switch {
	case away && !said && err != nil && (f.opsBad >= silences || f.deaf):
		f.awayAt, f.awayErr = time.Now(), err
		f.tell(FleetAway, err)
	case !away:
		f.awayAt = time.Time{}
		if said {
			f.awayErr = nil
			f.tell(FleetBack, nil)
		}
		f.nudge()
	}
}

// count notes how many replicas live.
func (f *Fleet) count(n int) {
	n = max(n, 1)
	if f.living.Swap(int64(n)) == int64(n) {
		return
	}
	f.mu.Lock()
	parts := f.dividers
	f.mu.Unlock()
	for _, part := range parts {
		part.divide(n)
	}
	f.tell(FleetSize, nil)
}

func (b *Budget) shareIn(f *Fleet) error { return f.divides(b) }
func (p *Pace) shareIn(f *Fleet) error   { return f.divides(p) }

func (f *Fleet) divides(part divider) error {
	for _, d := range f.dividers {
		if d == part {
			return &ConfigError{Setting: "Fleet.Share", Problem: "is given a budget or a pace twice", Fix: "share each once"}
		}
	}
	f.dividers = append(f.dividers[:len(f.dividers):len(f.dividers)], part)
	part.divide(int(f.living.Load()))
	return nil
}
