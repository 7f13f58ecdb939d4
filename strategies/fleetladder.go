package strategies

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ladderShare is what a fleet knows about the pinned level of one ladder.
type ladderShare struct {
	f    *Fleet
	l    *Ladder
	key  string
	stop func()

	applying sync.Mutex

	mu       sync.Mutex
	news     *ladderNews
	fact     levelFact // what stands, as far as is known here
	stored   levelFact
	revision uint64
}

type ladderNews struct {
	fact levelFact
	at   int64
	seen int64
}

func (l *Ladder) shareIn(f *Fleet) error {
	l = l.Itself()
	if l.Name == "" {
		return &ConfigError{Setting: "Ladder.Name", Problem: "is empty, so the replicas could not tell whose it is", Fix: "give it a name"}
	}
	if err := shareable("Ladder.Name", l.Name); err != nil {
		return err
	}
	if f.ladders[l.Name] != nil {
		return &ConfigError{Setting: "Ladder.Name", Problem: fmt.Sprintf("%q is shared already", l.Name), Fix: "give each ladder its own name"}
	}
	s := &ladderShare{f: f, l: l, key: f.prefix + "w/level/" + escaped(l.Name)}
	if level, pinned := l.State(); pinned {
		c := LevelChange{To: level, Pinned: true}
		if all := l.Reasons(); len(all) > 0 {
			c.Reason = all[len(all)-1].Text
		}
		s.moved(c)
	}
	s.stop = l.Watch(s.moved)
	f.ladders[l.Name] = s
	return nil
}

// moved: the ladder has moved, here or because another said so.
func (s *ladderShare) moved(c LevelChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.fact
	if s.news != nil {
		is = s.news.fact
	}
	if c.Pinned == is.Pinned && (!c.Pinned || c.To == is.Level) {
		return // known, or nothing that was pinned
	}
	s.news = &ladderNews{levelFact{Pinned: c.Pinned, Level: c.To, Reason: cut(c.Reason, mostReason)}, s.f.moment(), s.fact.At}
	s.f.nudge()
}

// cut is the first n bytes of a text, and no half rune.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

// stamp gives what has happened here its time; s.mu is held.
func (s *ladderShare) stamp() {
	if s.news == nil {
		return
	}
	mine := s.news.fact
	mine.when = when{max(s.f.stampOf(s.news.at), s.news.seen+1), s.f.id}
	s.news = nil
	if mine.after(s.fact.when) {
		s.fact = mine
	}
}

func (s *ladderShare) unpublished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news != nil || s.fact != s.stored
}

func (s *ladderShare) hear(r Record, gone bool) error {
	if gone {
		return nil
	}
	told, err := parse[levelFact](r, s.f.latest())
	if err != nil {
		return err
	}
	s.applying.Lock()
	s.mu.Lock()
	s.stamp()
	if r.Revision >= s.revision {
		s.stored, s.revision = told, r.Revision
	}
	if told.after(s.fact.when) {
		s.fact = told
	}
	is := s.fact
	s.mu.Unlock()
	s.l.follow(is)
	s.applying.Unlock()
	if is != told {
		s.f.nudge()
	}
	s.l.changes.deliver()
	return nil
}

// follow brings the ladder to what was told, and tells no listener yet.
func (l *Ladder) follow(is levelFact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	level, pinned := l.State()
	switch {
	case is.Pinned && (!pinned || level != is.Level):
		l.pin(is.Level, is.Reason)
	case !is.Pinned && pinned:
		l.move(level, min(is.Level, level), false, "restored")
	}
}

func (o *fleetOwner) tellLevel(s *ladderShare) error {
	if !s.unpublished() {
		return nil
	}
	if err := o.spare(factSpare); err != nil {
		return err
	}
	r, err := o.settle(s.key, func() (any, time.Duration, uint64, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stamp()
		ttl := time.Duration(0)
		if !s.fact.Pinned {
			ttl = 24 * time.Hour
		}
		return s.fact, ttl, s.revision, s.fact != s.stored
	}, func(r Record) error {
		if r.Revision != 0 {
			err := s.hear(r, false)
			if err == nil {
				return nil
			}
			s.f.skip(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stored, s.revision = levelFact{}, r.Revision
		return nil
	})
	if err == nil && r.Revision != 0 {
		s.mu.Lock()
		var told levelFact
		if json.Unmarshal(r.Value, &told) == nil && r.Revision > s.revision {
			s.stored, s.revision = told, r.Revision
		}
		s.mu.Unlock()
	}
	return o.lost(err)
}
