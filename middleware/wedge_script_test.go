package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// wedgeCall is one request, and the script of everybody who acts on its behalf.
type wedgeCall struct {
	id     int
	cancel context.CancelFunc
	calm   bool // everybody is well

	mu       sync.Mutex
	rng      *rand.Rand
	exited   atomic.Bool // somebody called Goexit
	panicked atomic.Bool // a layer of the user's own did so
}

func (c *wedgeCall) draw(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

func (c *wedgeCall) goexit() {
	c.exited.Store(true)
	runtime.Goexit()
}

// errList cannot be compared: == on two of them panics.
type errList []error

func (e errList) Error() string { return fmt.Sprintf("%d errors", len(e)) }

var wedgeErrors = []error{
	errSick, errSick, errSick, errSick,
	errList{errSick, errGone},
	fmt.Errorf("reading the answer: %w", context.DeadlineExceeded),
	fmt.Errorf("another call: %w", context.Canceled),
	strategies.WithRetryAfter(3*time.Second, ofClass(strategies.ClassRateLimited)),
	strategies.WithRetryAfter(3*time.Hour, ofClass(strategies.ClassRateLimited)),
	ofClass(strategies.ClassQuotaExhausted), ofClass(strategies.ClassOverloaded), ofClass(strategies.ClassBadRequest), ofClass(strategies.ClassBlocked),
	&strategies.AgentError{Agent: "narrator", Err: errSick},
	&strategies.RecoveryError{Agent: "bard", Class: strategies.ClassTransient, Strategy: strategies.StrategyDegradation},
	passThrough,
}

// act is what an agent, a stand-in or a rung does with a request.
func (c *wedgeCall) act(ctx context.Context, who string) (string, error) {
	answer := who + " answers"
	if c.calm {
		return answer, nil
	}
	switch c.draw(16) {
	case 4, 5, 6:
		return "not to be seen", wedgeErrors[c.draw(len(wedgeErrors))]
	case 7, 8:
		panic([]any{"boom", errSick, errList{}, 7}[c.draw(4)])
	case 9:
		c.goexit()
	case 10:
		c.cancel()
		return answer, []error{nil, ctx.Err(), errSick}[c.draw(3)]
	case 11, 12: // hangs until it is told to stop, if it ever is
		select {
		case <-ctx.Done():
			return "", []error{ctx.Err(), context.Cause(ctx), errSick}[c.draw(3)]
		case <-time.After(10 * time.Minute):
		}
	case 13, 14: // hangs and is deaf
		time.Sleep(time.Duration(1+c.draw(200)) * time.Second)
		return c.act(ctx, who)
	case 15: // late
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
		time.Sleep(time.Duration(c.draw(3)) * time.Second)
	}
	return answer, nil
}

// decide is the person, who is no better.
func (c *wedgeCall) decide(ctx context.Context) (strategies.Decision, error) {
	switch c.draw(10) {
	case 0, 1:
		return strategies.Decision{Action: strategies.ActionRetryNow}, nil
	case 2, 3:
		return strategies.Decision{Action: strategies.ActionUseAgent, Agent: []string{"archivist", "keeper", "nobody"}[c.draw(3)]}, nil
	case 4:
		return strategies.Decision{Action: strategies.ActionAnswer, Value: "person answers"}, nil
	case 5:
		return strategies.Decision{Action: strategies.ActionAnswer, Value: 7}, nil
	case 6:
		panic("the person panics")
	case 7:
		if c.draw(4) == 0 {
			c.goexit()
		}
	case 8:
		<-ctx.Done()
		return strategies.Decision{Action: strategies.ActionRetryNow}, ctx.Err()
	}
	return strategies.Decision{}, []error{nil, errGone}[c.draw(2)]
}

// check is the validation of an answer.
func (c *wedgeCall) check(answer string) error {
	switch {
	case c.calm || c.draw(8) > 0:
		return nil
	case c.draw(8) == 0:
		c.goexit()
	case c.draw(4) == 0:
		panic("the check panics")
	}
	return errors.New(answer + " badly")
}

// wild is a layer of the user's own that now and then does its worst, on the
// way in or out.
func wild(next wedgeRunner) wedgeRunner {
	return middleware.Func(func(ctx context.Context, c *wedgeCall) (string, error) {
		worst := func() {
			switch {
			case c.calm || c.draw(12) > 0:
			case c.draw(2) == 0:
				c.goexit()
			default:
				c.panicked.Store(true)
				panic("a wild layer")
			}
		}
		worst()
		answer, err := next.Run(ctx, c)
		worst()
		return answer, err
	})
}
