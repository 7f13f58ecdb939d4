package main

import (
	"fmt"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// A ledger is what is counted in the course of a play.
type ledger struct {
	turns, nobody int
	strategies    map[strategies.Strategy]int
	agents        map[string]*entry
}

type entry struct {
	turns, attempts int
	by              map[strategies.Strategy]int
}

func (l *ledger) add(agent string, o middleware.Outcome[string]) {
	if l.strategies == nil {
		l.strategies, l.agents = map[strategies.Strategy]int{}, map[string]*entry{}
	}
	e := l.agents[agent]
	if e == nil {
		e = &entry{by: map[strategies.Strategy]int{}}
		l.agents[agent] = e
	}
	l.turns++
	e.turns++
	e.attempts += o.Attempts
	if o.Err != nil {
		l.nobody++
		return
	}
	l.strategies[o.Strategy]++
	e.by[o.Strategy]++
}

var meanings = []struct {
	strategy strategies.Strategy
	meaning  string
}{
	{strategies.StrategyNone, "the agent answered at once"},
	{strategies.StrategyRetry, "it was asked again, and answered"},
	{strategies.StrategyFallback, "somebody else played its part"},
	{strategies.StrategyDegradation, "less of an answer, and marked as such"},
	{strategies.StrategyUserIntervention, "a person decided"},
}

// summary prints what the night has come to.
func (p *page) summary(l *ledger, cast *roles.Cast[scene, string]) {
	p.heading("How the " + plural(l.turns, "line") + " were answered")
	for _, m := range meanings {
		p.println(strategyColours[m.strategy], fmt.Sprintf("    %-18s %3d   %s", m.strategy, l.strategies[m.strategy], m.meaning))
	}
	if l.nobody > 0 {
		p.println(pink, fmt.Sprintf("    %-18s %3d   the player got an error", "not at all", l.nobody))
	}

	p.heading("Who was asked")
	p.println(grey, fmt.Sprintf("    %-12s %5s %9s %6s %6s %9s %8s %9s", "agent", "turns", "at once", "retry", "other", "degraded", "person", "attempts"))
	for _, name := range cast.Names() {
		if e := l.agents[name]; e != nil {
			p.println("", fmt.Sprintf("    %-12s %5d %9d %6d %6d %9d %8d %9d", name, e.turns, e.by[strategies.StrategyNone],
				e.by[strategies.StrategyRetry], e.by[strategies.StrategyFallback], e.by[strategies.StrategyDegradation], e.by[strategies.StrategyUserIntervention], e.attempts))
		}
	}

	p.heading("Their health at the end: cast.Health()")
	p.println(grey, fmt.Sprintf("    %-12s %-15s %-10s %9s   %-8s %s", "agent", "role", "breaker", "failures", "retries", "last failure"))
	for _, h := range cast.Health() {
		retries := "ready"
		if h.Spent {
			retries = "spent"
		}
		last := "none"
		if h.LastClass != strategies.ClassUnclassified {
			last = h.LastClass.String()
		}
		p.println("", fmt.Sprintf("    %-12s %-15s %-10s %9d   %-8s %s", h.Agent, h.Role, h.Breaker, h.Failures, retries, last))
	}

	if agent, ok := cast.Agent(keeper); ok {
		p.heading("What a call of the keeper does, at worst: Explain()")
		for _, line := range fold(agent.Explain().String(), 35) {
			p.println("", line)
		}
	}
}
