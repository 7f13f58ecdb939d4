package roles_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// hurt is the failure of one invocation of an agent, which may have asked a helper.
type hurt struct {
	who   string
	id    int
	asked error
}

func (h *hurt) Error() string { return fmt.Sprint(h.who, " is hurt, no. ", h.id) }
func (h *hurt) Unwrap() error { return h.asked }

type callerKey struct{}

// storm is a cast in which everybody fails, and names everybody else.
type storm struct {
	rng    *rand.Rand
	cast   *cast
	agents []*guarded
	helper *guarded
	nested []int // whom each agent's own function calls; -1: nobody
	takes  []time.Duration

	retries   int
	coalesced int
	opens     bool // breakers may refuse

	mu  sync.Mutex
	log map[any]map[int]string // by caller: who was invoked
	all map[int]string
}

func (s *storm) coin() bool { return s.rng.IntN(2) == 0 }

// invoked is one invocation, and how it fails.
func (s *storm) invoked(ctx context.Context, who string, asked error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := len(s.all)
	caller := ctx.Value(callerKey{})
	if s.log[caller] == nil {
		s.log[caller] = map[int]string{}
	}
	s.log[caller][id], s.all[id] = who, who
	return &hurt{who, id, asked}
}

func (s *storm) work(i int) func(context.Context, string) (string, error) {
	return func(ctx context.Context, req string) (string, error) {
		time.Sleep(s.takes[i])
		var asked error
		switch j := s.nested[i]; {
		case j == i:
			_, asked = s.helper.Run(ctx, req)
		case j > i:
			_, asked = s.agents[j].Run(ctx, req)
		}
		return "", s.invoked(ctx, fmt.Sprint("a", i), asked)
	}
}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{rng: rand.New(rand.NewPCG(seed, 8)), log: map[any]map[int]string{}, all: map[int]string{}}
	n := 2 + s.rng.IntN(7)
	s.agents, s.nested, s.takes = make([]*guarded, n), make([]int, n), make([]time.Duration, n)
	table := roles.Understudies{}
	for i := range n {
		for j := i + 1; j < n; j++ {
			if s.rng.IntN(3) == 0 {
				r := roles.Role(fmt.Sprint("r", i))
				table[r] = append(table[r], roles.Role(fmt.Sprint("r", j)))
			}
		}
		s.takes[i] = time.Duration(s.rng.IntN(5)) * time.Millisecond
		s.nested[i] = -1
		if s.rng.IntN(3) == 0 {
			s.nested[i] = i
		}
	}
	if s.rng.IntN(3) == 0 {
		s.nested[0] = 1 // one that calls another of them
	}
	s.retries, s.opens = s.rng.IntN(3), s.rng.IntN(3) == 0
	mix, share := s.rng.IntN(3), s.rng.IntN(3)
	s.helper = register(t, company(t, nil, bare), roles.AsFunc("helper", "helper", func(ctx context.Context, _ string) (string, error) {
		return "", s.invoked(ctx, "helper", nil)
	}))
	s.cast = company(t, table, func(b *builder, a agent) {
		if s.retries > 0 {
			b.Retry(strategies.Retry{MaxRetries: s.retries, Backoff: strategies.Delays{0}, Budget: &strategies.Budget{Capacity: 1e6}})
		}
		if s.opens {
			b.CircuitBreaker(&strategies.Breaker{Failures: 1 + s.rng.IntN(3)})
		}
		for j := range n {
			if name := fmt.Sprint("a", j); name != a.Name() && (mix > 0 || s.coin()) {
				b.Fallback(name, middleware.Func(func(ctx context.Context, req string) (string, error) { return s.agents[j].Run(ctx, req) }))
			}
		}
		if share == 0 && s.coin() {
			s.coalesced++
			b.Coalesce(func(req string) string { return req })
		}
	})
	for i := range n {
		s.agents[i] = register(t, s.cast, roles.AsFunc(fmt.Sprint("a", i), roles.Role(fmt.Sprint("r", i)), s.work(i)))
	}
	return s
}

// tooLarge is a tree of more errors than are kept: trees within trees.
const tooLarge = "only its text is kept)"

