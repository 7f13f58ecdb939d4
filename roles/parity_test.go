package roles_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/zaplog"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// The origin of this library is a recovery manager for a game-master system.
// Each row is a behaviour of it that must hold here too, in virtual time.
func TestOriginParity(t *testing.T) {
	for _, row := range []struct {
		origin string
		holds  func(t *testing.T)
	}{
		{"order: retry, fallback, degradation, user intervention", parityOrder},
		{"max_retries 3; delays 1 s, 2 s, 4 s; last delay repeats", parityDelays},
		{"failure count per agent name, +1 a failure, deleted on recovery by retry or fallback; reset_failure_count(name)", parityCount},
		{"count above max_retries: no more retries, on to fallback", parityAboveMax},
		{"ONE retry per handled failure, its delay growing from call to call with the agent's count (1 s, then 2 s, then 4 s), then none until a recovery resets it", parityPerAgent},
		{"a failed retry does not raise the count; a recovery by retry or by fallback deletes it; degradation leaves it", parityWhatCounts},
		{"unrecoverable (AgentError recoverable=false): no retry, user_intervention at once, message names agent and error", parityUnrecoverable},
		{"timeout, connection, network, API, rate errors and all others: recoverable", parityRecoverable},
		{"MODULE_KEEPER → NARRATOR; CONSISTENCY → ARCHIVIST; NARRATOR and ARCHIVIST: none; never itself (by name)", parityTable},
		{"first registered agent of that role is the stand-in", parityFirstRegistered},
		{"the stand-in fails too: log it, go on to degradation", parityStandInFails},
		{"all exhausted: result \"degradation\", success false, message", parityExhausted},
		{"RecoveryResult(success, strategy_used, message, response, degradation_level)", parityResult},
		{"levels full, reduced, minimal, emergency; only downward until restored; reasons kept; allowed actions per level", parityLevels},
		{"log lines at warning, info, error for each step", parityLog},
	} {
		t.Run(row.origin, func(t *testing.T) { synctest.Test(t, row.holds) })
	}
}

var perAgent = strategies.Retry{Allowance: strategies.AllowancePerAgent}

// scene is the origin's system: a module keeper, for whom a narrator stands in.
type scene struct {
	*cast
	keeper, narrator *actor
	guarded          *guarded
}

func stage(t *testing.T, keeper, narrator any, recipe func(*builder)) *scene {
	s := &scene{
		cast:   company(t, roles.GameMaster(), func(b *builder, _ agent) { recipe(b) }),
		keeper: plays("keeper", roles.ModuleKeeper, keeper), narrator: plays("narrator", roles.Narrator, narrator),
	}
	s.guarded = register(t, s.cast, s.keeper)
	register(t, s.cast, s.narrator)
	return s
}

func retries(r strategies.Retry) func(*builder) { return func(b *builder) { b.Retry(r) } }

// call makes one call and returns when the keeper was asked, from its start.
func (s *scene) call(t *testing.T) []string {
	start := time.Now()
	_, _ = s.guarded.Run(t.Context(), "hello")
	return s.keeper.take(start)
}

func parityOrder(t *testing.T) {
	ways := []strategies.Strategy{strategies.StrategyNone, strategies.StrategyRetry, strategies.StrategyFallback, strategies.StrategyDegradation, strategies.StrategyUserIntervention}
	steps := []string{"keeper", "keeper", "narrator", "reduced", "person"}
	for works, way := range ways { // the first step that works
		var log []string
		step := func(who string) stepFunc {
			return func(context.Context, string) (string, error) {
				log = append(log, who)
				if len(log) > works {
					return who, nil
				}
				return "", fmt.Errorf("%s is sick", who)
			}
		}
		s := stage(t, step("keeper"), step("narrator"), func(b *builder) {
			// Asked for in the wrong order, which is of no consequence.
			b.Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
				value, _ := step("person")(ctx, "")
				return strategies.Decision{Action: strategies.ActionAnswer, Value: value}, nil
			})}).Degrade(strategies.LevelReduced, middleware.Func(step("reduced"))).Retry(strategies.Retry{MaxRetries: 1})
		})
		o := s.guarded.Outcome(t.Context(), "hello")
		expect(t, "order until it works", log, steps[:works+1])
		expect(t, "answer", o.Value, steps[works])
		expect(t, "strategy", o.Strategy, way)
	}
}

