package eino_test

import (
	"testing"

	"github.com/cloudwego/eino/components/model"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

var soon = conformance.Soon

func script(faults ...endpoint.Fault) endpoint.Plan {
	return endpoint.Plan{Script: map[string][]endpoint.Fault{"narrator": faults}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	all := conformance.Ways[endpoint.Fault]{}
	for name, ask := range ways() {
		all[name] = func(t *testing.T, s conformance.Scene[endpoint.Fault]) conformance.Result {
			server := conformance.Endpoint(t, s.Script)
			got, err := ask(t.Context(), connect(t, server, "narrator"), func(b *eino.Builder) {
				conformance.Set(b, s)
				switch other := s.StandIn; {
				case other.Name == "":
				case other.Name == other.Model:
					b.Fallback(other.Name, eino.StandIn(connect(t, server, other.Model)))
				default: // the same model, told to be another
					b.FallbackVia(other.Name, eino.StandIn(connect(t, server, "archivist")), eino.With(model.WithModel(other.Model)))
				}
				if s.Reduced != "" {
					b.Degrade(strategies.LevelReduced, eino.Reply(s.Reduced))
				}
			})
			if err != nil {
				return conformance.Result{Err: err, Provider: server}
			}
			return conformance.Result{Text: got.Content, Level: eino.Level(got), Provider: server}
		}
	}
	conformance.Run(t, conformance.Adapter[endpoint.Fault]{
		Faults: conformance.EndpointFaults(), Ways: all, Cuts: conformance.EndpointCuts(), Stream: hear, Interrupt: interruptUntouched,
	})
}

func hear(t *testing.T, cut conformance.Cut[endpoint.Fault]) conformance.Result {
	server := conformance.Endpoint(t, cut.Script())
	guarded, err := eino.Wrap(connect(t, server, "narrator"), func(b *eino.Builder) {
		b.Named("narrator").Retry(soon)
	})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := guarded.Stream(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	got, err := drain(reader)
	return conformance.Result{Text: got, Err: err, Provider: server, Sent: conformance.SentBefore(err, joined)}
}
