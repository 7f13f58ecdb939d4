package middleware_test

import (
	"context"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// ensemble is a roster of streams.
type ensemble map[string]middleware.Streamer[string, string]

func (e ensemble) Names() []string { return []string{"sage", "ghost"} }
func (e ensemble) Lookup(name string) (middleware.Streamer[string, string], bool) {
	s, ok := e[name]
	return s, ok
}

func TestStreamRoster(t *testing.T) {
	names := func(agent string) middleware.Intervention {
		return middleware.Intervention{Rounds: 1, Ask: strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
			expect(t, "known", len(i.Agents), 2)
			return strategies.Decision{Action: strategies.ActionUseAgent, Agent: agent}, nil
		})}
	}
	company := ensemble{"sage": middleware.Chunks[string]("so", "be it"), "ghost": nil}
	t.Run("it lets a person name an agent beyond the stand-ins", func(t *testing.T) {
		g, err := middleware.WrapStream(voices(script{errSick})).Roster(company).Intervene(names("sage")).Build()
		if err != nil {
			t.Fatal(err)
		}
		stream, outcome := g.Outcome(t.Context(), "hello")
		said, err := middleware.Collect(stream)
		expect(t, "error", err, error(nil))
		expect(t, "chunks", len(said), 2)
		expect(t, "strategy", outcome().Strategy, strategies.StrategyUserIntervention)
		expect(t, "served by", outcome().ServedBy, "sage")
	})
	t.Run("it knows nobody by a name without an agent", func(t *testing.T) {
		g, err := middleware.WrapStream(voices(script{errSick})).Roster(company).Intervene(names("ghost")).Build()
		if err != nil {
			t.Fatal(err)
		}
		_, err = middleware.Collect(g.Stream(t.Context(), "hello"))
		expectIs(t, err, errSick)
	})
}

func TestStreamFallbackFrom(t *testing.T) {
	var late []middleware.StandIn[middleware.Streamer[string, string]]
	g, err := middleware.WrapStream(voices(script{errSick})).
		FallbackFrom(func(context.Context) []middleware.StandIn[middleware.Streamer[string, string]] { return late }).Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := middleware.Collect(g.Stream(t.Context(), "hello")); err == nil {
		t.Fatal("it answered with nobody to ask")
	}
	late = append(late, middleware.StandIn[middleware.Streamer[string, string]]{Name: "sage", Agent: middleware.Chunks[string]("here")})
	stream, outcome := g.Outcome(t.Context(), "hello")
	said, err := middleware.Collect(stream)
	expect(t, "error", err, error(nil))
	expect(t, "chunks", len(said), 1)
	expect(t, "served by", outcome().ServedBy, "sage")

	_, err = middleware.WrapStream(voices(script{"a"})).FallbackFrom(nil).Build()
	expectIs(t, err, strategies.ErrConfig)
}