func parityDelays(t *testing.T) {
	for _, tc := range []struct {
		retry strategies.Retry
		calls []string
	}{
		{strategies.Retry{}, []string{"0s", "1s", "3s", "7s"}},
		{strategies.Retry{MaxRetries: 6}, []string{"0s", "1s", "3s", "7s", "11s", "15s", "19s"}},
		{strategies.Retry{MaxRetries: 3, Backoff: strategies.Delays{time.Minute}}, []string{"0s", "1m0s", "2m0s", "3m0s"}},
	} {
		s := stage(t, errSick, errGone, retries(tc.retry))
		expect(t, fmt.Sprintf("calls with %s", tc.retry), s.call(t), tc.calls)
	}
}

func parityCount(t *testing.T) {
	s := stage(t, errSick, errGone, retries(perAgent))
	for n := 1; n <= 5; n++ {
		failing(t, s.guarded)
		expect(t, "count after a failure", s.Failures("keeper"), n)
	}
	expect(t, "count of another name", s.Failures("narrator"), 0)

	expect(t, "reset of an unknown name", s.Reset("nobody"), false)
	expect(t, "reset of another name", s.Reset("narrator"), true)
	expect(t, "count", s.Failures("keeper"), 5)
	expect(t, "reset", s.Reset("keeper"), true)
	expect(t, "count", s.Failures("keeper"), 0)

	failing(t, s.guarded)
	s.keeper.turn(errSick, "a key", errSick)
	asked(t, s.guarded, "a key")
	expect(t, "count after recovery by retry", s.Failures("keeper"), 0)

	failing(t, s.guarded)
	s.narrator.turn("a tale")
	asked(t, s.guarded, "a tale")
	expect(t, "count after recovery by fallback", s.Failures("keeper"), 0)
}

func parityAboveMax(t *testing.T) {
	for _, tc := range []struct {
		name  string
		retry strategies.Retry
		calls [][]string
	}{
		{"PerAgent: a retry while the count is at most 2", strategies.Retry{MaxRetries: 2, Allowance: strategies.AllowancePerAgent},
			[][]string{{"0s", "1s"}, {"0s", "2s"}, {"0s"}, {"0s"}}},
		{"PerCall: one call spends them for those that follow", strategies.Retry{MaxRetries: 2},
			[][]string{{"0s", "1s", "3s"}, {"0s"}, {"0s"}}},
	} {
		s := stage(t, errSick, errGone, retries(tc.retry))
		for i, want := range tc.calls {
			expect(t, fmt.Sprintf("%s: call %d", tc.name, i+1), s.call(t), want)
			expect(t, "stand-in asked", s.narrator.called(), i+1)
		}
		s.narrator.turn("a tale")
		start := time.Now()
		asked(t, s.guarded, "a tale")
		expect(t, "time until the stand-in answers", time.Since(start), 0)
	}
	// Ours, not the origin's: by the call, a stand-in's answer gives no retries back.
	s := stage(t, errSick, "a tale", retries(strategies.Retry{MaxRetries: 2}))
	expect(t, "retries", s.call(t), []string{"0s", "1s", "3s"})
	expect(t, "after a recovery by fallback", s.call(t), []string{"0s"})
	s.Reset("keeper")
	expect(t, "after a reset", s.call(t), []string{"0s", "1s", "3s"})
	s.keeper.turn("a key", errSick)
	expect(t, "the agent answers at once", s.call(t), []string{"0s"})
	expect(t, "after a success", s.call(t), []string{"0s", "1s", "3s"})
}

