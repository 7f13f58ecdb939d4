package roles_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

var theatre = roles.Understudies{"writer": {"editor"}}

// ghost can say its name through a nil pointer, and do nothing else.
type ghost struct{ line string }

func (*ghost) Name() string                                          { return "ghost" }
func (*ghost) Role() roles.Role                                      { return "writer" }
func (g *ghost) Run(_ context.Context, _ string) (_ string, _ error) { return g.line, nil }

func TestCastRegisterRefuses(t *testing.T) {
	var noActor *actor
	var noGhost *ghost
	for _, tc := range []struct {
		name  string
		agent agent
		says  string
	}{
		{"a nil agent", nil, "Register got a nil agent"},
		{"a nil pointer that cannot say its name", noActor, "Register got an agent that panics when asked for its name"},
		{"a nil pointer that can", noGhost, `agent "ghost": understudy: Wrap is nil`},
		{"an agent without a name", plays("", "writer", "hi"), "Register got an agent without a name"},
		{"an agent without a role", plays("will", "", "hi"), `Register "will" has no role`},
		{"As without a runner", roles.As[string, string]("will", "writer", nil), `agent "will": understudy: Wrap is nil`},
		{"As of a nil pointer", roles.As[string, string]("will", "writer", noActor), `agent "will": understudy: Wrap is nil`},
		{"As of a nil function of a type", roles.As("will", "writer", middleware.Func[string, string](nil)), `agent "will": understudy: Wrap is nil`},
		{"AsFunc without a function", roles.AsFunc[string, string]("will", "writer", nil), `agent "will": understudy: Wrap is nil`},
		{"a name that is taken", plays("ed", "writer", "hi"), `Register "ed" is registered already`},
	} {
		t.Run("it refuses "+tc.name, func(t *testing.T) {
			c := company(t, theatre, nil)
			register(t, c, plays("ed", "editor", "hi"))
			g, err := c.Register(tc.agent)
			if _, ok := errors.AsType[*strategies.ConfigError](err); !ok || g != nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Register = %v, %v; want a ConfigError that says %q", g, err, tc.says)
			}
			expect(t, "names", c.Names(), []string{"ed"})
			_, found := c.Agent("will")
			expect(t, "in the cast", found, false)
		})
	}
}

func TestCastRecipe(t *testing.T) {
	t.Run("it brings its errors out under the agent's name, all of them", func(t *testing.T) {
		c := company(t, theatre, func(b *builder, a agent) {
			if a.Name() == "will" {
				b.Retry(strategies.Retry{MaxRetries: -2}).Timeout(-time.Second)
			}
		})
		register(t, c, plays("ed", "editor", "hi"))
		_, err := c.Register(plays("will", "writer", "hi"))
		for _, part := range []string{`agent "will"`, "Retry.MaxRetries", "Timeout"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("Register = %v, want it to say %q", err, part)
			}
		}
		expect(t, "a ConfigError", errors.Is(err, strategies.ErrConfig), true)
		expect(t, "names", c.Names(), []string{"ed"})
	})
	for name, spoil := range map[string]func(*builder){
		"a name":   func(b *builder) { b.Named("other") },
		"a tally":  func(b *builder) { b.Tally(&strategies.Tally{}) },
		"a roster": func(b *builder) { b.Roster(nil) },
		"stand-ins": func(b *builder) {
			b.FallbackFrom(func(context.Context) []middleware.StandIn[middleware.Runner[string, string]] { return nil })
		},
	} {
		t.Run("it may not replace what the cast gives: "+name, func(t *testing.T) {
			_, err := company(t, theatre, func(b *builder, _ agent) { spoil(b) }).Register(plays("will", "writer", "hi"))
			expect(t, "refused", errors.Is(err, strategies.ErrConfig) && strings.Contains(err.Error(), "set twice"), true)
		})
	}
	t.Run("it is called once an agent, and not for one that is refused", func(t *testing.T) {
		var cooked []string
		c := company(t, theatre, func(_ *builder, a agent) { cooked = append(cooked, fmt.Sprint(a.Role(), " ", a.Name())) })
		g := register(t, c, plays("will", "writer", "hi"))
		_, _ = c.Register(plays("will", "writer", "again"))
		_, _ = c.Register(plays("", "writer", "nobody"))
		register(t, c, plays("ed", "editor", "hi"))
		asked(t, g, "hi")
		asked(t, g, "hi")
		expect(t, "recipe calls", cooked, []string{"writer will", "editor ed"})
	})
	t.Run("it is the default retry when there is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			will, start := plays("will", "writer", errSick), time.Now()
			failing(t, register(t, company(t, nil, nil), will))
			expect(t, "calls", will.take(start), []string{"0s", "1s", "3s", "7s"})
		})
	})
	t.Run("it may share a breaker, which a refused agent does not listen to", func(t *testing.T) {
		shared := &strategies.Breaker{Failures: 1}
		changes := 0
		c := company(t, theatre, func(b *builder, _ agent) {
			b.CircuitBreaker(shared).Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventBreakerChanged {
					changes++
				}
			}))
		})
		g := register(t, c, plays("will", "writer", errSick))
		_, _ = c.Register(plays("will", "writer", errSick))
		failing(t, g)
		expect(t, "changes told", changes, 1)
	})
}

