package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

const contenders = 16

var raceChecks = []Check{
	{"of 16 who create one succeeds", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		for i := range 10 {
			oneWins(t, fmt.Sprint("create", i), func(g int) error {
				_, err := s.Put(ctx, strategies.Write{Key: fmt.Sprint("a", i), Value: fmt.Append(nil, g)})
				return err
			}, strategies.ErrConflict)
		}
	}},
	{"of 16 who replace one revision one succeeds", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		r := create(ctx, t, s, "a", "")
		for i := range 10 {
			oneWins(t, fmt.Sprint("replace", i), func(g int) error {
				_, err := s.Put(ctx, strategies.Write{Key: "a", Value: fmt.Append(nil, g), Revision: r.Revision})
				return err
			}, strategies.ErrConflict)
			var err error
			if r, err = s.Get(ctx, "a"); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"of 16 who delete one revision one succeeds", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		for i := range 10 {
			r := create(ctx, t, s, "a", "")
			oneWins(t, fmt.Sprint("delete", i), func(int) error { return s.Delete(ctx, "a", r.Revision) }, strategies.ErrNotFound)
		}
	}},
	{"16 who count lose nothing", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		count(ctx, t, []strategies.Store{s}, 12)
	}},
	{"16 who do not care leave one of them", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		var seen sync.Map
		parallel(t, contenders, func(g int) error {
			for range 5 {
				r, err := s.Put(ctx, strategies.Write{Key: "a", Value: fmt.Append(nil, g), Revision: strategies.AnyRevision})
				if err != nil {
					return err
				}
				if _, twice := seen.LoadOrStore(r.Revision, g); twice {
					return fmt.Errorf("revision %d was given twice", r.Revision)
				}
			}
			return nil
		})
		last, err := s.Get(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		seen.Range(func(revision, by any) bool {
			if revision.(uint64) > last.Revision {
				t.Errorf("revision %d was returned and %d is there", revision, last.Revision)
			}
			if revision.(uint64) == last.Revision && strconv.Itoa(by.(int)) != string(last.Value) {
				t.Errorf("revision %d was written by %v and has %q", revision, by, last.Value)
			}
			return true
		})
	}},
	{"what Put has returned is what others read", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		readsFollow(ctx, t, s, s)
	}},
}

// readsFollow has readers that must never see less than what a writer was told.
func readsFollow(ctx context.Context, t testing.TB, writer, reader strategies.Store) {
	t.Helper()
	var written atomic.Uint64
	written.Store(create(ctx, t, writer, "a", "").Revision)
	done := make(chan struct{})
	parallel(t, 5, func(g int) error {
		if g == 0 {
			defer close(done)
			for range 100 {
				r, err := writer.Put(ctx, strategies.Write{Key: "a", Revision: written.Load()})
				if err != nil {
					return err
				}
				written.Store(r.Revision)
			}
			return nil
		}
		for {
			select {
			case <-done:
				return nil
			default:
			}
			time.Sleep(50 * time.Microsecond) // in a bubble, time passes for the writer only while all others rest
			least := written.Load()
			r, err := reader.Get(ctx, "a")
			if err != nil {
				return err
			}
			if r.Revision < least {
				return fmt.Errorf("read revision %d after %d was written", r.Revision, least)
			}
		}
	})
}

// count has 16 goroutines add to one number by compare-and-swap.
func count(ctx context.Context, t testing.TB, stores []strategies.Store, each int) {
	t.Helper()
	create(ctx, t, stores[0], "count", "0")
	parallel(t, contenders, func(g int) error {
		s := stores[g%len(stores)]
		for done, tries := 0, 0; done < each; tries++ {
			if tries > 100*contenders*each {
				return fmt.Errorf("%d of %d after %d tries", done, each, tries)
			}
			r, err := s.Get(ctx, "count")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				return err
			}
			_, err = s.Put(ctx, strategies.Write{Key: "count", Value: fmt.Append(nil, n+1), Revision: r.Revision})
			switch {
			case err == nil:
				done++
			case !errors.Is(err, strategies.ErrConflict):
				return err
			}
		}
		return nil
	})
	r, err := stores[0].Get(ctx, "count")
	if err != nil || string(r.Value) != strconv.Itoa(contenders*each) {
		t.Fatalf("%d were told that they counted, the number is %s (%v)", contenders*each, r.Value, err)
	}
}

// oneWins has 16 goroutines do the same, of whom one must succeed; the others get lost.
func oneWins(t testing.TB, what string, do func(g int) error, lost error) {
	t.Helper()
	var won atomic.Int64
	parallel(t, contenders, func(g int) error {
		err := do(g)
		if err == nil {
			won.Add(1)
			return nil
		}
		if !errors.Is(err, lost) {
			return err
		}
		return nil
	})
	if won.Load() != 1 {
		t.Fatalf("%s: %d succeeded, want 1", what, won.Load())
	}
}

// parallel runs n goroutines, and fails with what they returned.
func parallel(t testing.TB, n int, do func(g int) error) {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	all.Add(n)
	for g := range n {
		go func() {
			defer all.Done()
			errs[g] = do(g)
		}()
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
