package temporal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/temporal"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const (
	// QuestionsQuery is the query of a workflow that returns its open questions: a
	// []Question, the oldest first.
	QuestionsQuery = "understudy-questions"
	// DecisionSignal is the signal that decides one: a [Decision].
	DecisionSignal = "understudy-decision"
	// FailureType is the type of the application error of an agent that nobody could
	// recover. It is not retryable.
	FailureType = "understudy.RecoveryError"
)

// Question is what a person is asked. Its texts may be hostile: providers, users and
// agents wrote them.
type Question struct {
	ID       string    `json:"id"`
	Agent    string    `json:"agent"`
	Request  string    `json:"request,omitempty"` // as Ask.Show shows it
	Class    string    `json:"class"`
	Attempts []Attempt `json:"attempts,omitempty"`
	Agents   []string  `json:"agents,omitempty"` // that may be named
	Round    int       `json:"round"`
	Deadline time.Time `json:"deadline"`

	Ticket string           `json:"ticket"`
	Call   string           `json:"call"`
	Asked  int              `json:"asked"`
	Kind   strategies.Class `json:"kind"`
}

// Attempt is one that failed.
type Attempt struct {
	Agent string           `json:"agent"`
	Class strategies.Class `json:"class"`
	Error string           `json:"error"`
}

// Decision is what a person says about a question. Action is the word of a
// [strategies.Action]: "abort", "retry", "answer", "use agent".
type Decision struct {
	Question string          `json:"question"`
	Action   string          `json:"action"`
	Value    json.RawMessage `json:"value,omitempty"` // of an answer
	Agent    string          `json:"agent,omitempty"`
	By       string          `json:"by,omitempty"`
	Reason   string          `json:"reason,omitempty"`
}

// Ask is the [strategies.Parker] of a chain that runs as an activity of [New].
type Ask struct {
	// Show is what people see of a request, at most 4 KiB. nil: nothing.
	Show func(incident strategies.Incident) string
}

// Decide says that the chain must park its calls: an activity waits for nobody.
func (Ask) Decide(context.Context, strategies.Incident) (strategies.Decision, error) {
	return strategies.Decision{}, &strategies.ConfigError{Setting: "Intervene.Ask", Problem: "is a temporal.Ask, and the chain does not park its calls", Fix: "set Intervene.Park"}
}

const (
	maxShown    = 4 << 10
	maxText     = 500
	maxAttempts = 20
)

// Park hands the question to the activity that the call belongs to.
func (a Ask) Park(ctx context.Context, i strategies.Incident) (string, error) {
	slot, _ := ctx.Value(slotKey{}).(*slot)
	if slot == nil {
		return "", &strategies.ConfigError{Setting: "Intervene.Ask", Problem: "is a temporal.Ask outside of an activity of temporal.New", Fix: "run the agent by its Activity"}
	}
	q := &Question{ID: i.ID, Agent: i.Agent, Agents: i.Agents, Round: i.Round, Deadline: i.Deadline, Ticket: i.Ticket, Call: i.Call, Asked: slot.asked + 1}
	if q.Ticket == "" {
		q.Ticket = i.ID
	}
	if i.Err != nil {
		q.Class, q.Kind = i.Err.Class.String(), i.Err.Class
		for _, at := range i.Err.Attempts[max(len(i.Err.Attempts)-maxAttempts, 0):] {
			q.Attempts = append(q.Attempts, Attempt{Agent: at.Agent, Class: at.Class, Error: short(fmt.Sprint(at.Err), maxText)})
		}
	}
	if a.Show != nil {
		q.Request = short(a.Show(i), maxShown)
	}
	slot.question = q
	return q.Ticket, nil
}

func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// slot is where an activity finds the question that its call has asked.
type slot struct {
	asked    int
	question *Question
}

type slotKey struct{}

// Named is a [middleware.Runner] that has a name: a guarded agent is one.
type Named[Req, Resp any] interface {
	middleware.Runner[Req, Resp]
	Name() string
}

// Agent is an agent that workflows call. Make one with [New]; it is safe for concurrent
// use, and the same in workers and workflows.
type Agent[Req, Resp any] struct{ agent Named[Req, Resp] }

// New makes an agent that workflows call of a guarded one, whose chain parks its calls
// with an [Ask].
func New[Req, Resp any](agent Named[Req, Resp]) *Agent[Req, Resp] { return &Agent[Req, Resp]{agent} }

