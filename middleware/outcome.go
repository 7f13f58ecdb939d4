package middleware

import (
	"context"
	"encoding/json"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Outcome is an answer with its provenance.
type Outcome[Resp any] struct {
	// Value is the answer; the zero value if Err is not nil.
	Value Resp
	// Strategy is how the call was recovered; [strategies.StrategyNone] if the
	// agent answered at once. With Err it is the strategy that is required now.
	Strategy strategies.Strategy
	// ServedBy is who answered: the agent, a stand-in, a rung ("reduced
	// answer") or a person. "" with Err.
	ServedBy string
	// Level says how much of an answer it is: only [strategies.LevelFull] is one.
	Level strategies.Level
	// Attempts is the number of calls made, or refused by a layer.
	Attempts int
	// Failed is what went wrong before the call was answered after all: each failed
	// attempt, in order. With Err they are in that.
	Failed []strategies.Attempt
	// Effects is what the tools of the call did, in order, if it writes that down:
	// done, given back, refused, uncertain, undone. See [Builder.Effects].
	Effects []strategies.EffectRecord
	// Usage is what the call has cost so far, in all its layers and nested agents: calls
	// by themselves, tokens and money as far as somebody reports them, see [Call.Spent].
	// A call that several share counts for the one who began it.
	Usage strategies.Usage
	// Late says that the answer came after its timeout and was kept.
	Late    bool
	Elapsed time.Duration
	Err     error
}

// MarshalJSON writes words for numbers, and the error as its text, redacted.
func (o Outcome[Resp]) MarshalJSON() ([]byte, error) {
	type plain Outcome[Resp]
	return json.Marshal(struct {
		plain
		Elapsed string
		Err     string `json:",omitempty"`
	}{plain(o), o.Elapsed.String(), strategies.Redact(errtree.Text(o.Err))})
}

// Outcome is Run with provenance: who answered, how, at what level, after how
// many attempts. It adds at most two allocations to a call.
func (g *Guarded[Req, Resp]) Outcome(ctx context.Context, req Req) Outcome[Resp] {
	if !g.usable(ctx) {
		return Outcome[Resp]{Err: g.problem("Outcome", ctx)}
	}
	n := g.now.Load()
	if n.keys != nil {
		at, own, err := n.keys.enter(req)
		if err != nil {
			return Outcome[Resp]{Err: n.owner.publish(ctx, err)}
		}
		defer at.Leave()
		n, ctx = own, allowed(ctx, at)
	}
	traced := n.owner.traced(ctx)
	traced.measure()
	value, err := n.chain.Run(&traced.call, req)
	p := traced.settle(err)
	return Outcome[Resp]{
		Value: value, Strategy: p.strategy, ServedBy: p.servedBy, Level: p.level,
		Attempts: p.attempts, Failed: p.failed, Effects: p.effects, Usage: traced.usage.total(), Late: p.late, Elapsed: time.Since(traced.start), Err: err,
	}
}

// tracedCall is a call whose caller wants its provenance, in one piece.
type tracedCall struct {
	call
	provenance
	start time.Time
	usage meter // of an outcome; else of nobody
}

func (o *Owner) traced(ctx context.Context) *tracedCall {
	t := &tracedCall{}
	t.begin(ctx, o, nil, true)
	return t
}

// begin makes the call; asked says whether somebody wants its provenance.
func (t *tracedCall) begin(ctx context.Context, o *Owner, stream *streamSide, asked bool) {
	up := callOf(ctx)
	t.call = call{Context: ctx, owner: o, up: up, stream: stream}
	if up != nil {
		t.call.tree, t.call.level, t.call.job, t.call.meter = up.tree, up.level, up.job, up.meter
	}
	if asked {
		t.start = time.Now()
		t.provenance.servedBy, t.provenance.attempts = o.name(), 1
		t.call.out = &t.provenance
	}
}

// measure lets the call be measured by itself.
func (t *tracedCall) measure() {
	t.usage.begin(t.call.meter, t.call.owner, strategies.UsageLimits{})
	t.call.meter = &t.usage
}

// told is a provenance that nobody writes to any more.
type told struct {
	strategy strategies.Strategy
	servedBy string
	level    strategies.Level
	attempts int
	failed   []strategies.Attempt
	effects  []strategies.EffectRecord
	late     bool
}

func (t *tracedCall) settle(err error) told {
	p := &t.provenance
	p.mu.Lock()
	defer p.mu.Unlock()
	end := told{p.strategy, p.servedBy, p.level, p.attempts, p.failed, append(p.job.records(), p.others...), p.late}
	if err != nil {
		end.strategy, end.servedBy, end.failed = strategies.StrategyNone, "", nil
		if re, ok := err.(*strategies.RecoveryError); ok { //nolint:errorlint // made just now, by the edge
			end.strategy, end.attempts = re.Strategy, len(re.Attempts)
		}
	}
	return end
}
