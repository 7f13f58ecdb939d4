package follow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

var errDown = errors.New("connection refused")

// engine is a store whose connection and notices can be cut.
type engine struct {
	*memory.Store
	hub follow.Hub

	mu    sync.Mutex
	down  bool
	deaf  bool // notices are lost
	ahead time.Duration
	reads int
}

func (e *engine) up() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reads++
	if e.down {
		return &strategies.StoreError{Op: "get", Err: strategies.ErrUnavailable, Cause: errDown}
	}
	return nil
}

func (e *engine) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reads
}

func (e *engine) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *engine) Get(ctx context.Context, key string) (strategies.Record, error) {
	if err := e.up(); err != nil {
		return strategies.Record{}, err
	}
	return e.Store.Get(ctx, key)
}

func (e *engine) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	if err := e.up(); err != nil {
		return nil, err
	}
	return e.Store.List(ctx, prefix)
}

func (e *engine) Now(ctx context.Context) (time.Time, error) {
	if err := e.up(); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(e.ahead), nil
}

// put writes, whatever the connection: somebody else did it.
func (e *engine) put(t *testing.T, key, value string, ttl time.Duration) strategies.Record {
	t.Helper()
	r, err := e.Store.Put(context.Background(), strategies.Write{Key: key, Value: []byte(value), Revision: strategies.AnyRevision, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	e.notice(key)
	return r
}

func (e *engine) del(key string) {
	_ = e.Store.Delete(context.Background(), key, strategies.AnyRevision)
	e.notice(key)
}

func (e *engine) notice(key string) {
	e.mu.Lock()
	deaf := e.deaf
	e.mu.Unlock()
	if !deaf {
		e.hub.Tell(key)
	}
}

// told reads what is there to read now, one word a change.
func told(ch <-chan strategies.Change) (all []string) {
	for {
		synctest.Wait()
		select {
		case c, ok := <-ch:
			switch {
			case !ok:
				return append(all, "end")
			case c.Kind == strategies.ChangePut:
				all = append(all, fmt.Sprintf("%s=%s", c.Record.Key, c.Record.Value))
			case c.Kind == strategies.ChangeGone:
				all = append(all, "-"+c.Record.Key)
			default:
				all = append(all, c.Kind.String())
			}
		default:
			return all
		}
	}
}

func wants(t *testing.T, ch <-chan strategies.Change, want ...string) {
	t.Helper()
	if got := told(ch); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("told %q, want %q", got, want)
	}
}

func start(t *testing.T, s follow.Settings) (*engine, <-chan strategies.Change, func()) {
	t.Helper()
	e := &engine{Store: &memory.Store{}}
	e.put(t, "a", "1", 0)
	ctx, cancel := context.WithCancel(t.Context())
	ch := follow.Follow(ctx, context.Background(), &e.hub, e, "", s)
	return e, ch, cancel
}

func TestAnOutageIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ch, cancel := start(t, follow.Settings{Poll: time.Second})
		wants(t, ch, "a=1", "current")
		e.set(func() { e.down = true })
		time.Sleep(2 * time.Second)
		wants(t, ch, "lost")
		e.put(t, "b", "2", 0)
		e.del("a")
		time.Sleep(time.Hour)
		wants(t, ch)
		e.set(func() { e.down = false })
		time.Sleep(3 * time.Second)
		wants(t, ch, "b=2", "-a", "current")
		cancel()
		wants(t, ch, "end")
	})
}

func TestAStoreThatIsDownFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{Store: &memory.Store{}, down: true}
		closed, end := context.WithCancel(t.Context())
		ch := follow.Follow(t.Context(), closed, &e.hub, e, "", follow.Settings{})
		wants(t, ch, "lost")
		time.Sleep(time.Minute)
		reads := e.count()
		for range 1000 {
			e.hub.Tell("a") // must not wake a watch that waits for the store
			synctest.Wait()
		}
		if e.count() != reads {
			t.Errorf("%d hints led to %d readings of a store that is down", 1000, e.count()-reads)
		}
		e.set(func() { e.down = false })
		time.Sleep(3 * time.Second)
		wants(t, ch, "current")
		end()
		wants(t, ch, "end")
	})
}

func TestLostNoticesCostTimeAndNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ch, cancel := start(t, follow.Settings{Poll: 10 * time.Second})
		defer cancel()
		wants(t, ch, "a=1", "current")
		e.set(func() { e.deaf = true })
		e.put(t, "a", "2", 0)
		e.put(t, "b", "1", 0)
		wants(t, ch)
		time.Sleep(11 * time.Second)
		got := told(ch)
		if len(got) != 2 {
			t.Fatalf("told %q", got)
		}
		e.del("a")
		e.hub.TellAll() // the connection for notices is back
		wants(t, ch, "-a")
	})
}

