package strategies_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/understudy-go/understudy/strategies"
)

// The lock-free healthy path leaves successes out. Here it is shown that this
// changes no decision: whatever the history, a Breaker lets through and refuses
// what a plain gobreaker does, and goes through the same states.

var errNeutral = errors.New("neutral")

// twin runs a Breaker and a plain gobreaker side by side, in virtual time.
type twin struct {
	ours         *strategies.Breaker
	plain        *gobreaker.TwoStepCircuitBreaker[struct{}]
	ourWay       []strategies.State
	plainWay     []strategies.State
	window       bool
	calls        []*twinCall
	trace        []string
	opens, shuts int
	rejects      int
}

type twinCall struct {
	permit strategies.Permit
	done   func(error)
	began  int // changes of the plain one before the call; see end
}

func newTwin(settings *strategies.Breaker) *twin {
	w := &twin{ours: settings, window: settings.Window > 0}
	w.ours.Watch(func(c strategies.BreakerChange) { w.ourWay = append(w.ourWay, c.To) })
	w.ours.Reset() // so that the buckets of both begin now
	same := gobreaker.Settings{
		MaxRequests: uint32(settings.Trials),
		Timeout:     settings.OpenFor,
		IsExcluded:  func(err error) bool { return err == errNeutral },
		ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= settings.Failures },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			w.plainWay = append(w.plainWay, map[gobreaker.State]strategies.State{
				gobreaker.StateClosed: strategies.StateClosed, gobreaker.StateOpen: strategies.StateOpen, gobreaker.StateHalfOpen: strategies.StateHalfOpen,
			}[to])
		},
	}
	if w.window {
		same.Interval, same.BucketPeriod = settings.Window, settings.Window/10
		same.ReadyToTrip = func(c gobreaker.Counts) bool {
			n := int(c.TotalSuccesses + c.TotalFailures)
			return n >= settings.MinCalls && float64(c.TotalFailures) >= settings.Ratio*float64(n)
		}
	}
	w.plain = gobreaker.NewTwoStepCircuitBreaker[struct{}](same)
	return w
}

func (w *twin) begin() error {
	permit, ourErr := w.ours.Allow()
	done, plainErr := w.plain.Allow()
	want := map[error]strategies.State{gobreaker.ErrOpenState: strategies.StateOpen, gobreaker.ErrTooManyRequests: strategies.StateHalfOpen}
	switch open, _ := errors.AsType[*strategies.OpenError](ourErr); {
	case (ourErr == nil) != (plainErr == nil):
		return fmt.Errorf("ours says %v, plain says %v", ourErr, plainErr)
	case plainErr != nil && open.State != want[plainErr]:
		return fmt.Errorf("ours refuses as %v, plain says %v", open.State, plainErr)
	case !slices.Equal(w.ourWay, w.plainWay):
		return fmt.Errorf("ours went %v, plain %v", w.ourWay, w.plainWay)
	case plainErr != nil:
		w.rejects++
		return nil
	}
	w.calls = append(w.calls, &twinCall{permit, done, len(w.plainWay)})
	return nil
}

func (w *twin) end(i int, outcome error) error {
	c := w.calls[i]
	w.calls = slices.Delete(w.calls, i, i+1)
	if _, trial := c.permit.Trial(0); w.window && !trial {
		// The plain one books a call in the bucket in which it began, and so
		// never sees two calls of a hung agent in one window. Ours books it when
		// it ends; the plain one is told of it then.
		c.done(errNeutral)
		if c.began == len(w.plainWay) {
			if done, err := w.plain.Allow(); err == nil {
				done(outcome)
			}
		}
	} else {
		c.done(outcome)
	}
	switch outcome {
	case nil:
		c.permit.Success()
	case errNeutral:
		c.permit.Neutral()
	default:
		c.permit.Failure(outcome)
	}
	// A late result moves an expired plain breaker to half-open; ours waits for
	// the next call, at which the two are compared again.
	if n := len(w.plainWay); n > len(w.ourWay) && w.plainWay[n-1] == strategies.StateHalfOpen && slices.Equal(w.ourWay, w.plainWay[:n-1]) {
		return nil
	}
	if !slices.Equal(w.ourWay, w.plainWay) {
		return fmt.Errorf("ours went %v, plain %v", w.ourWay, w.plainWay)
	}
	return nil
}

// history plays one random history. Overlap: calls may be under way together.
func (w *twin) history(rnd *rand.Rand, overlap bool) error {
	unit := w.ours.OpenFor
	if w.window && rnd.IntN(2) == 0 {
		unit = w.ours.Window / 10
	}
	failing := []float64{0.1, 0.5, 0.9}[rnd.IntN(3)]
	outcome := func() error {
		switch x := rnd.Float64(); {
		case x < 0.1:
			return errNeutral
		case x < 0.1+failing*0.9:
			return errBoom
		default:
			return nil
		}
	}
	for range 60 {
		var err error
		switch x := rnd.IntN(10); {
		case x < 2:
			d := []time.Duration{1, unit / 3, unit - 1, unit, unit + 1, 3 * unit}[rnd.IntN(6)]
			w.trace = append(w.trace, fmt.Sprintf("sleep %v", d))
			time.Sleep(d)
		case x < 6 || len(w.calls) == 0:
			w.trace = append(w.trace, "begin")
			n := len(w.calls)
			if err = w.begin(); err == nil && !overlap && len(w.calls) > n {
				o := outcome()
				w.trace = append(w.trace, fmt.Sprintf("end %v", o))
				err = w.end(n, o)
			}
		default:
			i, o := rnd.IntN(len(w.calls)), outcome()
			w.trace = append(w.trace, fmt.Sprintf("end #%d %v", i, o))
			err = w.end(i, o)
		}
		if err != nil {
			return err
		}
	}
	for _, s := range w.ourWay {
		switch s {
		case strategies.StateOpen:
			w.opens++
		case strategies.StateClosed:
			w.shuts++
		}
	}
	return w.begin()
}

func TestBreakerIsAPlainGobreaker(t *testing.T) {
	const histories = 2000
	for _, tt := range []struct {
		it              string
		window, overlap bool
	}{
		{"call by call, counting failures in a row", false, false},
		{"with calls that overlap, counting failures in a row", false, true},
		{"call by call, in a window", true, false},
		{"with calls that overlap, in a window", true, true},
	} {
		t.Run("it decides the same "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opens, shuts, rejects := 0, 0, 0
				for seed := range uint64(histories) {
					rnd := rand.New(rand.NewPCG(seed, 7))
					settings := &strategies.Breaker{
						NoJitter: true, Failures: 1 + rnd.IntN(5), Trials: 1 + rnd.IntN(3),
						OpenFor: openFor, MaxOpenFor: openFor, TrialTimeout: 1000 * time.Hour,
					}
					if tt.window {
						settings.Window, settings.Ratio = time.Minute, 0.1+0.9*rnd.Float64()
						settings.MinCalls, settings.Failures = settings.Failures, 0
					}
					w := newTwin(settings)
					if err := w.history(rnd, tt.overlap); err != nil {
						t.Fatalf("seed %d, %d failures, %d calls, %d trials, ratio %.2f: %v\nafter %q", seed, settings.Failures, settings.MinCalls, settings.Trials, settings.Ratio, err, w.trace)
					}
					opens, shuts, rejects = opens+w.opens, shuts+w.shuts, rejects+w.rejects
				}
				if min(opens, shuts, rejects) < histories/10 {
					t.Errorf("%d histories opened %d times, closed %d times and refused %d calls: they show nothing", histories, opens, shuts, rejects)
				}
			})
		})
	}
}
