package mcp

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const (
	methodCall = "tools/call"
	methodList = "tools/list"
)

// around is the sending middleware.
func (r *recovery) around(next sdk.MethodHandler) sdk.MethodHandler {
	r.next = next
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		session, ok := req.GetSession().(*sdk.ClientSession)
		if !ok {
			return next(ctx, method, req)
		}
		switch params, ok := req.GetParams().(*sdk.CallToolParams); {
		case method == methodList:
			result, err := next(ctx, method, req)
			if list, ok := result.(*sdk.ListToolsResult); ok && err == nil {
				r.of(session).learn(list.Tools)
			}
			return result, err
		case method == methodCall && ok && params != nil && ctx.Value(bareKey{}) == nil:
			return r.call(ctx, Call{Session: session, Params: params})
		case method == methodCall && ok && params != nil: // of a stand-in
			heard, done := r.listens(ctx, session, params)
			defer done()
			return next(ctx, method, &sdk.ClientRequest[*sdk.CallToolParams]{Session: session, Params: heard})
		}
		return next(ctx, method, req)
	}
}

// state is what the layers must know of one call.
type state struct {
	caller   context.Context
	tool     string
	kind     strategies.Effect
	settings func(*EffectTool)
	sent     atomic.Int64 // how often it may have reached a server
	asked    atomic.Bool  // somebody, for this call
	server   *server
	before   int64 // what the server had asked when the call began
	over     bool  // the session had ended before the call began
}

// question says whether somebody was asked in the course of the call. A server
// that asks by a request of its own does not say for which call: for each that is
// under way.
func (s *state) question() bool { return s.asked.Load() || s.server.asked.Load() != s.before }

type (
	stateKey struct{}
	bareKey  struct{} // a call of a stand-in, which gets no layers of its own
)

// stateOf returns the state of the call that ctx belongs to; nil: of none.
func stateOf(ctx context.Context) *state {
	s, _ := ctx.Value(stateKey{}).(*state)
	return s
}

func (r *recovery) call(ctx context.Context, c Call) (sdk.Result, error) {
	s := r.of(c.Session)
	if s.err != nil {
		return nil, s.err
	}
	tool := c.Params.Name
	call := &state{caller: ctx, tool: tool, kind: s.kindOf(tool), server: s, before: s.asked.Load(), over: s.over.Load()}
	if word, said := r.tools[tool]; said {
		call.kind, call.settings = word.Effect, word.Settings
	}
	o := s.chain.Outcome(context.WithValue(ctx, stateKey{}, call), c)
	if o.Err == nil {
		return marked(o), nil
	}
	if own := lastWord(o.Err); own != nil {
		return own.Result, nil
	}
	return nil, o.Err
}

// MetaLevel and MetaServedBy are the keys of a result's _meta which say that it
// is a reduced answer, and whose.
const (
	MetaLevel    = "understudy/level"
	MetaServedBy = "understudy/servedBy"
)

// marked says in a result that the tool did not give all of it. The result is
// copied: a rung may give the same one to everybody.
func marked(o middleware.Outcome[*sdk.CallToolResult]) *sdk.CallToolResult {
	if o.Level == strategies.LevelFull || o.Value == nil {
		return o.Value
	}
	result := *o.Value
	if result.Meta = maps.Clone(result.Meta); result.Meta == nil {
		result.Meta = sdk.Meta{}
	}
	result.Meta[MetaLevel], result.Meta[MetaServedBy] = o.Level.String(), o.ServedBy
	return &result
}

// lastWord returns what the tool itself said when it was last called, if that
// was an error: the model shall read it.
func lastWord(err error) *ToolError {
	failure, ok := errors.AsType[*strategies.RecoveryError](err)
	if !ok || failure.Cause != nil {
		return nil
	}
	for i := len(failure.Attempts) - 1; i >= 0; i-- {
		if a := failure.Attempts[i]; !errors.Is(a.Err, strategies.ErrRejected) {
			own, _ := errors.AsType[*ToolError](a.Err)
			return own
		}
	}
	return nil
}

