package strategies_test

import (
	"context"
	"errors"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

func TestDecision(t *testing.T) {
	t.Run("it aborts when it is zero: silence approves nothing", func(t *testing.T) {
		if d := (strategies.Decision{}); d.Action != strategies.ActionAbort {
			t.Errorf("the zero decision is %v", d.Action)
		}
	})
}

func TestIncident(t *testing.T) {
	t.Run("it is described in a line", func(t *testing.T) {
		i := strategies.Incident{ID: "i7", Agent: "narrator", Err: &strategies.RecoveryError{
			Agent: "narrator", Class: strategies.ClassTransient, Strategy: strategies.StrategyUserIntervention,
			Attempts: []strategies.Attempt{{Agent: "narrator", Class: strategies.ClassTransient, Err: errBoom}},
		}}
		want := `i7: agent "narrator" failed (transient): understudy: agent "narrator" failed (transient) after 1 attempt; user_intervention required: narrator: boom`
		if got := i.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestIntervenorFunc(t *testing.T) {
	t.Run("it hands everything through", func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "here")
		var ask strategies.Intervenor = strategies.IntervenorFunc(func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
			return strategies.Decision{Action: strategies.ActionUseAgent, Agent: i.Agents[0], By: ctx.Value(key{}).(string)}, errBoom
		})
		got, err := ask.Decide(ctx, strategies.Incident{Agents: []string{"archivist"}})
		if want := (strategies.Decision{Action: strategies.ActionUseAgent, Agent: "archivist", By: "here"}); got != want || !errors.Is(err, errBoom) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
