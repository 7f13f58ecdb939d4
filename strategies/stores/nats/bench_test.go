package nats_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
)

func BenchmarkEmbedded(b *testing.B) {
	for name, options := range map[string][]nats.Option{"sync always": nil, "sync every minute": {nats.SyncEvery(time.Minute)}} {
		b.Run("put, "+name, func(b *testing.B) {
			s := open(b, nats.Embedded(b.TempDir()), options...)
			for i := range b.N {
				if _, err := s.Put(b.Context(), strategies.Write{Key: fmt.Sprint(i % 1000), Value: make([]byte, 200), Revision: strategies.AnyRevision}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("get", func(b *testing.B) {
		s := open(b, nats.Embedded(b.TempDir()), nats.SyncEvery(time.Minute))
		if _, err := s.Put(b.Context(), strategies.Write{Key: "a", Value: make([]byte, 200)}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := s.Get(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