// told collects who an error says was asked; once, but where calls were shared.
func told(re *strategies.RecoveryError, into map[int]string, once bool) (problem string) {
	for _, a := range re.Attempts {
		for err := a.Err; err != nil; {
			switch e := err.(type) { //nolint:errorlint // each level is looked at
			case *strategies.RecoveryError:
				if e.Agent != a.Agent {
					return fmt.Sprintf("an attempt of %s is told as one of %s", e.Agent, a.Agent)
				}
				if problem = told(e, into, once); problem != "" {
					return problem
				}
				err = nil
			case *hurt:
				if e.who != a.Agent {
					return fmt.Sprintf("%s failed, told as %s", e.who, a.Agent)
				}
				if into[e.id] != "" && once {
					return fmt.Sprintf("no. %d is told twice", e.id)
				}
				into[e.id] = e.who
				if inner, ok := e.asked.(*strategies.RecoveryError); ok { //nolint:errorlint // see above
					if problem = told(inner, into, once); problem != "" {
						return problem
					}
				}
				err = nil
			case *strategies.OpenError:
				if a.Class != strategies.ClassRejected {
					return "a refusal is told as " + a.Class.String()
				}
				err = nil
			default:
				next := errors.Unwrap(err)
				if next == nil {
					return fmt.Sprintf("an attempt of %s failed with a %T: %v", a.Agent, err, err)
				}
				err = next
			}
		}
	}
	return ""
}

// A cast in which everybody fails and names everybody else: one call invokes its
// agents a bounded number of times, and its error tells of each that was invoked,
// and of nobody else. One failure that many callers get is each one's own to write to.
func TestPropertyCastStorms(t *testing.T) {
	const seeds = 1000
	calls, most, mostN, exact, shared, cut, coalesced := 0, 0, 0, 0, 0, 0, 0
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			s := newStorm(t, seed)
			n, r := len(s.agents), s.retries
			// Each is recovered once, and asks all others then; before, it has its retries.
			bound := n*n - n + 1 + n*r
			if s.nested[0] == 1 { // and in each attempt of the first one before its recovery there is a tree of its own
				bound = (r + 2) * (bound + n*(r+1))
			}
			callers := 1
			if s.coin() {
				callers = 2 + s.rng.IntN(8)
			}
			coalesced += s.coalesced
			var all sync.WaitGroup
			for c := range callers {
				first, wait := s.agents[s.rng.IntN(n)], time.Duration(s.rng.IntN(4))*time.Millisecond
				all.Go(func() {
					time.Sleep(wait)
					o := first.Outcome(context.WithValue(t.Context(), callerKey{}, c), "hello")
					re, ok := o.Err.(*strategies.RecoveryError) //nolint:errorlint // the edge returns it bare
					if !ok || o.Value != "" || o.ServedBy != "" || o.Attempts != len(re.Attempts) || re.Agent != first.Name() {
						t.Errorf("seed %d: outcome %+v", seed, o)
						return
					}
					who := map[int]string{}
					problem := told(re, who, s.coalesced == 0)
					large := strings.HasSuffix(problem, tooLarge) && (s.nested[0] == 1 || s.coalesced > 0)
					if problem != "" && !large {
						t.Errorf("seed %d: %s", seed, problem)
					}
					s.mu.Lock()
					mine := maps.Clone(s.log[c])
					for id := range who {
						if s.all[id] != who[id] {
							t.Errorf("seed %d: %s is told of, who was not asked", seed, who[id])
						}
					}
					switch {
					case large:
						cut++
					case s.coalesced == 0:
						exact++
						if !maps.Equal(who, mine) {
							t.Errorf("seed %d: told of %d, asked were %d: %v", seed, len(who), len(mine), slices.Sorted(maps.Values(mine)))
						}
					default:
						shared++
					}
					s.mu.Unlock()
					// It is this caller's, whoever else got it.
					_ = re.Error()
					re.Agent, re.Cause = "mine", errSick
					for i := range re.Attempts {
						re.Attempts[i].Agent, re.Attempts[i].Err = "mine", nil
					}
				})
			}
			all.Wait()
			for c, invoked := range s.log {
				calls++
				agents := 0
				for _, who := range invoked {
					if who != "helper" {
						agents++
					}
				}
				if agents > most {
					most, mostN = agents, n
				}
				if agents > bound {
					t.Errorf("seed %d: %d agents, %d retries: call %v made %d invocations, want at most %d", seed, n, r, c, agents, bound)
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d casts, %d calls, at most %d invocations (of %d agents); %d errors told exactly, %d shared among callers, %d too large; %d agents coalesced", seeds, calls, most, mostN, exact, shared, cut, coalesced)
}
