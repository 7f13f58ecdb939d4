package storetest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// watching is a reader that holds every change against the contract.
type watching struct {
	t      testing.TB
	prefix string
	ch     <-chan strategies.Change
	there  map[string]strategies.Record // as told
	high   map[string]uint64            // highest revision told of a key
	marks  int
	gone   int
}

func watch(ctx context.Context, t testing.TB, s strategies.Store, prefix string) *watching {
	t.Helper()
	ch, err := s.Watch(ctx, prefix)
	if err != nil {
		t.Fatalf("Watch(%q): %v", prefix, err)
	}
	return &watching{t: t, prefix: prefix, ch: ch, there: map[string]strategies.Record{}, high: map[string]uint64{}}
}

// until reads changes until what is wanted has come.
func (w *watching) until(what string, done func() bool) {
	w.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(10 * time.Millisecond) // what is wanted may come about without a change
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case c, ok := <-w.ch:
			if !ok {
				w.t.Fatalf("the watch ended, waiting for %s", what)
			}
			w.take(c)
		case <-late.C:
			w.t.Fatalf("%v have passed, waiting for %s; %d records, %d marks", patience, what, len(w.there), w.marks)
		}
	}
}

func (w *watching) take(c strategies.Change) {
	w.t.Helper()
	key, revision := c.Record.Key, c.Record.Revision
	if (c.Kind == strategies.ChangePut || c.Kind == strategies.ChangeGone) && !strings.HasPrefix(key, w.prefix) {
		w.t.Fatalf("told %s of %q, which does not begin with %q", c.Kind, key, w.prefix)
	}
	switch c.Kind {
	case strategies.ChangePut:
		if revision <= w.high[key] {
			w.t.Fatalf("told revision %d of %q after %d", revision, key, w.high[key])
		}
		w.there[key], w.high[key] = c.Record, revision
	case strategies.ChangeGone:
		if _, ok := w.there[key]; !ok {
			w.t.Fatalf("told that %q is gone, of which nothing was told", key)
		}
		if revision < w.high[key] {
			w.t.Fatalf("told that revision %d of %q is gone, after %d", revision, key, w.high[key])
		}
		delete(w.there, key)
		w.high[key] = revision
		w.gone++
	case strategies.ChangeCurrent:
		w.marks++
	case strategies.ChangeLost:
		if c.Err == nil {
			w.t.Fatal("told that the store is lost, and not why")
		}
	default:
		w.t.Fatalf("told a change of kind %v", c.Kind)
	}
}

// knows wants a record to be told.
func (w *watching) knows(r strategies.Record) {
	w.t.Helper()
	w.until(fmt.Sprintf("revision %d of %q", r.Revision, short(r.Key)), func() bool { return w.there[r.Key].Revision >= r.Revision })
	same(w.t, "the watch", w.there[r.Key], r)
}

// quiet wants nothing to come for a while.
func (w *watching) quiet(while time.Duration) {
	w.t.Helper()
	over := time.NewTimer(while)
	defer over.Stop()
	select {
	case c, ok := <-w.ch:
		w.t.Fatalf("told %v %s (%v), want nothing", c.Kind, shown(c.Record), ok)
	case <-over.C:
	}
}

