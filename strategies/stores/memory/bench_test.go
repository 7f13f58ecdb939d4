package memory_test

import (
	"testing"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

func BenchmarkMemory(b *testing.B) {
	s := &memory.Store{}
	defer s.Close()
	w := strategies.Write{Key: "a", Value: make([]byte, 200), Revision: strategies.AnyRevision}
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Put(b.Context(), w); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
