package middlewaretest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

var errSick = errors.New("the agent is sick")

// ask calls an agent and tells in a few words how that ended and when.
func ask[Req, Resp any](ctx context.Context, agent middleware.Runner[Req, Resp], req Req) string {
	start := time.Now()
	result := make(chan string, 1)
	go func() {
		how := "exited"
		defer func() {
			if v := recover(); v != nil {
				how = fmt.Sprintf("panic %v", v)
			}
			result <- how
		}()
		resp, err := agent.Run(ctx, req)
		how = fmt.Sprintf("%#v, %v", resp, err)
	}()
	return fmt.Sprintf("%s after %v", <-result, time.Since(start))
}

func TestAnAgentFollowsItsScript(t *testing.T) {
	type steps = []middlewaretest.Step
	for name, tc := range map[string]struct {
		steps steps
		want  []string // one a call; the context of each ends after 10 s
	}{
		"it answers with the zero value without a script": {nil, []string{`"", <nil> after 0s`}},
		"it repeats the last step":                        {steps{middlewaretest.Answer("a"), middlewaretest.Answer("b")}, []string{`"a", <nil> after 0s`, `"b", <nil> after 0s`, `"b", <nil> after 0s`}},
		"it answers nil with the zero value":              {steps{middlewaretest.Answer(nil)}, []string{`"", <nil> after 0s`}},
		"it fails":                                        {steps{middlewaretest.Fail(errSick)}, []string{`"", the agent is sick after 0s`}},
		"it panics":                                       {steps{middlewaretest.Panic("boom")}, []string{`panic boom after 0s`}},
		"it ends its goroutine":                           {steps{middlewaretest.Goexit()}, []string{`exited after 0s`}},
		"it hangs until the context ends":                 {steps{middlewaretest.Hang()}, []string{`"", context deadline exceeded after 10s`}},
		"it hangs deaf":                                   {steps{middlewaretest.Deaf(time.Minute)}, []string{`"", understudy: scripted agent hung, deaf to its context after 1m0s`}},
		"it takes its time":                               {steps{middlewaretest.Answer("a").After(9 * time.Second)}, []string{`"a", <nil> after 9s`}},
		"it gives up when the context ends":               {steps{middlewaretest.Answer("a").After(time.Minute)}, []string{`"", context deadline exceeded after 10s`}},
		"it answers late":                                 {steps{middlewaretest.Answer("a").Late(time.Minute)}, []string{`"a", <nil> after 1m0s`}},
		"it fails late":                                   {steps{middlewaretest.Fail(errSick).Late(time.Minute)}, []string{`"", the agent is sick after 1m0s`}},
		"it panics after a while":                         {steps{middlewaretest.Panic("boom").After(time.Second)}, []string{`panic boom after 1s`}},
		"it takes the last word about waiting":            {steps{middlewaretest.Answer("a").Late(time.Minute).After(time.Second)}, []string{`"a", <nil> after 1s`}},
		"it does a step as often as told":                 {steps{middlewaretest.Fail(errSick).Times(2), middlewaretest.Answer("a").Times(2), middlewaretest.Answer("b")}, []string{`"", the agent is sick after 0s`, `"", the agent is sick after 0s`, `"a", <nil> after 0s`, `"a", <nil> after 0s`, `"b", <nil> after 0s`}},
		"it does what the test says": {
			steps{middlewaretest.Do(func(_ context.Context, req string) (string, error) { return "not to be seen", fmt.Errorf("no %s", req) })},
			[]string{`"not to be seen", no way after 0s`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent := middlewaretest.Script(tc.steps...)
				for i, want := range tc.want {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					if got := ask(ctx, agent, "way"); got != want {
						t.Errorf("call %d: %s\nwant %s", i+1, got, want)
					}
					cancel()
				}
			})
		})
	}
}

func TestAnAgentWritesDownItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		agent := middlewaretest.Script(
			middlewaretest.Fail(errSick).After(2*time.Second),
			middlewaretest.Panic("boom"),
			middlewaretest.Answer("a"),
		)
		g, err := middleware.Wrap(agent).Retry(strategies.Retry{Backoff: strategies.Delays{time.Second}}).Timeout(time.Minute).
			Classifier(&strategies.Classifier{Verdicts: map[strategies.Class]strategies.Verdict{strategies.ClassPanic: {Retry: true}}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := g.Run(t.Context(), "q"); answer != "a" || err != nil {
			t.Fatalf("got %q, %v", answer, err)
		}
		at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
		want := []middlewaretest.Call[string, string]{
			{Request: "q", Attempt: 1, Began: at(0), Due: at(60), Ended: at(2), Returned: true, Err: errSick},
			{Request: "q", Attempt: 2, Began: at(3), Due: at(63), Ended: at(3)},
			{Request: "q", Attempt: 3, Began: at(4), Due: at(64), Ended: at(4), Returned: true, Answer: "a"},
		}
		got := agent.Calls()
		for i := range got { // without the monotonic part, which is no business of a reader
			got[i].Began, got[i].Due, got[i].Ended = got[i].Began.Round(0), got[i].Due.Round(0), got[i].Ended.Round(0)
		}
		for i := range want {
			want[i].Began, want[i].Due, want[i].Ended = want[i].Began.Round(0), want[i].Due.Round(0), want[i].Ended.Round(0)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("calls:\n got %+v\nwant %+v", got, want)
		}
		got[0].Request = "changed"
		if agent.Calls()[0].Request != "q" {
			t.Error("Calls does not return a copy")
		}
	})
}

