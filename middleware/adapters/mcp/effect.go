package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

type (
	// EffectTool is the core's tool, for the settings of one: its Key, its Verify, its
	// Undo, its Approve. The arguments are those of the call, as JSON.
	EffectTool = middleware.Tool[json.RawMessage, *sdk.CallToolResult]

	// Tools is the user's word about tools, by their names. It goes before that of
	// their server.
	Tools map[string]ToolSettings

	// ToolSettings say what a tool does to the world, and what is known of it beyond.
	ToolSettings struct {
		Effect   strategies.Effect
		Settings func(t *EffectTool) // nil: nothing
	}
)

// MetaIdempotencyKey is the key of a call's _meta under which the server finds
// [middleware.Call.IdempotencyKey] of the effect: the same in every attempt, and for a
// stand-in. It is sent where the call has an identity, see [middleware.Builder.Effects],
// with what is not read-only.
const MetaIdempotencyKey = "understudy/idempotencyKey"

// kindOf is what a listing says of a tool. A tool without annotations must happen
// once, as the protocol has it.
func kindOf(a *sdk.ToolAnnotations) strategies.Effect {
	switch {
	case a == nil:
		return strategies.EffectOnce
	case a.ReadOnlyHint:
		return strategies.EffectReadOnly
	case a.IdempotentHint:
		return strategies.EffectIdempotent
	}
	return strategies.EffectOnce
}

// wire sends a call to a server.
type wire func(ctx context.Context, params *sdk.CallToolParams) (*sdk.CallToolResult, error)

// journaled says whether what keeps a call from being made twice is a journal.
func (s *state) journaled(ctx context.Context) bool {
	return s.kind == strategies.EffectOnce && middleware.CallOf(ctx).Journaled()
}

// act makes a call, or gives back what the same one has done: by a journal, if its
// chain, or the one that it is part of, has one. The same tool of two servers is two
// tools; that of a stand-in is the one it stands in for.
func (s *state) act(ctx context.Context, c Call, over bool, send wire) (*sdk.CallToolResult, error) {
	if s == nil {
		answer, err := send(ctx, c.Params)
		return judge(c, answer, err)
	}
	_, nameless := middleware.CallOf(ctx).IdempotencyKey()
	if s.kind == strategies.EffectReadOnly || nameless != nil || s.kind == strategies.EffectOnce && !s.journaled(ctx) {
		return s.send(ctx, c, over, send)
	}
	arguments := json.RawMessage("{}")
	if c.Params.Arguments != nil {
		var err error
		if arguments, err = json.Marshal(c.Params.Arguments); err != nil {
			return nil, strategies.NotDone(strategies.WithClass(strategies.ClassBadRequest, err))
		}
	}
	var open *sdk.CallToolResult // a question, which is no result yet
	var pause error              // the same as an error
	t := middleware.WrapTool(s.name(c), s.kind, func(ctx context.Context, _ json.RawMessage) (*sdk.CallToolResult, error) {
		params := *c.Params
		if params.Meta = maps.Clone(params.Meta); params.Meta == nil {
			params.Meta = sdk.Meta{}
		}
		if key, err := middleware.CallOf(ctx).IdempotencyKey(); err == nil && params.Meta[MetaIdempotencyKey] == nil {
			params.Meta[MetaIdempotencyKey] = key
		}
		keyed := c
		keyed.Params = &params
		answer, err := s.send(ctx, keyed, over, send)
		switch {
		case err != nil && strategies.Classify(err).Pass:
			pause = err
			return nil, strategies.NotDone(err)
		case err == nil && answer.NeedsInput():
			open = answer
			return nil, strategies.NotDone(errors.New("understudy: mcp: the tool asks for more"))
		}
		return answer, err
	})
	if s.settings != nil {
		s.settings(t)
	}
	answer, err := t.Run(ctx, arguments)
	switch {
	case pause != nil:
		return nil, pause
	case open != nil:
		return open, nil
	}
	return answer, err
}

// name is the tool's in a journal.
func (s *state) name(c Call) string {
	if hello := c.Session.InitializeResult(); hello != nil && hello.ServerInfo != nil {
		return hello.ServerInfo.Name + "/" + s.tool
	}
	return s.tool
}

// send makes the call, once, and says of its failure whether it proves that the
// server has done nothing: then it may be made again, and be another's.
func (s *state) send(ctx context.Context, c Call, over bool, send wire) (answer *sdk.CallToolResult, err error) {
	held, release := s.begin(ctx)
	defer release()
	var hint *httphint.Hint
	err = hinted(held, func(ctx context.Context) (err error) {
		hint = httphint.From(ctx)
		answer, err = send(ctx, c.Params)
		answer, err = judge(c, answer, err)
		return err
	})
	if err == nil || strategies.Classify(err).Pass {
		return answer, err
	}
	var anybody *strategies.Classifier
	switch proves := anybody.NothingDone(err); {
	case proves && s.proven(err, over, hint.Seen().Requests):
		s.sent.Add(-1)
		return nil, strategies.NotDone(err)
	case proves && s.kind == strategies.EffectOnce && s.journaled(ctx): // it only looks so
		key, _ := middleware.CallOf(ctx).IdempotencyKey()
		return nil, &strategies.UncertainError{Tool: s.tool, Key: key, Err: err}
	}
	return nil, err
}

var hinted = httphint.Layer(nil)

// proven says whether an error that looks as if nothing was done is about the whole of
// the call. What the last of several requests met with says nothing of the first, and
// a session that ended may have done so after the server had begun; one that was over
// before the call has not passed it on.
func (s *state) proven(err error, over bool, requests int) bool {
	switch {
	case requests > 1, s.question():
		return false
	case errors.Is(err, sdk.ErrConnectionClosed):
		return over
	}
	return true
}