func parityPerAgent(t *testing.T) {
	s := stage(t, errSick, errGone, retries(perAgent))
	round := func(what string) {
		t.Helper()
		for i, want := range [][]string{{"0s", "1s"}, {"0s", "2s"}, {"0s", "4s"}, {"0s"}, {"0s"}} {
			expect(t, fmt.Sprintf("%s, call %d", what, i+1), s.call(t), want)
			expect(t, fmt.Sprintf("%s, spent after call %d", what, i+1), s.guarded.Health().Spent, i >= 2)
		}
		expect(t, "why there is none", failing(t, s.guarded).Stop, strategies.StopSpent)
		s.keeper.take(time.Now())
	}
	round("at first")
	s.narrator.turn("a tale", errGone)
	asked(t, s.guarded, "a tale")
	s.keeper.take(time.Now())
	round("after a recovery by fallback")
	s.Reset("keeper")
	expect(t, "after a reset", s.call(t), []string{"0s", "1s"})
	s.keeper.turn(errSick, "a key", errSick)
	expect(t, "the second failure, recovered by its retry", s.call(t), []string{"0s", "2s"})
	round("after a recovery by retry")
	s.keeper.turn("a key", errSick)
	expect(t, "the agent answers at once", s.call(t), []string{"0s"})
	round("after a success")
}

func parityWhatCounts(t *testing.T) {
	for name, retry := range map[string]strategies.Retry{"PerAgent": perAgent, "PerCall": {}} {
		s := stage(t, errSick, errGone, func(b *builder) {
			b.Retry(retry).Degrade(strategies.LevelEmergency, plays("", "", "no key today"))
		})
		asked(t, s.guarded, "no key today")
		expect(t, name+": count after a failed retry and a degradation", s.Failures("keeper"), 1)
		asked(t, s.guarded, "no key today")
		expect(t, name+": count after another", s.Failures("keeper"), 2)
		s.narrator.turn("a tale", errGone)
		asked(t, s.guarded, "a tale")
		expect(t, name+": count after a recovery by fallback", s.Failures("keeper"), 0)

		asked(t, s.guarded, "no key today")
		expect(t, name+": count again", s.Failures("keeper"), 1)
		s.keeper.turn("a key")
		asked(t, s.guarded, "a key")
		expect(t, name+": count after a success", s.Failures("keeper"), 0)
		s.keeper.turn(errSick, "a key")
		asked(t, s.guarded, "a key")
		expect(t, name+": count after a recovery by retry", s.Failures("keeper"), 0)
	}
}

func parityUnrecoverable(t *testing.T) {
	broken := &strategies.AgentError{Agent: "keeper", Err: errors.New("the module is corrupt")}
	for name, err := range map[string]error{"itself": broken, "wrapped": fmt.Errorf("loading: %w", broken)} {
		rung := plays("", "", "no key today")
		s := stage(t, err, "a tale", func(b *builder) { b.Retry(strategies.Retry{}).Degrade(strategies.LevelReduced, rung) })
		start := time.Now()
		re := failing(t, s.guarded)
		expect(t, name+": required", re.Strategy, strategies.StrategyUserIntervention)
		expect(t, name+": class", re.Class, strategies.ClassUnrecoverable)
		expect(t, name+": time", time.Since(start), 0)
		expect(t, name+": calls of keeper, narrator, rung", [3]int{s.keeper.called(), s.narrator.called(), rung.called()}, [3]int{1, 0, 0})
		for _, part := range []string{`agent "keeper"`, "the module is corrupt", "user_intervention required"} {
			expect(t, name+": message has "+part, strings.Contains(re.Error(), part), true)
		}
		expect(t, name+": the error within reach", errors.Is(re, broken), true)
	}
}

// providerError is an API error as the SDKs shape it.
type providerError struct{ StatusCode int }