func TestCastLooksUpStandInsWhenNeeded(t *testing.T) {
	table := roles.Understudies{"writer": {"editor", "poet"}}
	c := company(t, table, bare)
	table["writer"][0] = "nobody"
	delete(table, "writer") // the cast has its own

	will := register(t, c, plays("will", "writer", errSick))
	expect(t, "attempts without anybody", attempts(failing(t, will)), "will:transient")

	register(t, c, plays("pat", "poet", "a rhyme"))
	asked(t, will, "a rhyme") // registered later, found all the same

	ed := plays("ed", "editor", "an edit")
	register(t, c, ed)
	asked(t, will, "an edit") // the table's order counts, not the registration's
	register(t, c, plays("ann", "editor", "another edit"))
	asked(t, will, "an edit") // of one role, the first registered
	expect(t, "stand-ins", c.StandIns("will"), []string{"ed", "pat"})

	ed.turn(errGone)
	asked(t, will, "a rhyme") // ann is no second try: one of each role
	for _, nobody := range []string{"ed", "pat", "unknown", ""} {
		expect(t, "stand-ins of "+nobody, len(c.StandIns(nobody)), 0)
	}
}

func TestCastNeverLetsAnAgentStandInForItself(t *testing.T) {
	for name, table := range map[string]roles.Understudies{
		"it refuses the role itself":       {"writer": {"writer"}},
		"it refuses one by way of another": {"writer": {"editor"}, "editor": {"writer"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := roles.NewCast[string, string](table, nil)
			expect(t, "refused", errors.Is(err, strategies.ErrConfig), true)
		})
	}
	t.Run("it refuses the name in another role", func(t *testing.T) {
		c := company(t, theatre, bare)
		will := plays("will", "writer", errSick)
		g := register(t, c, will)
		_, err := c.Register(plays("will", "editor", "me again"))
		expect(t, "refused", errors.Is(err, strategies.ErrConfig), true)
		failing(t, g)
		expect(t, "calls", will.called(), 1)
	})
	t.Run("it asks nobody of the agent's own role", func(t *testing.T) {
		c := company(t, theatre, bare)
		kit := plays("kit", "writer", "a scene")
		register(t, c, kit)
		failing(t, register(t, c, plays("will", "writer", errSick)))
		expect(t, "calls", kit.called(), 0)
	})
}

