package middleware_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func everything() *builder {
	return middleware.Wrap(plays("hi")).Named("bard").
		Retry(strategies.Retry{}).
		CircuitBreaker(&strategies.Breaker{}).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 8, MaxWait: time.Second}).
		Timeout(30*time.Second).
		Validate(longEnough).
		Fallback("sage", plays("hi")).
		FallbackFrom(func(context.Context) []standIn { return []standIn{{Name: "fool", Agent: plays("hi")}} }).
		Degrade(strategies.LevelMinimal, plays("sorry")).
		Degrade(strategies.LevelReduced, plays("so so")).
		Ladder(&strategies.Ladder{}).
		DeadlineReserving(2*time.Minute, time.Second).
		Intervene(asking(silent)).
		Observe(&diary{})
}

func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    *builder
		text string
	}{
		{"of an agent alone", middleware.Wrap(plays("hi")), `
agent: no recovery: a failure goes to the caller

  recover                          a panic becomes an error
    agent                          agent

worst case of one call: 1 call, no bound on time but the caller's
note: no Timeout: an attempt may take as long as the caller waits
note: no CircuitBreaker: an agent that is down is called every time
`},
		{"of everything", everything(), `
bard: retry, then fallback, then degradation, then user intervention

  observe                          1 observer
    intervene                      asks a person, up to 3 times, 5m0s each; silence: abort
      degrade                      then answers: reduced, minimal; climbs a level after 5 successes and 30s
        deadline                   2m0s for all agents together, and 1s before the caller's own
          fallback                 then asks: sage, fool
            retry                  3 retries, delays 1s, 2s, 4s
              breaker              opens after 5 failures in a row, for 30s growing to 2m0s
                bulkhead           8 at a time, waits 1s for a slot
                  timeout          30s an attempt
                    validate       a refused answer is retried at most twice
                      recover      a panic becomes an error
                        agent      bard

worst case of one call: 6 calls, 2 rungs, 3m0s; then 3 questions to a person
note: sage, fool: without a breaker; one call each is counted here; what they call in their turn cannot be known
`},
		{"of a hard timeout, and nobody found yet", middleware.Wrap(plays("hi")).HardTimeout(time.Second, 4).
			FallbackFrom(func(context.Context) []standIn { return nil }).Observe(&diary{}).Observe(&diary{}), `
agent: fallback

  observe                          2 observers
    fallback                       then asks: nobody yet
      timeout                      1s an attempt, on time even if the agent is deaf; at most 4 left behind
        recover                    a panic becomes an error
          agent                    agent

worst case of one call: 1 call, 1s
note: no CircuitBreaker: an agent that is down is called every time
`},
		{"of a hedge, a pace and limits", middleware.Wrap(plays("hi")).Timeout(time.Second).Hedge(&strategies.Hedge{After: time.Second / 2, ReadOnly: true}).
			Pace(&strategies.Pace{RequestsPerMinute: 60, MaxWait: 2 * time.Second}).CircuitBreaker(&strategies.Breaker{}).
			UsageLimits(strategies.UsageLimits{Calls: 20, Tokens: 50_000, Money: 500_000}), `
agent: no recovery: a failure goes to the caller

  observe                          at most 20 calls, 50000 tokens, 0.5 in money, nested agents included
    hedge                          after 500ms somebody else is asked too, for 5 % of the calls at most
      breaker                      opens after 5 failures in a row, for 30s growing to 2m0s
        pace                       60 calls a minute, waits up to 2s for a turn
          timeout                  1s an attempt
            recover                a panic becomes an error
              agent                agent

worst case of one call: 2 calls, 6s; nothing begins after 20 calls, 50000 tokens, 0.5 in money
note: tokens and money count when they are reported (adapters do): what is under way when they run out may go above the limit
`},
		{"of retries counted per agent and a window", middleware.Wrap(plays("hi")).Timeout(time.Second).
			Retry(strategies.Retry{Allowance: strategies.AllowancePerAgent, Jitter: 0.25}).
			CircuitBreaker(&strategies.Breaker{Window: time.Minute, MaxOpenFor: time.Hour}), `
agent: retry

  retry                            1 retry a call, until 3 failed calls, delays 1s, 2s, 4s, up to +25% jitter
    breaker                        opens at 50% failures of at least 10 calls in 1m0s, for 30s growing to 1h0m0s
      timeout                      1s an attempt
        recover                    a panic becomes an error
          agent                    agent

worst case of one call: 2 calls, 7s (1m17s if providers ask for the longest waits)
`},
		{"of what is likely to be a mistake", mistaken(t), `
agent: retry, then fallback

  fallback                         then asks: twin, bold
    retry                          1 retry, delay 1s
      breaker                      opens after 5 failures in a row, for 30s growing to 2m0s
        timeout                    5ms an attempt
          recover                  a panic becomes an error
            agent                  agent

worst case of one call: 4 calls, no bound on time but the caller's
note: twin: shares the breaker of agent, so it is refused just when it is needed: give it one of its own
note: bold: no CircuitBreaker of its own: while it is down it is called every time
note: Timeout is 5ms: hardly an agent answers in less than 10ms; was another unit meant?
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, "text", "\n"+built(t, tc.b).Explain().String(), tc.text)
		})
	}
}

// mistaken is a chain that can be built, and that nobody wants.
func mistaken(t *testing.T) *builder {
	shared := &strategies.Breaker{}
	twin := built(t, middleware.Wrap(plays("hi")).Named("twin").CircuitBreaker(shared))
	bold := built(t, middleware.Wrap(plays("hi")).Named("bold"))
	return middleware.Wrap(plays("hi")).Retry(strategies.Retry{MaxRetries: 1}).CircuitBreaker(shared).Timeout(5*time.Millisecond).
		Fallback("twin", twin).Fallback("bold", bold)
}

func TestMermaid(t *testing.T) {
	expect(t, "chart", "\n"+built(t, everything()).Explain().Mermaid(), `
flowchart LR
  caller([caller]) --> observe
  observe["observe<br/>1 observer"] --> intervene
  intervene["intervene<br/>asks a person, up to 3 times, 5m0s each; silence: abort"] --> degrade
  degrade["degrade<br/>then answers: reduced, minimal; climbs a level after 5 successes and 30s"] --> deadline
  deadline["deadline<br/>2m0s for all agents together, and 1s before the caller's own"] --> fallback
  fallback["fallback<br/>then asks: sage, fool"] --> retry
  retry["retry<br/>3 retries, delays 1s, 2s, 4s"] --> breaker
  breaker["breaker<br/>opens after 5 failures in a row, for 30s growing to 2m0s"] --> bulkhead
  bulkhead["bulkhead<br/>8 at a time, waits 1s for a slot"] --> timeout
  timeout["timeout<br/>30s an attempt"] --> validate
  validate["validate<br/>a refused answer is retried at most twice"] --> recover
  recover["recover<br/>a panic becomes an error"] --> agent
  agent["agent<br/>bard"]
  intervene -. nothing helped .-> person([a person])
  degrade -. nobody could .-> rungs([reduced answers])
  fallback -. spent .-> standins([stand-ins])
`)
	t.Run("it keeps a name from ending its label", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays("hi")).Named("a \"b\"\n<c>"))
		expect(t, "chart", "\n"+g.Explain().Mermaid(), `
flowchart LR
  caller([caller]) --> recover
  recover["recover<br/>a panic becomes an error"] --> agent
  agent["agent<br/>a #quot;b#quot; #lt;c#gt;"]
`)
	})
}

func TestWorstCase(t *testing.T) {
	sec := time.Second
	retry := strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{sec, 2 * sec}, MaxRetryAfter: 10 * sec}
	for _, tc := range []struct {
		name    string
		b       *builder
		calls   int
		rungs   int
		asks    int
		bounded bool
		time    time.Duration
		hinted  time.Duration
	}{
		{"an agent alone", middleware.Wrap(plays("")), 1, 0, 0, false, 0, 0},
		{"a timeout", middleware.Wrap(plays("")).Timeout(sec), 1, 0, 0, true, sec, sec},
		{"a deadline", middleware.Wrap(plays("")).Deadline(sec), 1, 0, 0, true, sec, sec},
		{"a deadline with a rung that has no bound", middleware.Wrap(plays("")).Deadline(sec).Degrade(strategies.LevelMinimal, plays("")), 1, 1, 0, false, sec, sec},
		{"retries, and waits as long as providers may ask", middleware.Wrap(plays("")).Timeout(sec).Retry(retry), 3, 0, 0, true, 6 * sec, 23 * sec},
		{"jitter, in full", middleware.Wrap(plays("")).Timeout(sec).Retry(strategies.Retry{MaxRetries: 1, Jitter: 1, MaxRetryAfter: sec}), 2, 0, 0, true, 4 * sec, 4 * sec},
		{"a stand-in is called once", middleware.Wrap(plays("")).Timeout(sec).Retry(retry).Fallback("sage", plays("")), 4, 0, 0, true, 7 * sec, 24 * sec},
		{"a wait for a slot at each attempt", middleware.Wrap(plays("")).Timeout(sec).Retry(retry).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: sec}), 3, 0, 0, true, 9 * sec, 26 * sec},
		{"a deadline cuts it, and rungs come after it", middleware.Wrap(plays("")).Timeout(sec).Retry(retry).Deadline(4*sec).
			Degrade(strategies.LevelMinimal, plays("")).Degrade(strategies.LevelReduced, plays("")), 3, 2, 0, true, 6 * sec, 6 * sec},
		{"a guarded stand-in has its own bound", middleware.Wrap(plays("")).Timeout(sec).
			Fallback("sage", built(t, middleware.Wrap(plays("")).Timeout(5*sec).Retry(retry).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: sec}))),
			2, 0, 0, true, 7 * sec, 7 * sec},
		{"a guarded stand-in without a bound leaves none", middleware.Wrap(plays("")).Timeout(sec).Fallback("sage", built(t, middleware.Wrap(plays("")))), 2, 0, 0, false, 0, 0},
		{"but the deadline", middleware.Wrap(plays("")).Timeout(sec).Deadline(4*sec).Fallback("sage", built(t, middleware.Wrap(plays("")))), 2, 0, 0, true, 4 * sec, 4 * sec},
		{"which a guarded rung stands outside of", middleware.Wrap(plays("")).Timeout(sec).Deadline(4*sec).
			Degrade(strategies.LevelMinimal, built(t, middleware.Wrap(plays("")).Timeout(10*sec))), 1, 1, 0, true, 11 * sec, 11 * sec},
		{"with a bound or without", middleware.Wrap(plays("")).Timeout(sec).Degrade(strategies.LevelMinimal, built(t, middleware.Wrap(plays("")))), 1, 1, 0, false, sec, sec},
		{"a hedge asks the agent once more", middleware.Wrap(plays("")).Timeout(sec).Retry(retry).Hedge(&strategies.Hedge{ReadOnly: true}), 4, 0, 0, true, 7 * sec, 24 * sec},
		{"or a stand-in before its time", middleware.Wrap(plays("")).Timeout(sec).Retry(retry).Hedge(&strategies.Hedge{ReadOnly: true}).Fallback("sage", plays("")), 4, 0, 0, true, 7 * sec, 24 * sec},
		{"and no more than the limit of calls", middleware.Wrap(plays("")).Timeout(sec).Retry(retry).Hedge(&strategies.Hedge{ReadOnly: true}).UsageLimits(calls(3)), 3, 0, 0, true, 7 * sec, 24 * sec},
		{"questions", middleware.Wrap(plays("")).Timeout(sec).Intervene(middleware.Intervention{Ask: silent, Rounds: 2}), 1, 0, 2, true, sec, sec},
		{"more than can be counted", middleware.Wrap(plays("")).Timeout(math.MaxInt64).Retry(retry), 3, 0, 0, true, math.MaxInt64, math.MaxInt64},
		{"delays beyond counting", middleware.Wrap(plays("")).Timeout(sec).Retry(strategies.Retry{MaxRetries: 1000, Backoff: strategies.Delays{math.MaxInt64 / 2}}),
			1001, 0, 0, true, math.MaxInt64, math.MaxInt64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := built(t, tc.b).Explain()
			expect(t, "calls", e.Calls, tc.calls)
			expect(t, "rungs", e.Rungs, tc.rungs)
			expect(t, "questions", e.Questions, tc.asks)
			expect(t, "bounded", e.Bounded, tc.bounded)
			expect(t, "time", e.Time, tc.time)
			expect(t, "time, if asked to wait", e.TimeAsked, tc.hinted)
		})
	}
}
