//go:build go1.25

package middlewaretest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// rules is the suite, in the order in which Conform lists it.
func rules[Req, Resp any]() []rule[Req, Resp] {
	type tr = trial[Req, Resp]
	inBubble := func(check func(*tr)) func(*tr) {
		return func(t *tr) { t.bubble(func() { check(t) }) }
	}
	return []rule[Req, Resp]{
		{"hands on request and answer", inBubble((*tr).handsOn)},
		{"hands on the error", inBubble((*tr).handsOnError)},
		{"answers zero with an error", inBubble((*tr).answersZero)},
		{"asks a failing agent once", inBubble((*tr).asksOnce)},
		{"leaves an interrupt alone", inBubble((*tr).leavesInterrupt)},
		{"hands on the context", inBubble((*tr).handsOnContext)},
		{"respects a cancelled context", inBubble((*tr).respectsCancel)},
		{"is safe for concurrent use", (*tr).concurrent}, // half of it in a bubble
		{"survives a panic", inBubble(func(t *tr) { t.survives("panic", Panic("the agent panics on purpose")) })},
		{"survives a Goexit", inBubble(func(t *tr) { t.survives("Goexit", Goexit()) })},
		{"leaves nothing behind", inBubble((*tr).leavesNothing)},
		{"wraps each agent by itself", inBubble((*tr).wrapsEach)},
	}
}

func (tr *trial[Req, Resp]) handsOn() {
	agent, r := tr.wrap(tr.answer())
	if agent.Called() > 0 {
		tr.breach("the agent is called while it is wrapped")
	}
	for n := range 3 {
		o := tr.call(context.Background(), r, n)
		request, want := tr.source(n) // fresh ones: what a layer did to the others must be seen
		if o.ended != returns || o.err != nil || !reflect.DeepEqual(o.resp, want) {
			tr.breach("a healthy call %v, want the answer %#v", o, want)
		}
		for _, c := range agent.Calls() {
			if !reflect.DeepEqual(c.Request, request) {
				tr.breach("the agent is asked %#v, want %#v", c.Request, request)
			}
		}
		if times := agent.Called(); times != 1 {
			tr.breach("a healthy agent is asked %d times in one call", times)
		}
		agent.Reset()
	}
}

func (tr *trial[Req, Resp]) handsOnError() {
	reaches := func(what string, o outcome[Resp], want error) {
		if o.ended == returns && o.err != nil && !errors.Is(o.err, want) {
			tr.breach("%s: the error %q is not %q by errors.Is", what, o.err, want)
		}
	}
	for _, failure := range []error{errAgent, strategies.WithClass(strategies.ClassBadRequest, errAgent)} {
		_, r := tr.wrap(Fail(failure))
		o := tr.call(context.Background(), r, 0)
		tr.failed("a failed call", o)
		reaches("a failed call", o, errAgent)
	}
	_, r := tr.wrap(tr.hang())
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Microsecond, cancel)
	if o := tr.call(ctx, r, 0); !errors.Is(o.err, errAgent) { // the agent's own: it was not told
		reaches("a cancelled call", o, context.Canceled)
	}
}

func (tr *trial[Req, Resp]) answersZero() {
	zero := func(when string, o outcome[Resp]) {
		if v := reflect.ValueOf(&o.resp).Elem(); o.ended == returns && o.err != nil && !v.IsZero() {
			tr.breach("the error %s comes with an answer that is not zero: %#v", when, o.resp)
		}
	}
	for when, bad := range map[string]Step{
		"of a failure": Fail(errAgent), "of a panic": Panic("the agent panics on purpose"), "of a cancelled call": tr.hang(),
	} {
		_, fresh := tr.wrap(bad)
		_, used := tr.wrap(tr.answer(), bad) // has an answer to remember
		tr.call(context.Background(), used, 0)
		for _, r := range [...]middleware.Runner[Req, Resp]{fresh, used} {
			ctx, cancel := context.WithCancel(context.Background())
			moment := time.AfterFunc(time.Microsecond, cancel)
			zero(when, tr.call(ctx, r, 1))
			moment.Stop()
			cancel()
		}
	}
}

func (tr *trial[Req, Resp]) asksOnce() {
	agent, r := tr.wrap(Fail(errAgent))
	tr.call(context.Background(), r, 0)
	switch n := agent.Called(); {
	case n == 0:
		tr.breach("the agent is not asked at all")
	case n > 1 && !tr.may(AllowRetries):
		tr.breach("a failing agent is asked %d times; AllowRetries would allow it", n)
	}
}

