package roles_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/roles"
)

// crowd is a cast of n agents in ten roles, in which the poet stands in for the
// writer, and the name of a writer in its middle.
func crowd(b *testing.B, n int) (*cast, string) {
	c := company(b, roles.Understudies{"writer": {"poet"}}, bare)
	kinds := []roles.Role{"writer", "poet", "c", "d", "e", "f", "g", "h", "i", "j"}
	for i := range n {
		register(b, c, plays(fmt.Sprintf("agent-%05d", i), kinds[i%len(kinds)], "hi"))
	}
	return c, fmt.Sprintf("agent-%05d", n/2/len(kinds)*len(kinds))
}

var sizes = []int{10, 10_000}

// BenchmarkAgent is the look-up by name.
func BenchmarkAgent(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("agents=%d", n), func(b *testing.B) {
			c, name := crowd(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := c.Agent(name); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}

// BenchmarkStandIns is the look-up a failed call makes.
func BenchmarkStandIns(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("agents=%d", n), func(b *testing.B) {
			c, name := crowd(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if len(c.StandIns(name)) != 1 {
					b.Fatal("not found")
				}
			}
		})
	}
}

// BenchmarkAgentRatio takes turns in both casts, so that the machine's moods
// strike both alike. "ratio" is the large cast's time over the small one's.
func BenchmarkAgentRatio(b *testing.B) {
	small, name := crowd(b, sizes[0])
	large, far := crowd(b, sizes[1])
	const turn = 1000
	look := func(c *cast, name string) time.Duration {
		start := time.Now()
		for range turn {
			if _, ok := c.Agent(name); !ok {
				b.Fatal("not found")
			}
		}
		return time.Since(start)
	}
	var inSmall, inLarge time.Duration
	for b.Loop() {
		inSmall += look(small, name)
		inLarge += look(large, far)
	}
	b.ReportMetric(0, "ns/op") // of a turn in each, which says nothing
	b.ReportMetric(float64(inLarge)/float64(inSmall), "ratio")
}

// BenchmarkRegister is the price of an agent as the cast grows.
func BenchmarkRegister(b *testing.B) {
	c, _ := crowd(b, sizes[1])
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		register(b, c, plays(fmt.Sprintf("late-%d", i), "writer", "hi"))
		i++
	}
}
