package overhead

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Pace says how long to measure. The zero value is the full run.
type Pace struct {
	Rounds int           // 0: 9
	Turn   time.Duration // 0: 60 ms
}

// Short is a pace for tests: it counts allocations well and time badly.
var Short = Pace{Rounds: 2, Turn: 2 * time.Millisecond}

// Row is one system in one case.
type Row struct {
	Case, System string
	Nanos        float64 // an operation, the median of the rounds
	Bytes        int64   // allocated by an operation
	Allocs       int64
	Ratio        float64 // to the bare breaker; 0: there is none in this case
}

// Run measures the cases one after the other. The error is of an operation that
// did not end as its case says it must.
func Run(ctx context.Context, cases []Case, pace Pace, progress io.Writer) (rows []Row, err error) {
	if pace == (Pace{}) {
		pace = Pace{Rounds: 9, Turn: 60 * time.Millisecond}
	}
	for i, c := range cases {
		fmt.Fprintf(progress, "\r\033[K%d/%d %s", i+1, len(cases), c.Name)
		measured, err := c.measure(ctx, pace)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		rows = append(rows, measured...)
	}
	fmt.Fprint(progress, "\r\033[K")
	return rows, nil
}

// turn is what one turn of one system measured, an operation.
type turn struct{ nanos, bytes, allocs float64 }

func (c Case) measure(ctx context.Context, pace Pace) ([]Row, error) {
	workers := make([]worker, len(c.rivals))
	sizes := make([]int, len(c.rivals))
	for i, r := range c.rivals {
		workers[i] = r.make()
		answer, err := workers[i](ctx, 0, 1)
		if answer != r.want || (err != nil) != (r.want == "") {
			return nil, fmt.Errorf("%s answers %q (%v), not %q", r.system, answer, err, r.want)
		}
		sizes[i] = c.size(ctx, workers[i], pace.Turn)
	}
	turns := make([][]turn, len(c.rivals))
	for round := range pace.Rounds {
		for k := range c.rivals {
			i := (round + k) % len(c.rivals)
			turns[i] = append(turns[i], c.turn(ctx, workers[i], sizes[i]))
		}
	}
	rows := make([]Row, len(c.rivals))
	base := 0.0
	for i, r := range c.rivals {
		rows[i] = Row{
			Case: c.Name, System: r.system,
			Nanos:  median(turns[i], func(t turn) float64 { return t.nanos }),
			Bytes:  int64(math.Round(median(turns[i], func(t turn) float64 { return t.bytes }))),
			Allocs: int64(math.Round(median(turns[i], func(t turn) float64 { return t.allocs }))),
		}
		if r.system == Breaker {
			base = rows[i].Nanos
		}
	}
	for i := range rows {
		if base > 0 {
			rows[i].Ratio = rows[i].Nanos / base
		}
	}
	return rows, nil
}

// size is how many operations fill a turn: found by doing more and more.
func (c Case) size(ctx context.Context, w worker, fill time.Duration) int {
	least := max(c.workers, 1)
	n := least
	for {
		took := c.turn(ctx, w, n).nanos * float64(n)
		if took >= float64(fill)/4 || n >= 1<<28 {
			return max(int(float64(n)*float64(fill)/max(took, 1)), least)
		}
		n *= 4
	}
}

// turn does n operations, by as many goroutines as the case has. They stand
// ready before the clock starts, so that only their work is measured.
func (c Case) turn(ctx context.Context, w worker, n int) turn {
	var before, after runtime.MemStats
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for g := range c.workers {
		share := n / c.workers
		if g < n%c.workers {
			share++
		}
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			_, _ = w(ctx, g, share)
		})
	}
	ready.Wait()
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	close(start)
	if c.workers == 0 {
		_, _ = w(ctx, 0, n)
	}
	done.Wait()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	each := func(v uint64) float64 { return float64(v) / float64(n) }
	return turn{
		nanos:  float64(took) / float64(n),
		bytes:  each(after.TotalAlloc - before.TotalAlloc),
		allocs: each(after.Mallocs - before.Mallocs),
	}
}

func median(turns []turn, of func(turn) float64) float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = of(t)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
