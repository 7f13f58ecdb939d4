package mcp

import (
	"context"
	"fmt"
	"maps"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
)

const methodProgress = "notifications/progress"

// listener is a call under way that waits for the progress of its tool.
type listener struct {
	token string
	call  middleware.Call
}

// listens has the progress of a tool be a sign of life of the call it was called in,
// where that matters to anybody: a chain with TimeoutWhileAlive, of the client or of an
// agent that calls the tool. The server is asked for progress, unless the caller has
// done so. done ends it.
func (r *recovery) listens(ctx context.Context, session *sdk.ClientSession, params *sdk.CallToolParams) (_ *sdk.CallToolParams, done func()) {
	call := middleware.CallOf(ctx)
	if !call.Prolongs() {
		return params, func() {}
	}
	if params.GetProgressToken() == nil {
		own := *params
		if own.Meta = maps.Clone(params.Meta); own.Meta == nil {
			own.Meta = sdk.Meta{}
		}
		own.SetProgressToken(fmt.Sprintf("understudy-%d", r.tokens.Add(1)))
		params = &own
	}
	s, l := r.of(session), &listener{fmt.Sprint(params.GetProgressToken()), call}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners[l] = true
	return params, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}
}

// hears is the receiving middleware: it notices progress.
func (r *recovery) hears(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		if method == methodProgress {
			session, own := req.GetSession().(*sdk.ClientSession)
			if params, ok := req.GetParams().(*sdk.ProgressNotificationParams); own && ok && params != nil {
				r.of(session).progressed(fmt.Sprint(params.ProgressToken))
			}
		}
		return next(ctx, method, req)
	}
}

func (s *server) progressed(token string) {
	s.mu.Lock()
	var alive []middleware.Call
	for l := range s.listeners {
		if l.token == token {
			alive = append(alive, l.call)
		}
	}
	s.mu.Unlock()
	for _, call := range alive {
		call.Alive()
	}
}