func (e *providerError) Error() string { return fmt.Sprintf("provider says %d", e.StatusCode) }

func parityRecoverable(t *testing.T) {
	for name, err := range map[string]error{
		"timeout":                context.DeadlineExceeded,
		"net timeout":            os.ErrDeadlineExceeded,
		"connection refused":     &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
		"connection reset":       &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET},
		"network":                &net.DNSError{Err: "no such host", Name: "model.example"},
		"cut off answer":         io.ErrUnexpectedEOF,
		"API":                    &providerError{500},
		"API unavailable":        &providerError{503},
		"API overloaded":         &providerError{529},
		"rate":                   &providerError{429},
		"recoverable AgentError": &strategies.AgentError{Agent: "keeper", Recoverable: true, Err: errSick},
		"any other":              errSick,
	} {
		s := stage(t, err, "a tale", retries(perAgent))
		o := s.guarded.Outcome(t.Context(), "hello")
		expect(t, name+": calls", s.keeper.called(), 2)
		expect(t, name+": on to fallback", o.Value, "a tale")
		s.keeper.turn(err, "a key")
		o = s.guarded.Outcome(t.Context(), "hello")
		expect(t, name+": recovered by", o.Strategy, strategies.StrategyRetry)
	}
}

func parityTable(t *testing.T) {
	for role, want := range map[roles.Role]string{
		roles.ModuleKeeper: "fallback by narrator", roles.Consistency: "fallback by archivist",
		roles.Narrator: "degradation by ", roles.Archivist: "degradation by ",
	} {
		c := company(t, roles.GameMaster(), bare)
		others := map[string]roles.Role{"keeper": roles.ModuleKeeper, "consistency": roles.Consistency, "narrator": roles.Narrator, "archivist": roles.Archivist}
		var sick *guarded
		for name, r := range others {
			if r == role {
				sick = register(t, c, plays(name, r, errSick))
			} else {
				register(t, c, plays(name, r, "an answer"))
			}
		}
		o := sick.Outcome(t.Context(), "hello")
		expect(t, string(role), fmt.Sprintf("%s by %s", o.Strategy, o.ServedBy), want)
		expect(t, string(role)+" among its own stand-ins", slices.Contains(c.StandIns(sick.Name()), sick.Name()), false)
	}
	_, err := roles.NewCast[string, string](roles.Understudies{roles.Narrator: {roles.Narrator}}, nil)
	expect(t, "a table in which one stands in for itself is refused", errors.Is(err, strategies.ErrConfig), true)
}

func parityFirstRegistered(t *testing.T) {
	s := stage(t, errSick, "a tale", bareBuilder)
	for _, late := range []string{"another", "and another", "aaa"} {
		register(t, s.cast, plays(late, roles.Narrator, "another tale"))
	}
	asked(t, s.guarded, "a tale")
	expect(t, "stand-ins", s.StandIns("keeper"), []string{"narrator"})
}

func bareBuilder(*builder) {}

func parityStandInFails(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := stage(t, errSick, errGone, func(b *builder) {
		b.Degrade(strategies.LevelReduced, plays("", "", "a hint")).Observe(zaplog.New(zap.New(core)))
	})
	o := s.guarded.Outcome(t.Context(), "hello")
	expect(t, "answer", fmt.Sprint(o.Value, ", ", o.Strategy), "a hint, degradation")
	lines := logs.FilterMessage("stand_in_failed").All()
	expect(t, "lines", len(lines), 1)
	expect(t, "level", lines[0].Level, zap.WarnLevel)
	fields := lines[0].ContextMap()
	expect(t, "fields", fmt.Sprint(fields["agent"], " ", fields["served_by"], ": ", fields["error"]), "keeper narrator: the stand-in is gone")
}