func TestAnAgentSeesTheLevelThatIsWanted(t *testing.T) {
	rung := middlewaretest.Script(middlewaretest.Answer("less"))
	g, err := middleware.Wrap(middlewaretest.Script(middlewaretest.Fail(errSick))).Degrade(strategies.LevelMinimal, rung).Build()
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := g.Run(t.Context(), "q"); answer != "less" || err != nil {
		t.Fatalf("got %q, %v", answer, err)
	}
	if got := rung.Calls()[0].Level; got != strategies.LevelMinimal {
		t.Errorf("the rung was asked at level %v, want minimal", got)
	}
}

func TestAnAgentCountsConcurrentCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 50
		agent := middlewaretest.Script(middlewaretest.Fail(errSick).After(time.Second).Times(20), middlewaretest.Answer("a").After(time.Second))
		var wg sync.WaitGroup
		var mu sync.Mutex
		ended := map[string]int{}
		for range calls {
			wg.Go(func() {
				how := ask(t.Context(), agent, "q")
				mu.Lock()
				ended[how]++
				mu.Unlock()
			})
		}
		synctest.Wait()
		if agent.InFlight() != calls || agent.Peak() != calls || agent.Called() != calls {
			t.Errorf("while they run: %d in flight, %d at most, %d called; want %d of each", agent.InFlight(), agent.Peak(), agent.Called(), calls)
		}
		if c := agent.Calls()[0]; c.Returned || !c.Ended.IsZero() {
			t.Errorf("a call that runs is written down as ended: %+v", c)
		}
		agent.Reset() // while calls are under way
		if agent.Called() != 0 || agent.InFlight() != calls || agent.Peak() != calls {
			t.Errorf("after Reset: %d called, %d in flight, %d at most; want 0, %d and %d", agent.Called(), agent.InFlight(), agent.Peak(), calls, calls)
		}
		wg.Wait()
		if want := map[string]int{`"", the agent is sick after 1s`: 20, `"a", <nil> after 1s`: 30}; !reflect.DeepEqual(ended, want) {
			t.Errorf("the calls ended %v, want %v", ended, want)
		}
		if got := ask(t.Context(), agent, "q"); agent.InFlight() != 0 || got != `"", the agent is sick after 1s` {
			t.Errorf("after Reset and the end of all calls: %d in flight, and the script begins with %s", agent.InFlight(), got)
		}
	})
}

type scene struct{ text string }

type narrator struct{}

func (*narrator) Run(context.Context, int) (scene, error) { panic("never called") }

func TestAnAgentTakesItsTypes(t *testing.T) {
	t.Run("from the agent whose place it takes", func(t *testing.T) {
		var agent middleware.Runner[int, scene] = middlewaretest.InPlaceOf((*narrator)(nil), middlewaretest.Answer(scene{"a door"}))
		if got := ask(t.Context(), agent, 1); !strings.HasPrefix(got, `middlewaretest_test.scene{text:"a door"}, <nil>`) {
			t.Error(got)
		}
	})
	t.Run("and answers an interface with what implements it", func(t *testing.T) {
		agent := middlewaretest.NewAgent[int, error](middlewaretest.Answer(errSick), middlewaretest.Answer(nil))
		if answer, err := agent.Run(t.Context(), 1); answer != errSick || err != nil {
			t.Errorf("got %v, %v", answer, err)
		}
		if answer, err := agent.Run(t.Context(), 1); answer != nil || err != nil {
			t.Errorf("got %v, %v", answer, err)
		}
	})
}

func TestAScriptThatMakesNoSenseIsRefusedAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		make func()
		want string
	}{
		"an answer of another type": {func() { middlewaretest.Script(middlewaretest.Answer("a"), middlewaretest.Answer(42)) }, "middlewaretest.Script: step 2 answers with a int where a string is wanted"},
		"one that implements not": {
			func() { middlewaretest.NewAgent[int, error](middlewaretest.Answer(42)) },
			"middlewaretest.NewAgent: step 1 answers with a int where a error is wanted",
		},
		"a function of other types": {
			func() {
				middlewaretest.InPlaceOf((*narrator)(nil), middlewaretest.Do(func(context.Context, string) (string, error) { return "", nil }))
			},
			"middlewaretest.InPlaceOf: step 1 does a func(context.Context, string) (string, error) where a func(context.Context, int) (middlewaretest_test.scene, error) is wanted",
		},
		"no function":        {func() { middlewaretest.Do[string, string](nil) }, "middlewaretest.Do: the function is nil"},
		"no error":           {func() { middlewaretest.Fail(nil) }, "middlewaretest.Fail: the error is nil: use Answer"},
		"no times":           {func() { middlewaretest.Hang().Times(0) }, "0 is no number of calls"},
		"less than no times": {func() { middlewaretest.Hang().Times(-1) }, "-1 is no number of calls"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "understudy: ") || !strings.Contains(got, tc.want) {
					t.Errorf("panics with %q\nwant %q", got, tc.want)
				}
			}()
			tc.make()
		})
	}
}
