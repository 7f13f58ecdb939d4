package lab

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Run lives through all days with all systems, as many at a time as there are
// processors, each in a bubble of its own. Rows come in the order of days, then
// systems. Progress is written as they are done; nil is told nothing.
func Run(t *testing.T, days []Scenario, systems []System, progress io.Writer) []Row {
	rows := make([]Row, len(days)*len(systems))
	begun := time.Now()
	next := make(chan int)
	done := 0
	var mu sync.Mutex
	tell := func(row Row) {
		mu.Lock()
		defer mu.Unlock()
		done++
		if progress != nil {
			fmt.Fprintf(progress, "\r\x1b[K%3d of %d, %4.0fs: %s, %s", done, len(rows), time.Since(begun).Seconds(), row.Scenario, row.System)
		}
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				day, system := &days[i/len(systems)], systems[i%len(systems)]
				t.Run(day.Name+"/"+system.Name, func(t *testing.T) {
					synctest.Test(t, func(*testing.T) {
						rows[i] = Measure(day, system.Name, Simulate(day, system))
					})
				})
				tell(rows[i])
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	workers.Wait()
	if progress != nil {
		fmt.Fprintln(progress)
	}
	return rows
}