func parityExhausted(t *testing.T) {
	for name, recipe := range map[string]func(*builder){
		"no rung": func(b *builder) { b.Retry(strategies.Retry{MaxRetries: 1}) },
		"all the rungs fail": func(b *builder) {
			b.Retry(strategies.Retry{MaxRetries: 1}).Degrade(strategies.LevelReduced, plays("", "", errSick))
		},
	} {
		s := stage(t, errSick, errGone, recipe)
		re := failing(t, s.guarded)
		expect(t, name, re.Strategy, strategies.StrategyDegradation)
		expect(t, name+": the causes within reach", errors.Is(re, errSick) && errors.Is(re, errGone), true)
		expect(t, name+": the message names the agent", strings.Contains(re.Error(), `agent "keeper"`), true)
		expect(t, name+": it says that a rung is missed", strings.Contains(re.Error(), "degradation required"), re.Reduced > 0)
	}
	s := stage(t, errSick, errGone, func(b *builder) {
		b.Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			return strategies.Decision{Action: strategies.ActionAbort, By: "the director", Reason: "curtain"}, nil
		})})
	})
	re := failing(t, s.guarded)
	expect(t, "a person was needed", re.Strategy, strategies.StrategyUserIntervention)
	expect(t, "who says why", strings.Contains(re.Error(), "aborted by the director: curtain"), true)
}

func parityResult(t *testing.T) {
	type outcome = middleware.Outcome[string]
	rung := func(b *builder) {
		b.Retry(strategies.Retry{MaxRetries: 1}).Degrade(strategies.LevelMinimal, plays("", "", "a hint"))
	}
	for name, tc := range map[string]struct {
		keeper, narrator any
		recipe           func(*builder)
		want             outcome
	}{
		"nothing to recover": {"a key", "a tale", rung, outcome{Value: "a key", ServedBy: "keeper", Attempts: 1}},
		"fallback":           {errSick, "a tale", rung, outcome{Value: "a tale", Strategy: strategies.StrategyFallback, ServedBy: "narrator", Attempts: 3, Elapsed: time.Second}},
		"degradation":        {errSick, errGone, rung, outcome{Value: "a hint", Strategy: strategies.StrategyDegradation, ServedBy: "minimal answer", Level: strategies.LevelMinimal, Attempts: 4, Elapsed: time.Second}},
		"failure":            {errSick, errGone, bareBuilder, outcome{Strategy: strategies.StrategyDegradation, Attempts: 2}},
	} {
		got := stage(t, tc.keeper, tc.narrator, tc.recipe).guarded.Outcome(t.Context(), "hello")
		expect(t, name+": success", got.Err == nil, tc.want.Value != "")
		expect(t, name+": usage", got.Usage.Calls, tc.want.Attempts)
		got.Err, got.Failed, got.Usage = nil, nil, strategies.Usage{} // the origin told neither what had failed before nor what it cost
		expect(t, name, got, tc.want)
	}
	s := stage(t, errSick, "a tale", rung)
	s.keeper.turn(errSick, "a key")
	retried := s.guarded.Outcome(t.Context(), "hello")
	retried.Failed, retried.Usage = nil, strategies.Usage{}
	expect(t, "retry", retried, outcome{Value: "a key", Strategy: strategies.StrategyRetry, ServedBy: "keeper", Attempts: 2, Elapsed: time.Second})
	var names []string
	for way := strategies.StrategyNone; way <= strategies.StrategyUserIntervention; way++ {
		names = append(names, way.String())
	}
	expect(t, "strategies by name", names, []string{"none", "retry", "fallback", "degradation", "user_intervention"})
}

