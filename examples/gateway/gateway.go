package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/middleware/adapters/policy"
	"github.com/understudy-go/understudy/strategies"
)

// gateway is an OpenAI-compatible endpoint in front of several providers.
type gateway struct {
	whole    *middleware.Guarded[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
	streamed *middleware.GuardedStream[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk]
	health   func() []middleware.MemberHealth
}

// provider is one of several that answer alike: a vendor, a region, a key.
type provider struct{ name, url, key string }

// newGateway puts the providers into one pool for whole answers and one for streamed
// ones. Both know the same breakers, so what one finds out the other knows.
func newGateway(file *policy.File, providers ...provider) (*gateway, error) {
	var members []middleware.Member[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
	var speakers []middleware.StreamMember[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk]
	for _, p := range providers {
		client := sdk.NewClient(option.WithBaseURL(p.url), option.WithAPIKey(p.key), option.WithMaxRetries(0))
		agent, breaker := openai.Chat(client), &strategies.Breaker{Name: p.name, Failures: 2}
		members = append(members, middleware.Member[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]{Name: p.name, Agent: agent, Breaker: breaker})
		speakers = append(speakers, middleware.StreamMember[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk]{Name: p.name, Agent: agent, Breaker: breaker})
	}
	pool, err := middleware.Pool(middleware.PoolSettings[sdk.ChatCompletionNewParams]{}, members...)
	if err != nil {
		return nil, err
	}
	streams, err := middleware.PoolStream(middleware.PoolSettings[sdk.ChatCompletionNewParams]{}, speakers...)
	if err != nil {
		return nil, err
	}
	g := &gateway{health: streams.Health}
	g.whole, err = policy.Guard(file, "chat", func(r *policy.Recipe) *middleware.Builder[sdk.ChatCompletionNewParams, *sdk.ChatCompletion] {
		return middleware.Wrap(pool).By(user, keys(r))
	})
	if err != nil {
		return nil, err
	}
	g.streamed, err = policy.GuardStream(file, "chat stream", func(r *policy.Recipe) *middleware.StreamBuilder[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk] {
		return middleware.WrapStream(streams).By(user, keys(r)).Commit(openai.Says).Alive(openai.Alive).Complete(openai.Ends)
	})
	return g, err
}

// user is whose state a call has: each has an allowance of its own.
func user(params sdk.ChatCompletionNewParams) string { return params.SafetyIdentifier.Value }

func keys(r *policy.Recipe) middleware.Keys {
	if r.Keys == nil {
		return middleware.Keys{}
	}
	return *r.Keys
}

const mostBody = 4 << 20

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	var params sdk.ChatCompletionNewParams
	var how struct{ Stream bool }
	if err = errors.Join(err, json.Unmarshal(body, &params), json.Unmarshal(body, &how)); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if how.Stream {
		g.stream(r.Context(), w, params)
		return
	}
	answer, err := g.whole.Run(r.Context(), params)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer.RawJSON())
}

// stream hands on each chunk as it comes. Until the first one a failure has a status.
func (g *gateway) stream(ctx context.Context, w http.ResponseWriter, params sdk.ChatCompletionNewParams) {
	begun := false
	flush := http.NewResponseController(w).Flush
	for chunk, err := range g.streamed.Stream(ctx, params) {
		switch {
		case err != nil && !begun:
			refuse(w, err)
			return
		case err != nil: // the client's SDK knows an error in a stream
			fmt.Fprintf(w, "data: %s\n\n", problem(err))
			return
		case !begun:
			begun = true
			w.Header().Set("Content-Type", "text/event-stream")
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", chunk.RawJSON()); err != nil {
			return // the client has left
		}
		_ = flush()
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// refuse says what became of a call that nobody could answer, and when it makes sense to
// ask again.
func refuse(w http.ResponseWriter, err error) {
	v := strategies.Classify(err)
	shut, _ := errors.AsType[*strategies.OpenError](err)
	if shut != nil {
		v.RetryAfter = max(v.RetryAfter, shut.RetryAfter)
	}
	if wait := v.RetryAfter.Round(time.Second); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
	switch {
	case v.Class == strategies.ClassBadRequest, v.Class == strategies.ClassContextOverflow:
		fail(w, http.StatusBadRequest, err)
	case v.Class == strategies.ClassRateLimited, v.Class == strategies.ClassQuotaExhausted, v.Class == strategies.ClassOverLimit,
		shut != nil && shut.State == strategies.StateHeld: // a provider named a time to all of them
		fail(w, http.StatusTooManyRequests, err)
	default:
		fail(w, http.StatusServiceUnavailable, err)
	}
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(problem(err))
}

func problem(err error) []byte {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(map[string]any{"error": map[string]any{"message": strategies.Redact(err.Error()), "type": strategies.Classify(err).Class.String()}})
	return bytes.TrimSpace(b.Bytes())
}
