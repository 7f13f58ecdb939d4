package redis_test

import (
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

func BenchmarkRedis(b *testing.B) {
	port := freePort(b)
	serve(b, b.TempDir(), port)
	s := open(b, "127.0.0.1:"+port)
	if _, err := s.Put(b.Context(), strategies.Write{Key: "a", Value: make([]byte, 200)}); err != nil {
		b.Fatal(err)
	}
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		for i := range b.N {
			if _, err := s.Put(b.Context(), strategies.Write{Key: fmt.Sprint(i % 1000), Value: make([]byte, 200), Revision: strategies.AnyRevision}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
