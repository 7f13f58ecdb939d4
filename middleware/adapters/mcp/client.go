package mcp

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
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
// What its server lists as read-only or idempotent may be called a second time, or
// on a stand-in, and so may the tools that are named in repeatable. Every other one
// does what it does once: see the package's documentation.
func NewClient(impl *sdk.Implementation, options *sdk.ClientOptions, settings func(b *Builder), repeatable ...string) (*sdk.Client, error) {
	tools := Tools{}
	for _, name := range repeatable {
		tools[name] = ToolSettings{Effect: strategies.EffectIdempotent}
	}
	return NewClientWith(impl, options, settings, tools)
}

// NewClientWith is [NewClient] for who has more to say of single tools than their
// server does, or other things.
func NewClientWith(impl *sdk.Implementation, options *sdk.ClientOptions, settings func(b *Builder), tools Tools) (*sdk.Client, error) {
	for name, tool := range tools {
		if tool.Effect > strategies.EffectReadOnly {
			return nil, &strategies.ConfigError{Setting: fmt.Sprintf("Tools %q", name), Problem: fmt.Sprintf("has effect %d", tool.Effect), Fix: "use EffectOnce, EffectIdempotent or EffectReadOnly"}
		}
	}
	r := &recovery{
		settings: settings, tools: maps.Clone(tools),
		servers: map[weak.Pointer[sdk.ClientSession]]*server{},
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
	client.AddReceivingMiddleware(r.hears)
	return client, nil
}

// Defaults are the settings of who has none: retries, a circuit breaker, and a
// minute for each call.
func Defaults(b *Builder) {
	b.Retry(strategies.Retry{Jitter: 0.25}).CircuitBreaker(&strategies.Breaker{}).Timeout(time.Minute)
}

// recovery is what all sessions of a client have in common.
type recovery struct {
	settings func(*Builder)
	tools    Tools
	next     sdk.MethodHandler // what the client did before

	tokens atomic.Int64 // of progress that was asked for

	mu      sync.Mutex
	servers map[weak.Pointer[sdk.ClientSession]]*server
	spare   *guarded // built when the client was, for its first session
}

func (r *recovery) build() (*guarded, error) {
	b := middleware.WrapFunc(r.ask).
		Around(middleware.StageBreaker, once)
	r.settings(b)
	return b.Build()
}

// server is what is known of the server of one session.
type server struct {
	chain *guarded
	err   error // why there is none

	asked atomic.Int64 // how often, by requests of its own
	over  atomic.Bool  // the session has ended

	mu    sync.Mutex
	kinds map[string]strategies.Effect // of its tools, as it lists them

	listeners map[*listener]bool // for the progress of calls
}

// of returns the server of a session. It is forgotten with the session.
func (r *recovery) of(session *sdk.ClientSession) *server {
	key := weak.Make(session)
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[key]
	if !ok {
		s = &server{kinds: map[string]strategies.Effect{}, listeners: map[*listener]bool{}}
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

// learn notes what the tools do to the world, as their server has it.
func (s *server) learn(tools []*sdk.Tool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tools {
		if t != nil {
			s.kinds[t.Name] = kindOf(t.Annotations)
		}
	}
}

// kindOf is what a tool does. One that was never listed must happen once.
func (s *server) kindOf(tool string) strategies.Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds[tool]
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