func (tr *trial[Req, Resp]) leavesInterrupt() {
	agent, r := tr.wrap(Fail(strategies.WithClass(strategies.ClassInterrupt, errAgent)))
	o := tr.call(context.Background(), r, 0)
	if !errors.Is(o.err, errAgent) || strategies.Classify(o.err).Class != strategies.ClassInterrupt {
		tr.breach("an interrupt does not pass through: the call %v", o)
	}
	if n := agent.Called(); n > 1 {
		tr.breach("an interrupt is no failure, but the agent is asked again (%d times)", n)
	}
}

type valueKey struct{}

func (tr *trial[Req, Resp]) handsOnContext() {
	look := func(then Step) Step {
		play, _ := typed[Req, Resp](then)
		return Do(func(ctx context.Context, req Req) (Resp, error) {
			if ctx.Value(valueKey{}) != "a value" {
				tr.breach("the agent does not see a value of the caller's context")
			}
			return play(ctx, req)
		})
	}
	_, r := tr.wrap(look(tr.answer()), look(Fail(errAgent)), look(tr.answer()))
	ctx := context.WithValue(context.Background(), valueKey{}, "a value")
	for n := range 2 { // the second fails, and may be asked again
		tr.call(ctx, r, n)
	}
}

// soon is how long, in a bubble's time, a call may go on after its context ended.
const soon = time.Second

func (tr *trial[Req, Resp]) respectsCancel() {
	// cancelled makes a call whose context ends after a moment.
	cancelled := func(when string, after time.Duration, steps ...Step) (*Agent[Req, Resp], outcome[Resp]) {
		agent, r := tr.wrap(steps...)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		end := time.Now().Add(after)
		if after == 0 {
			cancel()
		}
		time.AfterFunc(after, cancel)
		o := tr.call(ctx, r, 0)
		if over := time.Since(end); over > soon {
			tr.breach("%s, the call goes on for %v after its context has ended", when, over)
		}
		for _, c := range agent.Calls() {
			if after > 0 && c.Began.After(end) {
				tr.breach("%s, the agent is asked after the context has ended", when)
			}
		}
		return agent, o
	}
	_, o := cancelled("while the agent is busy", time.Microsecond, tr.hang())
	tr.failed("a cancelled call", o)
	cancelled("after a failure", time.Microsecond, Fail(errAgent))
	if agent, _ := cancelled("before it begins", 0, tr.hang()); agent.Called() > 1 {
		tr.breach("a caller who has left is no reason to ask again (%d times)", agent.Called())
	}
}

func (tr *trial[Req, Resp]) concurrent() {
	// Answers first, outside of a bubble: there, a layer that makes calls wait
	// for each other by a lock would stop the clock.
	var arrived atomic.Int32
	play, _ := typed[Req, Resp](tr.answer())
	_, r := tr.wrap(Do(func(ctx context.Context, req Req) (Resp, error) {
		// Calls wait for each other so that they overlap, but not for ever: a
		// layer may let them through one by one.
		arrived.Add(1)
		for spins := 0; spins < 1000 && arrived.Load() < many; spins++ {
			runtime.Gosched()
		}
		return play(ctx, req)
	}))
	tr.together(func(n int) {
		for range 4 {
			o := tr.call(context.Background(), r, n)
			if !tr.refused(o) {
				tr.served("one of many calls", n, o)
			}
		}
	})
	// Then every other call fails, with an error of its own. A layer may wait
	// now, before it asks again.
	tr.bubble(func() {
		_, r := tr.wrap(Do(func(ctx context.Context, req Req) (none Resp, _ error) {
			runtime.Gosched()
			n := tr.asked(req)
			if n == many { // the layer changes it, which is another rule's matter
				n, _ = ctx.Value(valueKey{}).(int)
			}
			if n%2 == 1 {
				return none, nth(n)
			}
			return play(ctx, req)
		}))
		each := func(n int) {
			o := tr.call(context.WithValue(context.Background(), valueKey{}, n), r, n)
			if tr.refused(o) {
				return
			}
			if n%2 == 0 {
				tr.served("one of many calls, others failing,", n, o)
				return
			}
			tr.failed("one of many failing calls", o)
			var whose nth
			if errors.As(o.err, &whose) && int(whose) != n {
				tr.breach("one of many failing calls has another's error: %v", o.err)
			}
		}
		tr.together(each)
		tr.together(each) // those find what the first have left: a layer that refuses now, say
	})
}

