package main

import (
	"context"
	"errors"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// The company, in the order in which it is registered and listed.
const (
	narrator    = "narrator"
	archivist   = "archivist"
	keeper      = "keeper"
	consistency = "consistency"
)

var company = []string{narrator, archivist, keeper, consistency}

var parts = map[string]struct {
	role   roles.Role
	prompt string
}{
	narrator:    {roles.Narrator, "You narrate a fantasy game in a riverside tavern: what the players see and hear. " + manner},
	archivist:   {roles.Archivist, "You keep the chronicles of a fantasy game: what was written down long ago. " + manner},
	keeper:      {roles.ModuleKeeper, "You know the rooms, traps and secrets of the adventure module of a fantasy game. " + manner},
	consistency: {roles.Consistency, "You rule whether a claim agrees with what happened so far in a fantasy game. " + manner},
}

const manner = "Answer in two or three sentences, in the present tense, without lists."

// timing is every delay of the chain, for one pace of the demo.
type timing struct {
	pace    float64
	attempt time.Duration
	openFor time.Duration
}

func timingOf(pace float64) timing {
	t := timing{pace: pace}
	// However fast the play, a healthy answer must not look slow, nor a breaker that has
	// opened be half-open again in the next line.
	t.attempt = max(t.scale(20*time.Second), time.Second)
	t.openFor = max(t.scale(30*time.Second), 2*time.Second)
	return t
}

// scale turns a delay of real life into one of the demo.
func (t timing) scale(d time.Duration) time.Duration { return time.Duration(float64(d) * t.pace) }

// newCast registers the four agents of the game master's table. All get the same layers, but
// for one: a ruling must not be made up, so there is no reduced answer in the place of the
// consistency agent, and what nobody can judge is put before the game master.
func newCast(client openai.Client, model func(agent string) string, t timing, master middleware.Intervention, watch middleware.Observer, more ...roles.Recipe[scene, string]) (*roles.Cast[scene, string], error) {
	recipe := func(b *middleware.Builder[scene, string], agent roles.Agent[scene, string]) {
		b.Retry(strategies.Retry{Backoff: strategies.Delays{t.scale(1 * time.Second), t.scale(2 * time.Second), t.scale(4 * time.Second)}}).
			CircuitBreaker(&strategies.Breaker{OpenFor: t.openFor, NoJitter: true}).
			Timeout(t.attempt).
			Intervene(master).
			Observe(watch)
		if agent.Role() != roles.Consistency {
			b.Degrade(strategies.LevelReduced, middleware.Func(promptBook(agent.Name()))).
				Degrade(strategies.LevelMinimal, middleware.Func(shrug(agent.Name())))
		}
		for _, add := range more {
			add(b, agent)
		}
	}
	cast, err := roles.NewCast(roles.GameMaster(), recipe)
	if err != nil {
		return nil, err
	}
	for _, name := range company {
		a := &agent{client: client, model: model(name), prompt: parts[name].prompt}
		if _, err := cast.Register(roles.As(name, parts[name].role, a)); err != nil {
			return nil, err
		}
	}
	return cast, nil
}

type actor = func(context.Context, scene) (string, error)

// promptBook reads what is written down for a scene. It fails where nothing is.
func promptBook(agent string) actor {
	return func(_ context.Context, s scene) (string, error) {
		if text, ok := find(prompts, agent, s.line); ok {
			return text, nil
		}
		return "", errors.New("the prompt book has nothing for this scene")
	}
}

// shrug is the least that is still an answer.
func shrug(agent string) actor {
	return func(context.Context, scene) (string, error) {
		return map[string]string{
			narrator:  "(The tavern waits. Nobody moves yet.)",
			archivist: "(The archive is closed tonight.)",
			keeper:    "(The page is stuck to the next one.)",
		}[agent], nil
	}
}

// scripted is the game master who sits at the table when nobody is asked at the terminal.
func scripted(pause time.Duration) strategies.Intervenor {
	return strategies.IntervenorFunc(func(ctx context.Context, incident strategies.Incident) (strategies.Decision, error) {
		select {
		case <-time.After(pause): // to think
		case <-ctx.Done():
			return strategies.Decision{}, context.Cause(ctx)
		}
		ruling := "I rule that it is so, and that it costs you an hour of the night."
		if s, ok := incident.Request.(scene); ok {
			if text, ok := find(rulings, incident.Agent, s.line); ok {
				ruling = text
			}
		}
		return strategies.Decision{Action: strategies.ActionAnswer, Value: ruling, By: "game master"}, nil
	})
}
