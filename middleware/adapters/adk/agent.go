package adk

import (
	"context"
	"errors"
	"iter"
	"slices"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/workflow"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// TurnAgent lets one agent of the framework take a turn.
type TurnAgent struct {
	agent  agent.Agent
	accept []string
}

// Agent makes an agent of the framework one that can be wrapped, or stand in:
// its stream is the events of a turn. The builder refuses that of a nil agent.
func Agent(a agent.Agent) *TurnAgent {
	if a == nil {
		return nil
	}
	return &TurnAgent{agent: a}
}

// Accept returns an agent whose events are taken although they ended for such a
// reason. What its model's own chain accepts has to be accepted here too.
func (t *TurnAgent) Accept(reasons ...genai.FinishReason) *TurnAgent {
	if t == nil {
		return nil
	}
	return &TurnAgent{t.agent, slices.Concat(t.accept, names(reasons))}
}

// Stream lets the agent take the turn, once. An event that is no whole answer, by
// its error code or its finish reason, is a [strategies.AnswerError] if it comes
// before anything else, or if it calls a tool, which is then not run. Others are
// left to the reader.
func (t *TurnAgent) Stream(ctx context.Context, turn agent.InvocationContext) iter.Seq2[*session.Event, error] {
	return func(yield func(*session.Event, error) bool) {
		acted := false
		ctx, report := middleware.Spending(ctx)
		cost := spent{}
		defer func() { report(cost.total()) }()
		for event, err := range t.agent.Run(turn.WithContext(ctx)) {
			if err != nil {
				if errors.Is(err, workflow.ErrNodeInterrupted) || errors.Is(err, tool.ErrConfirmationRequired) {
					err = &pause{err}
				}
				yield(nil, err)
				return
			}
			if event == nil {
				continue
			}
			if cost.hear(&event.LLMResponse); !event.Partial {
				cost.next() // a turn may ask its model often
			}
			if !acted || len(callsOf(&event.LLMResponse)) > 0 {
				if e := t.judge(&event.LLMResponse); e != nil {
					yield(nil, e)
					return
				}
			}
			acted = acted || Acts(event)
			if !yield(event, nil) {
				return
			}
		}
	}
}

func (t *TurnAgent) judge(r *model.LLMResponse) error {
	reason := reasonOf(r)
	if reason == "" || accepts(t.accept, reason) {
		return nil
	}
	if class := classOf(r, reason, false); class != strategies.ClassUnclassified || r.ErrorCode != "" {
		return refuse(reason, class, r)
	}
	return nil
}

// pause is an error by which the framework waits for a person.
type pause struct{ err error }

func (p *pause) Error() string { return p.err.Error() }

func (p *pause) Unwrap() error { return p.err }

func (p *pause) RecoveryClass() strategies.Class { return strategies.ClassInterrupt }

// Acts is for Commit: it says whether an event says or does something: text, a
// call of a tool, a change of state, a question for a person, a transfer. The
// framework asks for a tool in an event before it runs it, so that nothing has
// been done before the first event that acts.
func Acts(event *session.Event) bool {
	if event == nil {
		return false
	}
	do := event.Actions
	return speaks(&event.LLMResponse, false) || event.RequestedInput != nil || event.Output != nil || len(event.LongRunningToolIDs) > 0 ||
		len(event.Routes) > 0 || len(do.StateDelta) > 0 || len(do.ArtifactDelta) > 0 || len(do.RequestedToolConfirmations) > 0 ||
		do.TransferToAgent != "" || do.Escalate
}

// NewAgent returns an agent by role: it has the name and the description of the
// config, and guarded takes its turns, the chain around one of the config's
// SubAgents with the others as stand-ins. The next is tried for as long as no
// event has been seen that [Acts].
func NewAgent(config agent.Config, guarded middleware.Streamer[agent.InvocationContext, *session.Event]) (agent.Agent, error) {
	switch {
	case guarded == nil:
		return nil, &strategies.ConfigError{Setting: "NewAgent", Problem: "has no chain", Fix: "build one: middleware.WrapStream(adk.Agent(lead)).Commit(adk.Acts).Build()"}
	case config.Run != nil:
		return nil, &strategies.ConfigError{Setting: "NewAgent Config.Run", Problem: "is set", Fix: "leave it out: the chain runs"}
	case len(config.SubAgents) == 0:
		return nil, &strategies.ConfigError{Setting: "NewAgent Config.SubAgents", Problem: "is empty", Fix: "name the agents of the chain, so that the framework knows them"}
	}
	config.Run = func(turn agent.InvocationContext) iter.Seq2[*session.Event, error] {
		return func(yield func(*session.Event, error) bool) {
			for event, err := range guarded.Stream(turn, turn) {
				if p, ok := errors.AsType[*pause](err); ok {
					err = p.err // as the agent itself would have given it
				}
				if !yield(event, err) {
					return
				}
			}
		}
	}
	return agent.New(config)
}