var watchChecks = []Check{
	{"a watch tells what is there, and then that this is all", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		want := map[string]strategies.Record{}
		for _, key := range []string{"a/1", "a/2", "a/3"} {
			want[key] = create(ctx, t, s, key, key)
		}
		create(ctx, t, s, "b", "")
		gone := create(ctx, t, s, "a/4", "")
		if err := s.Delete(ctx, "a/4", gone.Revision); err != nil {
			t.Fatal(err)
		}
		w := watch(ctx, t, s, "a/")
		w.until("the mark", func() bool { return w.marks == 1 })
		if len(w.there) != len(want) {
			t.Fatalf("told %d records before the mark, want %d", len(w.there), len(want))
		}
		for key, r := range want {
			same(t, "the watch", w.there[key], r)
		}
		w.quiet(soon)
	}},
	{"a watch of nothing says so at once", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		w := watch(ctx, t, s, "")
		w.until("the mark", func() bool { return w.marks == 1 })
		w.quiet(soon)
	}},
	{"a watch tells what changes", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		w := watch(ctx, t, s, "a")
		w.until("the mark", func() bool { return w.marks == 1 })
		r := create(ctx, t, s, "a", "1")
		w.knows(r)
		create(ctx, t, s, "b", "elsewhere")
		r = put(ctx, t, s, strategies.Write{Key: "a", Value: []byte("2"), Revision: r.Revision})
		w.knows(r)
		if err := s.Delete(ctx, "a", r.Revision); err != nil {
			t.Fatal(err)
		}
		w.until("the deletion", func() bool { return len(w.there) == 0 })
		w.knows(create(ctx, t, s, "a", "3"))
		w.quiet(soon)
	}},
	{"a watch tells what expires", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		first := put(ctx, t, s, strategies.Write{Key: "a", TTL: soon})
		w := watch(ctx, t, s, "")
		w.knows(first)
		w.until("the mark", func() bool { return w.marks == 1 })
		second := put(ctx, t, s, strategies.Write{Key: "b", TTL: soon})
		w.knows(second)
		w.until("the first expiry", func() bool { return w.gone >= 1 })
		if at := now(ctx, t, s); at.Before(first.Expires) {
			t.Fatalf("told at %v or before, it expires at %v", at, first.Expires)
		}
		w.until("the second expiry", func() bool { return w.gone == 2 })
		if at := now(ctx, t, s); at.Before(second.Expires) || at.After(second.Expires.Add(10*time.Second)) {
			t.Fatalf("told about %v, it expires at %v", at, second.Expires)
		}
	}},
	{"a record that is renewed is never told gone", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		w := watch(ctx, t, s, "")
		const long = 5 * soon
		r := put(ctx, t, s, strategies.Write{Key: "a", TTL: long})
		for range 10 {
			time.Sleep(soon)
			r = put(ctx, t, s, strategies.Write{Key: "a", TTL: long, Revision: r.Revision})
		}
		w.knows(r)
		if w.gone > 0 {
			t.Fatal("it was told gone")
		}
		w.until("its expiry", func() bool { return w.gone == 1 })
	}},
	{"odd keys are told as they are", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		w := watch(ctx, t, s, "")
		w.until("the mark", func() bool { return w.marks == 1 })
		all := map[string]strategies.Record{}
		for _, key := range oddKeys {
			all[key] = create(ctx, t, s, key, key)
		}
		for _, r := range all {
			w.knows(r)
		}
		stars := watch(ctx, t, s, "a/*")
		stars.until("the mark", func() bool { return stars.marks == 1 })
		if len(stars.there) != 1 {
			t.Fatalf("a/* told %d records", len(stars.there))
		}
	}},
	{"two watches are told the same", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		a, b := watch(ctx, t, s, ""), watch(ctx, t, s, "x")
		r := create(ctx, t, s, "x", "1")
		a.knows(r)
		b.knows(r)
	}},
	{"a watch ends with its context, and the others go on", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		short, cancel := context.WithCancel(ctx)
		a, b := watch(short, t, s, ""), watch(ctx, t, s, "")
		a.until("the mark", func() bool { return a.marks == 1 })
		cancel()
		ended(t, a.ch)
		b.knows(create(ctx, t, s, "x", "1"))
		if left, err := s.Watch(short, ""); err == nil {
			ended(t, left)
		}
	}},
	{"a slow reader holds nobody up and learns how it ended", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		w := watch(ctx, t, s, "")
		last := map[string]strategies.Record{}
		for i := range 400 {
			key := fmt.Sprint("k", i%7)
			last[key] = put(ctx, t, s, strategies.Write{Key: key, Value: fmt.Append(nil, i), Revision: strategies.AnyRevision})
		}
		if err := s.Delete(ctx, "k0", last["k0"].Revision); err != nil {
			t.Fatal(err)
		}
		delete(last, "k0")
		w.until("the last states", func() bool {
			_, there := w.there["k0"]
			return !there && sameRevisions(w.there, last)
		})
		for key, r := range last {
			same(t, "the watch", w.there[key], r)
		}
	}},
	{"under load no key's states are lost or reordered", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		var watches []*watching
		for range 3 {
			watches = append(watches, watch(ctx, t, s, "k"))
		}
		written := make([]map[string]uint64, 4)
		var busy atomic.Int64
		busy.Store(int64(len(written)))
		wrote := make(chan struct{})
		t.Cleanup(func() { <-wrote }) // no writer outlives its test
		go func() {
			defer close(wrote)
			parallel(quiet{t}, len(written), func(g int) error {
				defer busy.Add(-1)
				written[g] = map[string]uint64{}
				for i := range 120 {
					key := fmt.Sprint("k", g, "/", i%5)
					r, err := s.Put(ctx, strategies.Write{Key: key, Value: fmt.Append(nil, i), Revision: strategies.AnyRevision})
					if err != nil {
						return err
					}
					written[g][key] = r.Revision
					if i%11 == 0 {
						if err := s.Delete(ctx, key, r.Revision); err != nil {
							return err
						}
						delete(written[g], key)
					}
				}
				return nil
			})
		}()
		last := func() map[string]strategies.Record {
			all := map[string]strategies.Record{}
			for _, m := range written {
				for key, revision := range m {
					all[key] = strategies.Record{Revision: revision}
				}
			}
			return all
		}
		for _, w := range watches {
			w.until("the last states", func() bool {
				select {
				case <-wrote:
					return sameRevisions(w.there, last())
				default:
					return false
				}
			})
		}
		if busy.Load() != 0 {
			t.Fatal("a writer failed")
		}
	}},
}

// quiet reports failures of another goroutine than the check's, which must not end it.
type quiet struct{ testing.TB }

func (q quiet) Fatal(args ...any) { q.Error(args...) }

func sameRevisions(a, b map[string]strategies.Record) bool {
	return maps.EqualFunc(a, b, func(x, y strategies.Record) bool { return x.Revision == y.Revision })
}

// ended wants a channel to be closed.
func ended(t testing.TB, ch <-chan strategies.Change) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-late.C:
			t.Fatal("the watch did not end")
		}
	}
}
