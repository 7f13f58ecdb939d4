package fleettest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Proxy is a TCP proxy between a store and its server that can be told to misbehave, in
// toxiproxy's words.
type Proxy struct {
	Up    func() error
	Down  func()                  // refuses, and cuts what is open
	Toxic func(json string) error // adds one
	Clean func()                  // removes all
}

// Line is a server with a proxy before it.
type Line struct {
	Proxy    Proxy
	Through  func(t *testing.T) strategies.Store // the proxy
	Straight func(t *testing.T) strategies.Store // around it; both see the same records
}

const (
	counters  = 3
	impatient = 400 * time.Millisecond
	// A call that has not come back so long after its context ended is one that does not
	// end with it. Two busy cores need some of it.
	tolerated = 1500 * time.Millisecond
	poisoned  = time.Second
)

var toxics = []struct {
	name    string
	poison  []string
	down    bool
	answers bool // the store answers all the while
	lasts   time.Duration
}{
	{name: "latency", answers: true, poison: []string{
		`{"type":"latency","stream":"downstream","attributes":{"latency":30,"jitter":15}}`,
		`{"type":"latency","stream":"upstream","attributes":{"latency":15}}`,
	}},
	{name: "bandwidth", answers: true, poison: []string{
		`{"type":"bandwidth","stream":"downstream","attributes":{"rate":20}}`,
		`{"type":"bandwidth","stream":"upstream","attributes":{"rate":20}}`,
	}},
	{name: "slow_close", answers: true, poison: []string{
		`{"type":"slow_close","stream":"downstream","attributes":{"delay":700}}`,
		`{"type":"slow_close","stream":"upstream","attributes":{"delay":700}}`,
	}},
	{name: "down and up", down: true},
	{name: "cut in the midst of answers", poison: []string{`{"type":"limit_data","stream":"downstream","attributes":{"bytes":3000}}`}},
	{name: "nothing comes through", lasts: impatient + tolerated + poisoned, poison: []string{
		`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
		`{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
	}},
}

// Toxics puts a store behind a proxy that misbehaves. Whatever it does, what a writer was
// told is there; of those who swap one revision one succeeds; calls end with their
// context; and after it a watch knows the last state, and a fleet all facts.
func Toxics(t *testing.T, l Line) {
	t.Helper()
	through, straight := l.Through(t), l.Straight(t)
	for i, tc := range toxics {
		t.Run(tc.name, func(t *testing.T) {
			p := &poisoning{t: t, store: through, prefix: fmt.Sprint("toxic/", i, "/"), lost: map[string]int{}, won: map[string]map[uint64]bool{}}
			watch, err := through.Watch(t.Context(), p.prefix)
			if err != nil {
				t.Fatal(err)
			}
			f := newPair(t, through, straight, fmt.Sprint("toxic", i))
			f.meet(t)
			stop := p.start()
			p.progress(10)
			for _, json := range tc.poison {
				if err := l.Proxy.Toxic(json); err != nil {
					t.Fatal(err)
				}
			}
			if tc.down {
				l.Proxy.Down()
			}
			f.far.Isolate()
			if tc.name == "slow_close" { // it shows only where connections end
				closes(t, l)
			}
			if tc.answers {
				p.progress(5)
			}
			<-time.After(max(tc.lasts, poisoned))
			f.nearHold.Hold(time.Minute, errBusy)
			l.Proxy.Clean()
			if tc.down {
				if err := l.Proxy.Up(); err != nil {
					t.Fatal(err)
				}
			}
			p.progress(10)
			stop()
			p.check(straight)
			p.follows(watch, straight)
			f.agree(t)
			t.Logf("%d writes, %d without an answer, longest call %v", p.acknowledged, p.unknown, p.longest.Round(time.Millisecond))
		})
	}
}

func closes(t *testing.T, l Line) {
	t.Helper()
	began := time.Now()
	for range 3 {
		s := l.Through(t)
		if _, err := s.Watch(t.Context(), ""); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("three stores took %v to open and close", took)
	}
}

// poisoning is some callers who count, each in a record of its own and all in one.
type poisoning struct {
	t      *testing.T
	store  strategies.Store
	prefix string

	mu                    sync.Mutex
	won                   map[string]map[uint64]bool // what was acknowledged, by key
	lost                  map[string]int             // writes that got no answer
	acknowledged, unknown int
	longest               time.Duration
}

func (p *poisoning) start() (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var all sync.WaitGroup
	for i := range counters {
		for _, key := range []string{p.prefix + "all", fmt.Sprint(p.prefix, i)} {
			all.Add(1)
			go func() {
				defer all.Done()
				for ctx.Err() == nil {
					p.count(key)
				}
			}()
		}
	}
	return func() { cancel(); all.Wait() }
}

// count is one compare-and-swap. After a write without an answer it reads anew.
func (p *poisoning) count(key string) {
	var r strategies.Record
	err := p.call(func(ctx context.Context) (err error) { r, err = p.store.Get(ctx, key); return err })
	if err != nil && !errors.Is(err, strategies.ErrNotFound) {
		p.wants(err)
		return
	}
	n, _ := strconv.ParseUint(string(r.Value), 10, 64)
	n++
	err = p.call(func(ctx context.Context) error {
		_, err := p.store.Put(ctx, strategies.Write{Key: key, Value: []byte(strconv.FormatUint(n, 10)), Revision: r.Revision})
		return err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		if p.won[key] == nil {
			p.won[key] = map[uint64]bool{}
		}
		if p.won[key][n] {
			p.t.Errorf("%q was swapped to %d twice", key, n)
		}
		p.won[key][n] = true
		p.acknowledged++
	case errors.Is(err, strategies.ErrUnavailable):
		p.lost[key]++
		p.unknown++
	case !errors.Is(err, strategies.ErrConflict):
		p.t.Errorf("put: %v", err)
	}
}

func (p *poisoning) wants(err error) {
	if !errors.Is(err, strategies.ErrUnavailable) {
		p.t.Errorf("get: %v", err)
	}
}

func (p *poisoning) call(do func(ctx context.Context) error) error {
	ctx, stop := context.WithTimeout(context.Background(), impatient)
	defer stop()
	began := time.Now()
	err := do(ctx)
	took := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = max(p.longest, took)
	if took > impatient+tolerated {
		p.t.Errorf("a call with %v of time took %v: %v", impatient, took, err)
	}
	return err
}

// progress waits for so many more writes.
func (p *poisoning) progress(n int) {
	p.t.Helper()
	count := func() int { p.mu.Lock(); defer p.mu.Unlock(); return p.acknowledged }
	first := count()
	wait(p.t, "writes", func() bool { return count() >= first+n })
}

// check compares what is there with what was acknowledged.
func (p *poisoning) check(s strategies.Store) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, won := range p.won {
		r, err := s.Get(p.t.Context(), key)
		if err != nil {
			p.t.Fatal(err)
		}
		n, err := strconv.ParseUint(string(r.Value), 10, 64)
		highest := uint64(0)
		for v := range won {
			highest = max(highest, v)
		}
		if most := len(won) + p.lost[key]; err != nil || n < highest || n < uint64(len(won)) || n > uint64(most) {
			p.t.Errorf("%q is %q; acknowledged were %d, the highest %d, and %d had no answer", key, r.Value, len(won), highest, p.lost[key])
		}
	}
}

// follows wants a watch to come to what is there.
func (p *poisoning) follows(watch <-chan strategies.Change, s strategies.Store) {
	p.t.Helper()
	told := map[string]uint64{}
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	again := time.NewTicker(50 * time.Millisecond) // a write without an answer may still come
	defer again.Stop()
	current := false
	for {
		select {
		case c, ok := <-watch:
			if !ok {
				p.t.Fatal("the watch has ended")
			}
			switch c.Kind {
			case strategies.ChangePut:
				if c.Record.Revision <= told[c.Record.Key] {
					p.t.Errorf("told revision %d of %q after %d", c.Record.Revision, c.Record.Key, told[c.Record.Key])
				}
				told[c.Record.Key] = c.Record.Revision
			case strategies.ChangeGone:
				p.t.Errorf("told that %q is gone, which nobody deleted", c.Record.Key)
			case strategies.ChangeCurrent:
				current = true
			case strategies.ChangeLost:
				current = false
			}
		case <-again.C:
			all, err := s.List(p.t.Context(), p.prefix)
			if err != nil {
				p.t.Fatal(err)
			}
			there := map[string]uint64{}
			for _, r := range all {
				there[r.Key] = r.Revision
			}
			if current && maps.Equal(told, there) {
				return
			}
		case <-late.C:
			p.t.Fatalf("30 s after it the watch knows %v (current: %v)", told, current)
		}
	}
}

// pair is a fleet of two replicas, one of them behind the proxy.
type pair struct{ near, far, nearHold, farHold *strategies.Breaker }

func newPair(t *testing.T, through, straight strategies.Store, name string) *pair {
	t.Helper()
	join := func(s strategies.Store, replica string) (a, b *strategies.Breaker) {
		a, b = &strategies.Breaker{Name: "isolated"}, &strategies.Breaker{Name: "held"}
		f := &strategies.Fleet{Store: s, Name: name, Replica: replica}
		if err := f.Share(a, b); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return a, b
	}
	p := &pair{}
	p.near, p.nearHold = join(straight, "near")
	p.far, p.farHold = join(through, "far")
	return p
}

var errBusy = errors.New("429")

// meet waits until the two have heard of each other.
func (p *pair) meet(t *testing.T) {
	t.Helper()
	p.near.Isolate()
	wait(t, "the far one hears the near one", func() bool { return p.far.State() == strategies.StateIsolated })
	p.far.Reset()
	wait(t, "the near one hears the far one", func() bool { return p.near.State() == strategies.StateClosed })
}

// agree waits until both know what was said while they could not hear each other.
func (p *pair) agree(t *testing.T) {
	t.Helper()
	wait(t, "the near one knows what the far one said", func() bool { return p.near.State() == strategies.StateIsolated })
	wait(t, "the far one knows what the near one said", func() bool { return p.farHold.State() == strategies.StateHeld })
	if left := p.farHold.RetryAfter(); left > time.Minute {
		t.Errorf("held for %v, a minute was said", left)
	}
	if p.far.State() != strategies.StateIsolated || p.nearHold.State() != strategies.StateHeld {
		t.Error("who said it has forgotten it")
	}
}

// Slow is a line on which all works, later: for a conformance suite.
func Slow(t *testing.T, p Proxy) {
	t.Helper()
	for _, json := range []string{
		`{"type":"latency","stream":"downstream","attributes":{"latency":1,"jitter":1}}`,
		`{"type":"bandwidth","stream":"upstream","attributes":{"rate":20000}}`,
		`{"type":"slow_close","stream":"downstream","attributes":{"delay":200}}`,
	} {
		if err := p.Toxic(json); err != nil {
			t.Fatal(err)
		}
	}
}