// nth is the failure of one call among many.
type nth int

func (e nth) Error() string { return "failure of call " + strconv.Itoa(int(e)) }

// survives lets the agent end three calls in a bad way, which is enough for a
// slot, a lock or a trial to be missing, and then be well again.
func (tr *trial[Req, Resp]) survives(what string, bad Step) {
	const times = 3
	var well atomic.Bool
	fall, _ := typed[Req, Resp](bad)
	play, _ := typed[Req, Resp](tr.answer())
	_, r := tr.wrap(Do(func(ctx context.Context, req Req) (Resp, error) {
		if well.Load() {
			return play(ctx, req)
		}
		return fall(ctx, req)
	}))
	for range times {
		o := tr.call(context.Background(), r, 0)
		recovered := o.ended == returns && o.err == nil && !tr.may(AllowRecovery)
		if recovered || o.ended == hangsOn {
			tr.breach("a call whose agent ends by %s %v", what, o)
		}
	}
	well.Store(true)
	o := tr.call(context.Background(), r, 1)
	if tr.refused(o) {
		time.Sleep(time.Hour)
		o = tr.call(context.Background(), r, 1)
	}
	tr.served("a call after a "+what, 1, o)
}

func (tr *trial[Req, Resp]) leavesNothing() {
	var mu sync.Mutex
	var open []context.Context // what the agent got and was not over after the call
	steps := map[string]Step{
		"an answer": tr.answer(), "a failure": Fail(errAgent), "a panic": Panic("the agent panics on purpose"),
		"a Goexit": Goexit(), "a cancelled call": tr.hang(),
	}
	for what, step := range steps {
		play, _ := typed[Req, Resp](step)
		_, r := tr.wrap(Do(func(ctx context.Context, req Req) (Resp, error) {
			mu.Lock()
			open = append(open, ctx)
			mu.Unlock()
			return play(ctx, req)
		}))
		id := strconv.FormatUint(labels.Add(1), 10)
		calls := func(times int) (left int) {
			for range times {
				mu.Lock()
				open = nil
				mu.Unlock()
				ctx, cancel := context.WithCancel(context.Background())
				moment := time.AfterFunc(time.Microsecond, cancel)
				hung := false
				pprof.Do(ctx, pprof.Labels(label, id), func(ctx context.Context) { hung = tr.call(ctx, r, 0).ended == hangsOn })
				mu.Lock()
				for _, c := range open {
					if c.Err() == nil && c.Done() != nil && c.Done() != ctx.Done() {
						tr.breach("after %s: the context that the layer made for the call is still open", what)
					}
				}
				mu.Unlock()
				moment.Stop()
				cancel()
				if hung {
					return 0 // which is for other rules to say
				}
			}
			time.Sleep(time.Minute) // what needs a moment to end has it
			synctest.Wait()
			return running(id)
		}
		// A worker that the first call starts for all of them is no leak.
		if before, after := calls(1), calls(5); after > before {
			tr.breach("after %s: every call leaves a goroutine running (%d after 5 more calls)", what, after-before)
		}
	}
}

// The label is how goroutines that a call starts, and those that these start,
// are told from all others of the test binary.
const label = "understudy_middlewaretest"

var labels atomic.Uint64

// running counts the goroutines with a label.
func running(id string) (n int) {
	var profile strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // a Builder does not fail
	alike := 0
	for line := range strings.Lines(profile.String()) {
		if count, _, ok := strings.Cut(line, " @ "); ok {
			alike, _ = strconv.Atoi(count)
		} else if strings.HasPrefix(line, "# labels:") && strings.Contains(line, fmt.Sprintf("%q:%q", label, id)) {
			n += alike
		}
	}
	return n
}

func (tr *trial[Req, Resp]) wrapsEach() {
	layer := tr.layer()
	var agents [2]*Agent[Req, Resp]
	var runners [2]middleware.Runner[Req, Resp]
	for i := range agents {
		agents[i] = NewAgent[Req, Resp](tr.answer())
		runners[i] = middleware.Chain(agents[i], layer)
	}
	for range 2 {
		for i, r := range runners {
			own, other := agents[i], agents[1-i]
			calls, others := own.Called(), other.Called()
			tr.served("a call of a layer used twice", i, tr.call(context.Background(), r, i))
			if own.Called() == calls || other.Called() != others {
				tr.breach("a layer used twice asks the wrong agent")
			}
		}
	}
}