// ask is the leaf: it makes the call, with as many rounds as the server wants.
func (r *recovery) ask(ctx context.Context, c Call) (*sdk.CallToolResult, error) {
	s := stateOf(ctx)
	answer, err := s.act(ctx, c, s.over, func(ctx context.Context, params *sdk.CallToolParams) (*sdk.CallToolResult, error) {
		params, done := r.listens(ctx, c.Session, params)
		defer done()
		result, err := r.next(ctx, methodCall, &sdk.ClientRequest[*sdk.CallToolParams]{Session: c.Session, Params: params})
		answer, _ := result.(*sdk.CallToolResult)
		return answer, err
	})
	if errors.Is(err, sdk.ErrConnectionClosed) || errors.Is(err, sdk.ErrSessionMissing) {
		s.server.over.Store(true)
	}
	return answer, err
}

// begin notes that the call is made, and returns a context for it, which ends
// with the attempt. From the moment on when somebody is asked it ends with the
// caller's only: a person takes longer than a tool may.
func (s *state) begin(ctx context.Context) (context.Context, func()) {
	s.sent.Add(1)
	held, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	attempt := context.AfterFunc(ctx, func() {
		if !s.question() {
			cancel(context.Cause(ctx))
		}
	})
	caller := context.AfterFunc(s.caller, func() { cancel(context.Cause(s.caller)) })
	return held, func() {
		attempt()
		caller()
		cancel(nil)
	}
}

// once sees to it that what must not be called again is not, where no journal does:
// whatever a classifier makes of the error, a second attempt gets no further than
// here. It stands inside of the retries and outside of the breaker, which is to see
// the error as it is.
func once(ctx context.Context, next func(context.Context) error) error {
	s := stateOf(ctx)
	if err := s.refuse(ctx, nil); err != nil {
		return err
	}
	err := next(ctx)
	if err == nil || errors.Is(err, strategies.ErrRejected) {
		return err
	}
	v := strategies.Classify(err)
	if v.Class == strategies.ClassBadRequest || !v.Retry && !v.Fallback {
		return err // it was refused before anything was done, or nobody will repeat it
	}
	if refused := s.refuse(ctx, err); refused != nil {
		return refused
	}
	return err
}

// refuse says why a call that a server may have got must not be made again, or nil.
func (s *state) refuse(ctx context.Context, err error) error {
	switch {
	case s == nil || s.sent.Load() == 0:
		return nil
	case s.question():
		return &OnceError{Tool: s.tool, Reason: "somebody was asked in the course of the call", Err: err}
	case s.kind == strategies.EffectOnce && !s.journaled(ctx):
		return &OnceError{Tool: s.tool, Reason: "the tool is listed as neither read-only nor idempotent", Err: err}
	}
	return nil
}

// Session makes the tools of another session a stand-in, for Fallback: a second
// server that offers the same ones. It is called once, without the layers that
// its client may have; and only if the call may be made again, was not made at all,
// or is known to have done nothing.
func Session(session *sdk.ClientSession) middleware.Runner[Call, *sdk.CallToolResult] {
	if session == nil {
		return nil // refused by the builder
	}
	return middleware.Func(func(ctx context.Context, c Call) (*sdk.CallToolResult, error) {
		s := stateOf(ctx)
		if err := s.refuse(ctx, nil); err != nil {
			return nil, err
		}
		return s.act(ctx, c, false, func(ctx context.Context, params *sdk.CallToolParams) (*sdk.CallToolResult, error) {
			own := *params
			own.Meta = maps.Clone(params.Meta)
			for _, name := range [...]string{sdk.MetaKeyProtocolVersion, sdk.MetaKeyClientInfo, sdk.MetaKeyClientCapabilities} {
				delete(own.Meta, name) // the client has filled them in for the first server
			}
			return session.CallTool(context.WithValue(ctx, bareKey{}, true), &own)
		})
	})
}
