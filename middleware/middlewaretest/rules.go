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

var errAgent = errors.New("the agent fails on purpose")

// outcome is how a call ended.
type outcome[Resp any] struct {
	resp  Resp
	err   error
	ended string // "returned", "panicked: ..." or "exited"
}

func (o outcome[Resp]) returned() bool { return o.ended == "returned" }

func (o outcome[Resp]) String() string {
	if !o.returned() {
		return o.ended
	}
	return fmt.Sprintf("answer %#v, error %v", o.resp, o.err)
}

// call makes the n-th call on a goroutine of its own, which may panic or exit.
func (tr *trial[Req, Resp]) call(ctx context.Context, r middleware.Runner[Req, Resp], n int) outcome[Resp] {
	request, _ := tr.sample(n)
	result := make(chan outcome[Resp], 1)
	go func() {
		o := outcome[Resp]{ended: "exited"}
		defer func() {
			if v := recover(); v != nil {
				o.ended = fmt.Sprintf("panicked: %v", v)
			}
			result <- o
		}()
		o.resp, o.err = r.Run(ctx, request)
		o.ended = "returned"
	}()
	return <-result
}

// answer is the step of an agent that knows the answer to every sample.
func (tr *trial[Req, Resp]) answer() Step {
	return Do(func(_ context.Context, req Req) (none Resp, _ error) {
		for n := range samples {
			if request, answer := tr.sample(n); reflect.DeepEqual(req, request) {
				return answer, nil
			}
		}
		return none, fmt.Errorf("the agent was asked %#v, which nobody did", req)
	})
}

// samples is how many of them the suite uses.
const samples = 64

// wrap puts a fresh layer around an agent that follows the steps.
func (tr *trial[Req, Resp]) wrap(steps ...Step) (*Agent[Req, Resp], middleware.Runner[Req, Resp]) {
	agent := NewAgent[Req, Resp](steps...)
	return agent, middleware.Chain(agent, tr.layer())
}

// answered wants a call to end with the answer to the n-th sample.
func (tr *trial[Req, Resp]) answered(what string, n int, o outcome[Resp]) {
	if _, want := tr.sample(n); !o.returned() || o.err != nil || !reflect.DeepEqual(o.resp, want) {
		tr.breach("%s: %v, want %#v", what, o, want)
	}
}

func (tr *trial[Req, Resp]) handsOn() {
	agent, r := tr.wrap(tr.answer())
	if agent.Called() > 0 {
		tr.breach("the agent is called while it is wrapped")
	}
	for n := range 3 {
		tr.answered("a healthy call", n, tr.call(context.Background(), r, n))
	}
	if n := agent.Called(); n != 3 {
		tr.breach("a healthy agent was asked %d times in 3 calls", n)
	}
}

func (tr *trial[Req, Resp]) handsOnError() {
	for _, failure := range []error{errAgent, strategies.WithClass(strategies.BadRequest, errAgent)} {
		_, r := tr.wrap(Fail(failure))
		tr.failed("a failed call", tr.call(context.Background(), r, 0), errAgent)
	}
}

// failed wants a call to end with an error that is another, or to be recovered
// if that is allowed.
func (tr *trial[Req, Resp]) failed(what string, o outcome[Resp], want error) {
	switch {
	case !o.returned():
		tr.breach("%s %s, where an error was to be returned", what, o.ended)
	case o.err == nil && !tr.may(AllowRecovery):
		tr.breach("%s has no error, but %v; AllowRecovery would allow it", what, o)
	case o.err != nil && !errors.Is(o.err, want):
		tr.breach("%s: the error %q is not %q by errors.Is", what, o.err, want)
	}
}

