package mcp

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

type (
	// Builder is what the settings of a client are made with: the builder every
	// agent has, for tool calls.
	Builder = middleware.Builder[Call, *sdk.CallToolResult]

	guarded = middleware.Guarded[Call, *sdk.CallToolResult]
)

// Call is a tool call on its way through the layers. A stand-in may be given
// other Params: a copy of them, for they are the caller's.
type Call struct {
	Session *sdk.ClientSession
	Params  *sdk.CallToolParams
}

// NewClient is the SDK's function of that name, and gives the client's tool
// calls layers; everything else it does passes through. settings is asked for
// them once a session, so a breaker made in it is one server's; nil means
// [Defaults]. Its mistakes are the error.
//
// Only a tool that its server lists as read-only or idempotent is called a
// second time, or on a stand-in; and those that are named in repeatable.
func NewClient(impl *sdk.Implementation, options *sdk.ClientOptions, settings func(b *Builder), repeatable ...string) (*sdk.Client, error) {
	r := &recovery{
		settings: settings, repeatable: map[string]bool{},
		servers: map[weak.Pointer[sdk.ClientSession]]*server{},
	}
	for _, name := range repeatable {
		r.repeatable[name] = true
	}
	if settings == nil {
		r.settings = Defaults
	}
	var err error
	if r.spare, err = r.build(); err != nil {
		return nil, err
	}
	client := sdk.NewClient(impl, r.listen(options))
	client.AddSendingMiddleware(r.around)
	return client, nil
}

// Defaults are the settings of who has none: retries, a circuit breaker, and a
// minute for each call.
func Defaults(b *Builder) {
	b.Retry(strategies.Retry{Jitter: 0.25}).CircuitBreaker(&strategies.Breaker{}).Timeout(time.Minute)
}

// recovery is what all sessions of a client have in common.
type recovery struct {
	settings   func(*Builder)
	repeatable map[string]bool
	next       sdk.MethodHandler // what the client did before

	mu      sync.Mutex
	servers map[weak.Pointer[sdk.ClientSession]]*server
	spare   *guarded // built when the client was, for its first session
}

func (r *recovery) build() (*guarded, error) {
	b := middleware.WrapFunc(r.ask).
		Around(middleware.StageBreaker, once).
		Around(middleware.StageAgent, httphint.Layer(nil))
	r.settings(b)
	return b.Build()
}

// server is what is known of the server of one session.
type server struct {
	chain *guarded
	err   error // why there is none

	asked atomic.Int64 // how often, by requests of its own

	mu    sync.Mutex
	again map[string]bool // the tools that may be called again
}

// of returns the server of a session. It is forgotten with the session.
func (r *recovery) of(session *sdk.ClientSession) *server {
	key := weak.Make(session)
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[key]
	if !ok {
		s = &server{again: map[string]bool{}}
		if s.chain, r.spare = r.spare, nil; s.chain == nil {
			s.chain, s.err = r.build()
		}
		r.servers[key] = s
		runtime.AddCleanup(session, r.forget, key)
	}
	return s
}

func (r *recovery) forget(key weak.Pointer[sdk.ClientSession]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.servers, key)
}

// learn notes which tools may be called again. A tool without annotations may
// not, as the protocol has it.
func (s *server) learn(tools []*sdk.Tool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tools {
		if t != nil {
			a := t.Annotations
			s.again[t.Name] = a != nil && (a.ReadOnlyHint || a.IdempotentHint)
		}
	}
}

func (s *server) mayRepeat(tool string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again[tool]
}

// listen returns the client's options with handlers that notice when the other
// side asks something: a person, or the host's model, which a person watches.
func (r *recovery) listen(options *sdk.ClientOptions) *sdk.ClientOptions {
	if options == nil {
		return nil
	}
	o := *options
	o.ElicitationHandler = noticing(r, o.ElicitationHandler)
	//lint:ignore SA1019 servers of today sample
	o.CreateMessageHandler = noticing(r, o.CreateMessageHandler)
	//lint:ignore SA1019 as above
	o.CreateMessageWithToolsHandler = noticing(r, o.CreateMessageWithToolsHandler)
	return &o
}

func noticing[Req sdk.Request, Resp any](r *recovery, handle func(context.Context, Req) (Resp, error)) func(context.Context, Req) (Resp, error) {
	if handle == nil {
		return nil
	}
	return func(ctx context.Context, req Req) (Resp, error) {
		if call := stateOf(ctx); call != nil {
			call.asked.Store(true)
		} else if session, ok := req.GetSession().(*sdk.ClientSession); ok {
			r.of(session).asked.Add(1)
		}
		return handle(ctx, req)
	}
}
