// Package middlewaretest helps to test what is built with package middleware, as
// net/http/httptest does for net/http: scripted agents that fail on cue, seeded
// chaos, a recorder of events, and a conformance suite for layers of one's own.
//
// A test that wants to see an agent recover gives it a script and reads what
// happened:
//
//	func TestNarratorIsAskedAgain(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) { // the delays cost no real time
//			agent := middlewaretest.Script(
//				middlewaretest.Fail(errors.New("connection reset")),
//				middlewaretest.Hang(),
//				middlewaretest.Answer("The door creaks open."),
//			)
//			var events middlewaretest.Recorder
//			narrator, err := middleware.Wrap(agent).
//				Named("narrator").
//				Retry(strategies.Retry{}).
//				Timeout(30 * time.Second).
//				Observe(&events).
//				Build()
//			if err != nil {
//				t.Fatal(err)
//			}
//			answer, err := narrator.Run(t.Context(), "Who is at the door?")
//			if err != nil || answer != "The door creaks open." {
//				t.Errorf("got %q, %v", answer, err)
//			}
//			if n := agent.Called(); n != 3 {
//				t.Errorf("the agent was called %d times, want 3", n)
//			}
//			t.Log(events.String())
//		})
//	}
//
// # Scripted agents
//
// The n-th call of an [Agent] does the n-th [Step] of its script, and the last
// step repeats. [Script] makes one for text; [InPlaceOf] takes the types from
// the agent whose place it takes, so that no type parameter is written.
//
// A step that waits ([Step.After], [Step.Late], [Hang], [Deaf]) waits with the
// timers of package time: inside of a testing/synctest bubble it takes no time.
//
// # Chaos
//
// [Chaos] spoils a share of the calls at random, and the same ones in every run
// with the same seed. It belongs innermost, inside of everything it is to test:
//
//	chaos := &middlewaretest.Chaos[string, string]{Seed: 1, Error: 0.2, Panic: 0.01}
//	narrator, err := middleware.Wrap(agent).
//		Retry(strategies.Retry{}).
//		Use(middleware.StageAgent, chaos.Middleware).
//		Build()
//
// At [middleware.StageAgent] it stands directly outside of the agent and inside
// of recover, validate and timeout, so that an injected panic is recovered, a
// spoilt answer looked at and a hang cut off. Further out it would test the
// layers outside of it only.
//
// # Layers of one's own
//
// [Conform] runs a suite of rules against a middleware and reports each as a
// subtest. Run it with the race detector on:
//
//	func TestMyLayerConforms(t *testing.T) {
//		middlewaretest.Conform(t, func() middleware.Middleware[string, string] { return mine.Layer[string, string]() })
//	}
package middlewaretest