// The stand-in's own chain is cut at its breaker: what is inside counts, what
// is outside would multiply the call.
func TestCastCallsAStandInThroughItsOwnBreakerAndTimeout(t *testing.T) {
	chain := roles.Understudies{"writer": {"editor"}, "editor": {"proofreader"}}
	recipe := func(b *builder, a agent) {
		b.Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}})
		switch a.Name() {
		case "will":
			b.Timeout(time.Minute)
		case "ed":
			b.Timeout(3*time.Second).CircuitBreaker(&strategies.Breaker{Failures: 2, NoJitter: true}).
				Degrade(strategies.LevelReduced, plays("", "", "ed's excuse"))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := company(t, chain, recipe)
		will, ed, pam := plays("will", "writer", errSick), plays("ed", "editor", errGone), plays("pam", "proofreader", "proofs")
		g := register(t, c, will)
		edGuarded := register(t, c, ed)
		register(t, c, pam)
		calls := func() [3]int { return [3]int{will.called(), ed.called(), pam.called()} }

		re := failing(t, g)
		expect(t, "first call, one attempt of ed and none of pam or the rung", attempts(re), "will:transient will:transient will:transient ed:transient")
		expect(t, "calls", calls(), [3]int{3, 1, 0})
		expect(t, "ed's count, for nobody called ed", c.Failures("ed"), 0)

		ed.turn(stepFunc(func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }))
		start := time.Now()
		re = failing(t, g)
		expect(t, "second call, after which will is spent", attempts(re), "will:transient ed:timeout")
		expect(t, "time, by ed's own limit", time.Since(start), 3*time.Second)
		timeout, _ := errors.AsType[*strategies.TimeoutError](re)
		expect(t, "limit", timeout.After, 3*time.Second)

		expect(t, "ed's breaker, after two failures as a stand-in", edGuarded.Health().Breaker, strategies.StateOpen)
		re = failing(t, g)
		expect(t, "third call", attempts(re), "will:transient ed:rejected")
		expect(t, "calls, of which ed's script began anew", calls(), [3]int{5, 1, 0})

		time.Sleep(31 * time.Second)
		ed.turn("an edit")
		asked(t, g, "an edit") // the trial of ed's breaker
		expect(t, "ed's breaker", edGuarded.Health().Breaker, strategies.StateClosed)

		ed.turn(errGone)
		asked(t, edGuarded, "proofs") // called by name, ed has all its layers
		expect(t, "calls", calls(), [3]int{6, 2, 1})
	})
}

func TestCastDoesNotGoInCircles(t *testing.T) {
	count := func(agents ...*actor) (n []int) {
		for _, a := range agents {
			n = append(n, a.called())
		}
		return n
	}
	again := func(g **guarded) stepFunc {
		return func(ctx context.Context, req string) (string, error) { return (*g).Run(ctx, req) }
	}
	// will is called three times by its own retries, and once by each who calls
	// it while it is being recovered.
	recipe := func(b *builder, _ agent) { b.Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}}) }

	t.Run("when a stand-in calls the agent it stands in for", func(t *testing.T) {
		var g *guarded
		c := company(t, theatre, recipe)
		will, ed := plays("will", "writer", errSick), plays("ed", "editor", again(&g))
		g = register(t, c, will)
		register(t, c, ed)
		expect(t, "attempts", attempts(failing(t, g)), "will:transient will:transient will:transient ed:transient")
		expect(t, "calls", count(will, ed), []int{4, 1})

		will.turn(errSick, errSick, errSick, "a scene")
		c.Reset("will")
		asked(t, g, "a scene") // the fourth time it works, by way of ed
	})
	t.Run("when a stand-in calls another stand-in, which calls the agent", func(t *testing.T) {
		var g, pat *guarded
		c := company(t, roles.Understudies{"writer": {"editor", "poet"}, "editor": {"poet"}}, bare)
		will, ed, poet := plays("will", "writer", errSick), plays("ed", "editor", again(&pat)), plays("pat", "poet", again(&g))
		g = register(t, c, will)
		register(t, c, ed)
		pat = register(t, c, poet)
		failing(t, g)
		// ed asks pat, who asks will, for whom pat has not stood in yet; then
		// the first call of all goes on to pat. Whoever is asked asks will.
		expect(t, "calls", count(will, ed, poet), []int{3, 1, 2})
	})
	t.Run("when a rung calls the agent", func(t *testing.T) {
		var g *guarded
		rung := plays("", "", again(&g))
		c := company(t, theatre, func(b *builder, a agent) {
			recipe(b, a)
			b.Degrade(strategies.LevelMinimal, rung)
		})
		will := plays("will", "writer", errSick)
		g = register(t, c, will)
		failing(t, g)
		expect(t, "calls", count(will, rung), []int{4, 1})
	})
	t.Run("when whom a person names calls the agent", func(t *testing.T) {
		var g *guarded
		questions := 0
		c := company(t, nil, func(b *builder, a agent) {
			recipe(b, a)
			b.Intervene(middleware.Intervention{Rounds: 1, Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
				questions++
				return strategies.Decision{Action: strategies.ActionUseAgent, Agent: "ed"}, nil
			})})
		})
		will, ed := plays("will", "writer", errSick), plays("ed", "editor", again(&g))
		g = register(t, c, will)
		register(t, c, ed)
		failing(t, g)
		expect(t, "calls", count(will, ed), []int{4, 1})
		expect(t, "questions", questions, 1)
	})
}

