package overhead

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
)

// Case is one piece of work, and everyone who does it.
type Case struct {
	Name    string
	Does    string // in a line, for people
	workers int    // goroutines; 0: the caller's own
	rivals  []rival
}

// rival is a system in a case. It is made when its case is due, and forgotten
// after it.
type rival struct {
	system string
	want   string // the answer; "": an error
	make   func() worker
}

// worker does n units of work, on goroutine g of the case's.
type worker func(ctx context.Context, g, n int) (answer string, err error)

// Cases are all that is measured, in the order of the table.
func Cases() []Case {
	cases := []Case{
		calls("retry+breaker", "a call that goes well", healthy, Policies{}, request),
		calls("retry+breaker+fallback", "the same with a stand-in at hand", healthy, Policies{Fallback: true}, request),
		calls("retry+breaker+fallback+timeout", "the same with a limit for each attempt", healthy, Policies{Fallback: true, Timeout: true}, request),
		calls("timeout, watched", "the same, and the agent looks whether its context is done, as a client of a network does", watchful, Policies{Fallback: true, Timeout: true}, request),
		calls("full chain", "retry, breaker, stand-in, reduced answer, a person, an observer; peers: what they have of it", healthy, Policies{Fallback: true, Full: true}, request),
		calls("full chain+timeout", "the same with a limit for each attempt", healthy, Policies{Fallback: true, Full: true, Timeout: true}, request),
		calls("one retry, then success", "a failed attempt, no delay, a good one", flaky, Policies{Fallback: true}, request),
		calls("breaker open", "a call refused, with an error", healthy, Policies{Open: true}, ""),
		calls("breaker open, stand-in answers", "a call refused and answered by another; gobreaker alone has no other", healthy, Policies{Open: true, Fallback: true}, second),
		chunks(),
	}
	for _, n := range []int{1, 8, 64, 1024} {
		c := calls(fmt.Sprintf("goroutines=%d", n), "retry+breaker+fallback around one agent, called from so many goroutines at once", healthy, Policies{Fallback: true}, request)
		c.workers = n
		cases = append(cases, c)
	}
	for _, n := range []int{1, 100, 10_000} {
		cases = append(cases, crowd(n))
	}
	return append(append(cases, nested()), extras()...)
}

func calls(name, does string, agent func() Agent, p Policies, want string) Case {
	c := Case{Name: name, Does: does}
	for _, s := range Systems() {
		answer := want
		switch {
		case p.Open && s.Name == Bare:
			continue // has no breaker
		case p.Open && s.Name == Breaker:
			answer = "" // has no stand-in
		}
		c.rivals = append(c.rivals, rival{s.Name, answer, func() worker { return repeat(s.Guard(agent(), p)) }})
	}
	return c
}

func repeat(op Op) worker {
	return func(ctx context.Context, _, n int) (answer string, err error) {
		for range n {
			answer, err = op(ctx)
		}
		return answer, err
	}
}

// crowd is n agents, each guarded by itself, called in an order that no cache
// foresees, and the same for everyone.
func crowd(n int) Case {
	c := Case{Name: fmt.Sprintf("agents=%d", n), Does: "retry+breaker+fallback around each of so many agents, called in a fixed random order"}
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	for _, s := range Systems() {
		c.rivals = append(c.rivals, rival{s.Name, request, func() worker {
			ops := make([]Op, n)
			for i := range ops {
				ops[i] = s.Guard(healthy(), Policies{Fallback: true})
				_, _ = ops[i](context.Background()) // the first call makes what is made on need
			}
			next := 0
			return func(ctx context.Context, _, n int) (answer string, err error) {
				for range n {
					if next++; next == len(order) {
						next = 0
					}
					answer, err = ops[order[next]](ctx)
				}
				return answer, err
			}
		}})
	}
	return c
}

// nested is an agent that calls another one, both guarded.
func nested() Case {
	c := Case{Name: "nested agents", Does: "an agent whose work is to call another one, retry+breaker+fallback around each"}
	for _, s := range Systems() {
		c.rivals = append(c.rivals, rival{s.Name, request, func() worker {
			inner := s.Guard(healthy(), Policies{Fallback: true})
			return repeat(s.Guard(func(ctx context.Context, _ string) (string, error) { return inner(ctx) }, Policies{Fallback: true}))
		}})
	}
	return c
}

// chunks is a stream, a unit a chunk. No peer guards one.
func chunks() Case {
	listen := func(open func(n int) func(context.Context) iter.Seq2[int, error]) func() worker {
		return func() worker {
			return func(ctx context.Context, _, n int) (string, error) {
				heard := 0
				for _, err := range open(n)(ctx) {
					if err != nil {
						return "", err
					}
					heard++
				}
				return strconv.FormatBool(heard == n), nil
			}
		}
	}
	return Case{Name: "stream, per chunk", Does: "a chunk of a long stream from the agent to its reader", rivals: []rival{
		{Bare, "true", listen(func(n int) func(context.Context) iter.Seq2[int, error] {
			return func(context.Context) iter.Seq2[int, error] { return counting(n) }
		})},
		{Ours, "true", listen(func(n int) func(context.Context) iter.Seq2[int, error] { return stream(n, false) })},
		{Ours + ", idle clock", "true", listen(func(n int) func(context.Context) iter.Seq2[int, error] { return stream(n, true) })},
	}}
}