// Name is the name of the agent, under which its activity is to be registered.
func (a *Agent[Req, Resp]) Name() string { return a.agent.Name() }

// Step is the input of the activity: a request, and how to go on with it.
type Step[Req any] struct {
	Request  Req       `json:"request"`
	Call     string    `json:"call"`
	Question *Question `json:"question,omitempty"` // that has ended
	Decision *Decision `json:"decision,omitempty"` // nil: nobody decided in time
}

// Answer is its result: an answer, or a question.
type Answer[Resp any] struct {
	Value    Resp      `json:"value"`
	Question *Question `json:"question,omitempty"`
}

// Activity runs the agent, or goes on with a call of it. Register it under Name.
func (a *Agent[Req, Resp]) Activity(ctx context.Context, s Step[Req]) (Answer[Resp], error) {
	var none Answer[Resp]
	slot := &slot{}
	ctx = context.WithValue(ctx, slotKey{}, slot)
	if s.Question == nil {
		ctx = middleware.WithCallID(ctx, s.Call)
	} else {
		slot.asked = s.Question.Asked
		r, err := resumption[Resp](a.agent.Name(), s.Call, s.Question, s.Decision)
		if err != nil {
			return none, err
		}
		ctx = middleware.WithResumption(ctx, r)
	}
	resp, err := a.agent.Run(ctx, s.Request)
	switch {
	case err == nil:
		return Answer[Resp]{Value: resp}, nil
	case errors.Is(err, strategies.ErrPending) && slot.question != nil:
		return Answer[Resp]{Question: slot.question}, nil
	case ctx.Err() != nil:
		return none, err // Temporal's own end: it knows what to do
	}
	var failed *strategies.RecoveryError
	if errors.As(err, &failed) {
		return none, sdk.NewNonRetryableApplicationError(short(err.Error(), 4*maxText), FailureType, nil, failed.Class.String(), attempts(failed.Attempts))
	}
	activity.GetLogger(ctx).Warn("understudy: the agent failed without a recovery", "error", err)
	return none, err
}

func attempts(list []strategies.Attempt) (all []Attempt) {
	for _, at := range list[max(len(list)-maxAttempts, 0):] {
		all = append(all, Attempt{Agent: at.Agent, Class: at.Class, Error: short(fmt.Sprint(at.Err), maxText)})
	}
	return all
}

var errExpired = errors.New("the question has expired")

// kept is an error of which the text was kept.
type kept string

func (k kept) Error() string { return string(k) }

func resumption[Resp any](agent, call string, q *Question, d *Decision) (strategies.Resumption, error) {
	r := strategies.Resumption{Ticket: q.Ticket, Incident: q.ID, Call: call, Agent: agent, Round: q.Round, Asked: q.Asked, Class: q.Kind}
	for _, at := range q.Attempts {
		r.Attempts = append(r.Attempts, strategies.Attempt{Agent: at.Agent, Class: at.Class, Err: kept(at.Error)})
	}
	if d == nil {
		r.Err = errExpired
		return r, nil
	}
	decision, err := read[Resp](q, *d)
	if err != nil {
		return r, sdk.NewNonRetryableApplicationError(err.Error(), FailureType, nil)
	}
	r.Decision = decision
	return r, nil
}

// read makes a decision of what a signal said, and says what is wrong with it.
func read[Resp any](q *Question, d Decision) (strategies.Decision, error) {
	out := strategies.Decision{Agent: d.Agent, By: d.By, Reason: d.Reason}
	known := false
	for a := strategies.ActionAbort; a <= strategies.ActionUseAgent; a++ {
		if a.String() == d.Action {
			out.Action, known = a, true
		}
	}
	if !known {
		return out, fmt.Errorf("understudy: question %s: no action %q", q.ID, d.Action)
	}
	if out.Action == strategies.ActionAnswer {
		var value Resp
		if len(d.Value) == 0 || string(d.Value) == "null" {
			return out, fmt.Errorf("understudy: question %s: an answer of nothing", q.ID)
		}
		if err := json.Unmarshal(d.Value, &value); err != nil {
			return out, fmt.Errorf("understudy: question %s: an answer of another type: %w", q.ID, err)
		}
		out.Value = value
	}
	return out, strategies.Incident{ID: q.ID, Agents: q.Agents}.Check(out)
}