func parityLevels(t *testing.T) {
	expect(t, "levels", fmt.Sprint(strategies.Levels()), "[full reduced minimal emergency]")
	ladder := &strategies.Ladder{Actions: map[strategies.Level][]string{strategies.LevelMinimal: {"look", "talk"}, strategies.LevelEmergency: {}}}
	s := stage(t, errSick, errGone, func(b *builder) {
		b.Ladder(ladder).Degrade(strategies.LevelReduced, plays("", "", "a hint", errSick)).Degrade(strategies.LevelMinimal, plays("", "", "a word"))
	})
	allowed := func() (could []string) {
		return slices.DeleteFunc([]string{"look", "talk", "fight"}, func(a string) bool { return !ladder.Allows(a) })
	}
	expect(t, "allowed in full", allowed(), []string{"look", "talk", "fight"})
	asked(t, s.guarded, "a hint")
	expect(t, "level", ladder.Level(), strategies.LevelReduced)
	asked(t, s.guarded, "a word")
	expect(t, "level", s.guarded.Health().Level, strategies.LevelMinimal)
	expect(t, "allowed at minimal", allowed(), []string{"look", "talk"})

	s.keeper.turn("a key")
	asked(t, s.guarded, "a key") // one success lifts nothing
	expect(t, "up by itself", ladder.Degrade(strategies.LevelReduced, "weather"), false)
	expect(t, "level", ladder.Level(), strategies.LevelMinimal)
	expect(t, "down", ladder.Degrade(strategies.LevelEmergency, "fire"), true)
	expect(t, "allowed in an emergency", len(allowed()), 0)

	var reasons []string
	for _, r := range ladder.Reasons() {
		reasons = append(reasons, fmt.Sprintf("%s: %s", r.Level, r.Text))
	}
	expect(t, "reasons", reasons, []string{
		`reduced: agent "keeper": transient`, `minimal: agent "keeper": transient`, "reduced: weather", "emergency: fire",
	})
	expect(t, "restored", ladder.Restore(strategies.LevelFull), true)
	expect(t, "level", ladder.Level(), strategies.LevelFull)
	expect(t, "reasons", len(ladder.Reasons()), 0)
	expect(t, "down again", ladder.Degrade(strategies.LevelEmergency, "fire") && ladder.Level() == strategies.LevelEmergency, true)
}

func parityLog(t *testing.T) {
	broken := &strategies.AgentError{Agent: "keeper", Err: errSick}
	rung := func(b *builder) { b.Degrade(strategies.LevelReduced, plays("", "", "a hint")) }
	for name, tc := range map[string]struct {
		keeper, narrator any
		more             func(*builder)
		want             []string
	}{
		"all goes well": {"a key", "a tale", bareBuilder, nil},
		"fallback": {errSick, "a tale", bareBuilder, []string{
			"warn attempt_failed", "info retry_scheduled 1s", "warn attempt_failed", "warn retries_ended", "info stand_in_called", "info recovered fallback"}},
		"degradation": {errSick, errGone, rung, []string{
			"warn attempt_failed", "info retry_scheduled 1s", "warn attempt_failed", "warn retries_ended", "info stand_in_called", "warn stand_in_failed", "warn recovered degradation"}},
		"all exhausted": {errSick, errGone, bareBuilder, []string{
			"warn attempt_failed", "info retry_scheduled 1s", "warn attempt_failed", "warn retries_ended", "info stand_in_called", "warn stand_in_failed", "error failed degradation"}},
		"unrecoverable": {broken, "a tale", rung, []string{
			"error attempt_failed", "warn retries_ended", "error failed user_intervention"}},
	} {
		core, logs := observer.New(zap.DebugLevel)
		s := stage(t, tc.keeper, tc.narrator, func(b *builder) {
			tc.more(b)
			b.Retry(perAgent).Observe(zaplog.New(zap.New(core)))
		})
		_, _ = s.guarded.Run(t.Context(), "hello")
		var lines []string
		for _, l := range logs.All() {
			fields := l.ContextMap()
			expect(t, name+": agent", fields["agent"], any("keeper"))
			line := fmt.Sprint(l.Level, " ", l.Message)
			for _, key := range []string{"strategy", "delay"} {
				if v, ok := fields[key]; ok {
					line += fmt.Sprint(" ", v)
				}
			}
			lines = append(lines, line)
		}
		expect(t, name, lines, tc.want)
	}
}
