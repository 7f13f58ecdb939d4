package main

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// A play is a session under way.
type play struct {
	page *page
	cast *roles.Cast[scene, string]
	beat time.Duration // between two turns, to read
	told []exchange
	book ledger
}

// remembered is how many exchanges an agent is told of.
const remembered = 6

// perform plays all turns. The error is the end of ctx, or says how many turns nobody answered.
func (p *play) perform(ctx context.Context, turns []turn) error {
	n := 0
	for i, t := range turns {
		if i > 0 {
			if err := sleep(ctx, p.beat); err != nil {
				return err
			}
		}
		var err error
		if t.intermission {
			err = p.intermission(ctx)
		} else {
			n++
			err = p.turn(ctx, n, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *play) turn(ctx context.Context, n int, t turn) error {
	p.page.println("", "")
	p.page.text(bold, fmt.Sprintf("%2d  ", n), t.line)
	agent, ok := p.cast.Agent(t.agent)
	if !ok {
		return fmt.Errorf("nobody in the cast is called %q", t.agent)
	}
	before := p.told[max(0, len(p.told)-remembered):]
	o := agent.Outcome(ctx, scene{line: t.line, before: before})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.Err == nil {
		p.page.text("", "    ", o.Value)
		p.told = append(p.told, exchange{t.line, o.Value})
	} else {
		p.page.text("", "    ", "(Nobody answers: "+verdict(o.Err)+".)")
	}
	p.page.println(strategyColours[o.Strategy], provenance(t.agent, o))
	p.book.add(t.agent, o)
	return nil
}

// provenance is the line that says where an answer came from.
func provenance(asked string, o middleware.Outcome[string]) string {
	who, strategy := asked, o.Strategy.String()
	switch {
	case o.Err != nil:
		who, strategy = asked+" -> nobody", "none"
	case o.ServedBy != asked:
		who = asked + " -> " + o.ServedBy
	}
	return fmt.Sprintf("    %-30s %-18s%-13s%-9s%5s", who, strategy, plural(o.Attempts, "attempt"), o.Level, seconds(o.Elapsed))
}

func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// intermission waits until the circuit breakers that have opened let a call through.
func (p *play) intermission(ctx context.Context) error {
	var wait time.Duration
	who := "Nobody is ill"
	for _, h := range p.cast.Health() {
		if h.Breaker == strategies.StateOpen && h.RetryAfter > wait {
			wait = h.RetryAfter
			who = fmt.Sprintf("The circuit breaker of %s lets a call through again in %s", h.Agent, seconds(wait))
		}
	}
	p.page.println("", "")
	p.page.text(grey, "    ", "-- Intermission. "+who+". --")
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
