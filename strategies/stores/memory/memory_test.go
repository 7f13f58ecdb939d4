package memory_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The contract, in virtual time.
func TestConformance(t *testing.T) {
	for _, c := range storetest.Checks() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, func(testing.TB) strategies.Store { return &memory.Store{} })
			})
		})
	}
}

func TestReplicas(t *testing.T) {
	storetest.RunReplicas(t, func(testing.TB) (a, b strategies.Store) {
		s := &memory.Store{}
		return unclosed{s}, s
	})
}

// unclosed is the handle of one who leaves while the other stays.
type unclosed struct{ *memory.Store }

func (unclosed) Close() error { return nil }

func TestABoundIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory.Store{MaxRecords: 3}
		defer s.Close()
		for i := range 3 {
			if _, err := s.Put(t.Context(), strategies.Write{Key: fmt.Sprint(i), TTL: time.Duration(i) * time.Minute}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Put(t.Context(), strategies.Write{Key: "3"}); !errors.Is(err, strategies.ErrTooLarge) {
			t.Fatalf("a fourth of three: %v", err)
		}
		if _, err := s.Put(t.Context(), strategies.Write{Key: "2", Revision: strategies.AnyRevision}); err != nil {
			t.Fatalf("to replace one needs no room: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := s.Put(t.Context(), strategies.Write{Key: "3"}); err != nil {
			t.Fatalf("what has expired makes room: %v", err)
		}
	})
}

func TestWhatExpiredIsSweptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory.Store{MaxRecords: 1000} // of 100 000 that were written
		defer s.Close()
		for i := range 100_000 {
			if _, err := s.Put(t.Context(), strategies.Write{Key: fmt.Sprint(i), TTL: time.Millisecond}); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
}

func TestAWrongBoundIsSaid(t *testing.T) {
	s := &memory.Store{MaxRecords: -1}
	defer s.Close()
	if _, err := s.Put(t.Context(), strategies.Write{Key: "a"}); !errors.Is(err, strategies.ErrConfig) {
		t.Fatal(err)
	}
}