func TestCastIsTheRosterOfAPerson(t *testing.T) {
	var incident strategies.Incident
	decision := strategies.Decision{Action: strategies.ActionUseAgent, Agent: "pam", By: "the director"}
	c := company(t, theatre, func(b *builder, _ agent) {
		b.Retry(promptly).Intervene(middleware.Intervention{Rounds: 1, Ask: strategies.IntervenorFunc(
			func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
				incident = i
				return decision, nil
			})})
	})
	will, pam := register(t, c, plays("will", "writer", errSick)), plays("pam", "painter", "a picture")
	register(t, c, plays("ed", "editor", errGone))
	register(t, c, pam)

	o := will.Outcome(t.Context(), "hello")
	expect(t, "strategy", o.Strategy, strategies.StrategyUserIntervention)
	expect(t, "answer of one who is no stand-in", [2]string{o.Value, o.ServedBy}, [2]string{"a picture", "pam"})
	expect(t, "agents to choose from, without will", incident.Agents, []string{"ed", "pam"})

	pam.turn(errGone, "too late")
	re := failing(t, will)
	expect(t, "one attempt for whom a person names", pam.called(), 1)
	expect(t, "required", re.Strategy, strategies.StrategyUserIntervention)

	decision.Agent = "hamlet"
	re = failing(t, will)
	expect(t, "the unknown name is told", strings.Contains(re.Attempts[len(re.Attempts)-1].Err.Error(), `"hamlet"`), true)
}

func TestCastTellsWhatItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ladder := &strategies.Ladder{}
		c := company(t, theatre, func(b *builder, a agent) {
			b.Retry(strategies.Retry{MaxRetries: 1})
			if a.Role() == "writer" {
				b.CircuitBreaker(&strategies.Breaker{Failures: 3, NoJitter: true}).
					Ladder(ladder).Degrade(strategies.LevelMinimal, plays("", "", "an excuse"))
			}
		})
		expect(t, "health of an empty cast", len(c.Health()), 0)
		expect(t, "names in an empty cast", len(c.Names()), 0)

		will := plays("will", "writer", errSick)
		g := register(t, c, will)
		register(t, c, plays("ed", "editor", errGone))
		asked(t, g, "an excuse")
		asked(t, g, "an excuse")

		since := c.Health()[0].OthersSince // the first excuse
		expect(t, "others have answered since", time.Since(since) < 2*time.Second && !since.IsZero(), true)
		want := []roles.Health{
			{Role: "writer", Health: middleware.Health{
				Agent: "will", Breaker: strategies.StateOpen, RetryAfter: 30 * time.Second,
				Failures: 2, Spent: true, Level: strategies.LevelMinimal, LastClass: strategies.ClassTransient, LastError: errSick.Error(), OthersSince: since,
				BudgetLeft: 495, BudgetSize: 500,
			}},
			{Role: "editor", Health: middleware.Health{Agent: "ed", BudgetLeft: 500, BudgetSize: 500}},
		}
		expect(t, "health, in the order of registration", c.Health(), want)
		expect(t, "health, for taking it changes nothing", c.Health(), want)
		text, err := json.Marshal(c.Health())
		expect(t, "error", err, nil)
		var read []roles.Health
		expect(t, "error", json.Unmarshal(text, &read), nil)
		expect(t, "health that was written and read, with the roles", read, want)
		expect(t, "owners", c.Owners()[0] == g.Owner() && len(c.Owners()) == 2, true)
		expect(t, "failures", []int{c.Failures("will"), c.Failures("ed"), c.Failures("unknown")}, []int{2, 0, 0})

		role, ok := c.Role("ed")
		expect(t, "role", fmt.Sprint(role, ok), "editortrue")
		role, ok = c.Role("unknown")
		expect(t, "no role", fmt.Sprint(role, ok), "false")
		same, ok := c.Agent("will")
		expect(t, "the agent that Register returned", ok && same == g, true)
		runner, ok := c.Lookup("will")
		expect(t, "the same by Lookup", ok && runner == middleware.Runner[string, string](g), true)
		runner, ok = c.Lookup("unknown")
		expect(t, "nothing, and no nil pointer in an interface", !ok && runner == nil, true)

		expect(t, "Reset of an unknown name", c.Reset("unknown"), false)
		expect(t, "Reset", c.Reset("will"), true)
		expect(t, "health after Reset, breaker and ladder left alone", c.Health()[0].Health, middleware.Health{
			Agent: "will", Breaker: strategies.StateOpen, RetryAfter: 30 * time.Second, Level: strategies.LevelMinimal, LastClass: strategies.ClassTransient, LastError: errSick.Error(), OthersSince: since,
			BudgetLeft: 495, BudgetSize: 500,
		})
		time.Sleep(31 * time.Second)
		will.turn(errSick, "a scene")
		start := time.Now()
		asked(t, g, "an excuse") // the trial fails, which opens the breaker again
		expect(t, "calls", will.take(start), []string{"0s"})
	})
}

