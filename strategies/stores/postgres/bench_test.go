package postgres_test

import (
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/postgres"
)

func BenchmarkPostgres(b *testing.B) {
	server := install(b)
	server.start()
	for name, options := range map[string][]postgres.Option{"": nil, ", without notices": {postgres.PollEvery(1e9), postgres.Table("", "polled")}} {
		s := open(b, server.url(), options...)
		if _, err := s.Put(b.Context(), strategies.Write{Key: "a", Value: make([]byte, 200)}); err != nil {
			b.Fatal(err)
		}
		b.Run("get"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Get(b.Context(), "a"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("put"+name, func(b *testing.B) {
			for i := range b.N {
				if _, err := s.Put(b.Context(), strategies.Write{Key: fmt.Sprint(i % 1000), Value: make([]byte, 200), Revision: strategies.AnyRevision}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