// Whoever is woken all the time has to read all again all the same.
func TestHintsDoNotStarveThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ch, cancel := start(t, follow.Settings{Poll: time.Second})
		defer cancel()
		wants(t, ch, "a=1", "current")
		e.set(func() { e.deaf = true })
		e.put(t, "a", "2", 0)
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			e.hub.Tell("other")
		}
		wants(t, ch, "a=2")
	})
}

func TestExpiryIsToldByTheStoresClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{Store: &memory.Store{}, ahead: time.Hour} // and its records expire by ours
		r := e.put(t, "a", "1", time.Minute)
		ch := follow.Follow(t.Context(), context.Background(), &e.hub, e, "", follow.Settings{})
		wants(t, ch, "a=1", "current")
		time.Sleep(time.Minute - time.Second)
		wants(t, ch) // long over by that clock, and still there: what is read counts
		if e.count() > 100 {
			t.Errorf("read %d times in a minute", e.count())
		}
		time.Sleep(time.Until(r.Expires) + 2*time.Second)
		wants(t, ch, "-a")
	})
}

func TestRenewalsLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ch, cancel := start(t, follow.Settings{})
		defer cancel()
		wants(t, ch, "a=1", "current")
		for i := range 1000 {
			e.put(t, "lease", fmt.Sprint(i), 24*time.Hour)
			wants(t, ch, fmt.Sprint("lease=", i))
		}
		time.Sleep(25 * time.Hour)
		wants(t, ch, "-lease")
	})
}

func TestASlowReaderIsToldTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ch, cancel := start(t, follow.Settings{})
		defer cancel()
		synctest.Wait()
		for i := range 1000 {
			e.put(t, "b", fmt.Sprint(i), 0)
			synctest.Wait()
		}
		e.put(t, "c", "1", 0)
		synctest.Wait()
		e.del("c") // put and deleted before anybody has heard of it
		synctest.Wait()
		e.del("a")
		wants(t, ch, "current", "b=999")
	})
}

func TestASlowReaderIsToldOfWhatItKnewThatItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ch, cancel := start(t, follow.Settings{})
		defer cancel()
		wants(t, ch, "a=1", "current")
		e.put(t, "a", "2", 0)
		synctest.Wait()
		e.del("a")
		synctest.Wait()
		wants(t, ch, "-a")
		e.put(t, "a", "3", 0)
		wants(t, ch, "a=3")
	})
}

// A crowd elsewhere is nothing that a watch would have to read.
func TestOtherKeysCostNoReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{Store: &memory.Store{}}
		ch := follow.Follow(t.Context(), context.Background(), &e.hub, e, "a/", follow.Settings{})
		wants(t, ch, "current")
		reads := e.count()
		for i := range 1000 {
			e.put(t, fmt.Sprint("b/", i), "1", 0)
			synctest.Wait()
		}
		if e.count() != reads {
			t.Errorf("read %d times for other keys", e.count()-reads)
		}
		e.put(t, "a/1", "1", 0)
		wants(t, ch, "a/1=1")
	})
}

// Whatever is cut, lost and slow, in the end the reader knows what the store has.
func TestWhateverHappensTheReaderKnowsInTheEnd(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			e, ch, cancel := start(t, follow.Settings{Poll: 3 * time.Second})
			defer cancel()
			knows, high := map[string]uint64{}, map[string]uint64{}
			take := func(n int) {
				for range n {
					synctest.Wait()
					select {
					case c := <-ch:
						key, revision := c.Record.Key, c.Record.Revision
						switch c.Kind {
						case strategies.ChangePut:
							if revision <= high[key] {
								t.Fatalf("seed %d: %q: revision %d after %d", seed, key, revision, high[key])
							}
							knows[key], high[key] = revision, revision
						case strategies.ChangeGone:
							if _, ok := knows[key]; !ok {
								t.Fatalf("seed %d: %q is gone, and was never there", seed, key)
							}
							delete(knows, key)
						}
					default:
						return
					}
				}
			}
			for range 200 {
				key := string(rune('a' + r.IntN(6)))
				switch r.IntN(10) {
				case 0, 1, 2:
					e.put(t, key, "x", 0)
				case 3:
					e.put(t, key, "x", time.Duration(1+r.IntN(3000))*time.Millisecond)
				case 4:
					e.del(key)
				case 5:
					down := r.IntN(2) == 0
					e.set(func() { e.down = down })
				case 6:
					deaf := r.IntN(2) == 0
					e.set(func() { e.deaf = deaf })
				case 7:
					time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
				default:
					take(r.IntN(4))
				}
			}
			e.set(func() { e.down, e.deaf = false, true })
			time.Sleep(time.Minute)
			take(1000)
			all, err := e.Store.List(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			there := map[string]uint64{}
			for _, rec := range all {
				there[rec.Key] = rec.Revision
			}
			if !maps.Equal(knows, there) {
				t.Fatalf("seed %d: the reader knows %v, there is %v", seed, knows, there)
			}
		})
	}
}