func TestCastUnderConcurrency(t *testing.T) {
	const workers, each = 8, 500
	c := company(t, theatre, bare)
	will := register(t, c, plays("will", "writer", errSick))
	register(t, c, plays("ed", "editor", "an edit"))
	var wins sync.Map
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				role := roles.Role([]string{"writer", "editor", "poet"}[i%3])
				own := fmt.Sprintf("agent-%d-%d", w, i)
				if _, err := c.Register(plays(own, role, errSick)); err != nil {
					t.Errorf("Register: %v", err)
				}
				contested := fmt.Sprintf("agent-%d", i)
				if _, err := c.Register(plays(contested, role, errSick)); err == nil {
					if _, twice := wins.LoadOrStore(contested, w); twice {
						t.Errorf("%s was registered twice", contested)
					}
				}
				if g, ok := c.Agent(own); !ok || g.Name() != own {
					t.Errorf("%s is not found after it was registered", own)
				}
				if got := c.StandIns(own); (role == "writer") != (len(got) == 1 && got[0] == "ed") {
					t.Errorf("stand-ins of a %s: %v", role, got)
				}
				switch i % 100 {
				case 0:
					asked(t, will, "an edit")
				case 50:
					if names, health := len(c.Names()), len(c.Health()); names > health {
						t.Errorf("%d names, then the health of %d", names, health)
					}
				}
			}
		})
	}
	all.Wait()
	names := c.Names()
	expect(t, "agents", len(names), 2+workers*each+each)
	seen := map[string]bool{}
	for i, h := range c.Health() {
		expect(t, "twice in the cast", seen[h.Agent], false)
		seen[h.Agent] = true
		expect(t, "order of names and health", h.Agent, names[i])
	}
}

// A typing error in the table is not silent.
func TestCastTellsWhichRolesNobodyPlays(t *testing.T) {
	c := company(t, roles.Understudies{"writer": {"editor", "edtior"}, "painter": {"writer"}}, nil)
	expect(t, "before anybody came", c.Missing(), []roles.Role{"editor", "edtior", "painter", "writer"})
	register(t, c, plays("will", "writer"))
	register(t, c, plays("ed", "editor"))
	expect(t, "with a name mistyped", c.Missing(), []roles.Role{"edtior", "painter"})
	register(t, c, plays("pam", "painter"))
	register(t, c, plays("tom", "edtior"))
	expect(t, "when all are there", len(c.Missing()), 0)
}

func TestACastThatNobodyMade(t *testing.T) {
	var c cast
	_, err := c.Register(plays("will", "writer", "hi"))
	expect(t, "refused", errors.Is(err, strategies.ErrConfig) && strings.Contains(err.Error(), "NewCast"), true)
	expect(t, "names", len(c.Names())+len(c.Health())+len(c.Missing())+len(c.StandIns("will"))+c.Failures("will"), 0)
	expect(t, "reset", c.Reset("will"), false)
}