func (tr *trial[Req, Resp]) answersZero() {
	zero := func(when string, o outcome[Resp]) {
		if v := reflect.ValueOf(&o.resp).Elem(); o.returned() && o.err != nil && !v.IsZero() {
			tr.breach("the error %s comes with an answer that is not zero: %#v", when, o.resp)
		}
	}
	for when, bad := range map[string]Step{
		"of a failure": Fail(errAgent), "of a panic": Panic("the agent panics on purpose"), "of a cancelled call": Hang(),
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
	agent, r := tr.wrap(Fail(strategies.WithClass(strategies.Interrupt, errAgent)))
	o := tr.call(context.Background(), r, 0)
	if !errors.Is(o.err, errAgent) || strategies.Classify(o.err).Class != strategies.Interrupt {
		tr.breach("an interrupt does not pass through: %v", o)
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
	// An agent that would hang for ever could not tell how long a layer made it wait.
	hang := Do(func(ctx context.Context, _ Req) (none Resp, _ error) {
		if err := sleep(ctx, time.Hour); err != nil {
			return none, err
		}
		return none, errAgent
	})
	_, o := cancelled("while the agent is busy", time.Microsecond, hang)
	tr.failed("a cancelled call", o, context.Canceled)
	cancelled("after a failure", time.Microsecond, Fail(errAgent))
	if agent, _ := cancelled("before it begins", 0, Hang()); agent.Called() > 1 {
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
		for spins := 0; spins < 1000 && arrived.Load() < samples; spins++ {
			runtime.Gosched()
		}
		return play(ctx, req)
	}))
	tr.together(func(n int) {
		for range 8 {
			o := tr.call(context.Background(), r, n)
			if !tr.refused(o) {
				tr.answered("one of many calls", n, o)
			}
		}
	})
	// Then every other call fails, with an error of its own. A layer may wait
	// now, before it asks again.
	tr.bubble(func() {
		_, r := tr.wrap(Do(func(ctx context.Context, req Req) (Resp, error) {
			runtime.Gosched()
			n := ctx.Value(valueKey{}).(*nth)
			if n.int%2 == 0 {
				var none Resp
				return none, n
			}
			return play(ctx, req)
		}))
		tr.together(func(n int) {
			failure := &nth{n}
			o := tr.call(context.WithValue(context.Background(), valueKey{}, failure), r, n)
			switch {
			case tr.refused(o):
			case n%2 == 0:
				tr.failed("one of many failing calls", o, failure)
			default:
				tr.answered("one of many calls, others failing", n, o)
			}
		})
	})
}

type nth struct{ int }

func (e *nth) Error() string { return "failure of call " + strconv.Itoa(e.int) }

// refused says whether a call was refused, and may be.
func (tr *trial[Req, Resp]) refused(o outcome[Resp]) bool {
	return tr.may(AllowRefusals) && o.returned() && o.err != nil
}

// together runs f(0), f(1) and so on at the same time.
func (tr *trial[Req, Resp]) together(f func(n int)) {
	var all sync.WaitGroup
	for n := range samples {
		all.Go(func() { f(n) })
	}
	all.Wait()
}

// survives lets the agent end three calls in a bad way: that is enough for a
// slot, a lock or a trial to be missing, and too few to open a breaker.
func (tr *trial[Req, Resp]) survives(what string, bad Step) {
	const times = 3
	_, r := tr.wrap(bad.Times(times), tr.answer())
	for range times {
		if o := tr.call(context.Background(), r, 0); o.returned() && o.err == nil && !tr.may(AllowRecovery) && !tr.may(AllowRetries) {
			tr.breach("a call whose agent ends by %s has no error, but %v", what, o)
		}
	}
	o := tr.call(context.Background(), r, 1)
	if tr.refused(o) {
		time.Sleep(time.Hour)
		o = tr.call(context.Background(), r, 1)
	}
	tr.answered("a call after a "+what, 1, o)
}

func (tr *trial[Req, Resp]) leavesNothing() {
	var mu sync.Mutex
	var open []context.Context // what the agent got and was not over after the call
	steps := map[string]Step{
		"an answer": tr.answer(), "a failure": Fail(errAgent), "a panic": Panic("the agent panics on purpose"),
		"a Goexit": Goexit(), "a cancelled call": Hang(),
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
				open = nil
				ctx, cancel := context.WithCancel(context.Background())
				moment := time.AfterFunc(time.Microsecond, cancel)
				pprof.Do(ctx, pprof.Labels(label, id), func(ctx context.Context) { tr.call(ctx, r, 0) })
				mu.Lock()
				for _, c := range open {
					if c.Err() == nil && c.Done() != nil && c.Done() != ctx.Done() {
						tr.breach("after %s: the context that the layer made for the call is still open", what)
					}
				}
				mu.Unlock()
				moment.Stop()
				cancel()
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
	for round := range 2 {
		for i, r := range runners {
			tr.answered("a layer used twice", i, tr.call(context.Background(), r, i))
			if got := [2]int{agents[0].Called(), agents[1].Called()}; got != [2]int{round + 1, round + i} {
				tr.breach("a layer used twice asks the wrong agent: the calls are %v, want %v", got, [2]int{round + 1, round + i})
			}
		}
	}
}
