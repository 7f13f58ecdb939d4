package endpointtest_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/internal/endpoint"
)

func TestStartRefusesNonsense(t *testing.T) {
	script := func(f endpoint.Fault) endpoint.Plan {
		return endpoint.Plan{Script: map[string][]endpoint.Fault{"m": {endpoint.OK(), f}}}
	}
	down := func(o endpoint.Outage) endpoint.Plan {
		return endpoint.Plan{Down: map[string][]endpoint.Outage{"m": {o}}}
	}
	kinds := []endpoint.Fault{endpoint.Drop()}
	for _, tt := range []struct {
		plan endpoint.Plan
		want string
	}{
		{script(endpoint.Fault{Kind: "sulk"}), `Plan.Script["m"][1] has the unknown Kind "sulk"`},
		{script(endpoint.Status(200)), `Plan.Script["m"][1] has Code 200`},
		{script(endpoint.Status(600)), `Plan.Script["m"][1] has Code 600`},
		{script(endpoint.RateLimit(-time.Second)), `Plan.Script["m"][1] has a negative Wait, -1s`},
		{script(endpoint.Slow(0)), `Plan.Script["m"][1] has Wait 0s`},
		{script(endpoint.CutAfter(-1)), `Plan.Script["m"][1] has a negative Chunks, -1`},
		{script(endpoint.StallAfter(-1)), `Plan.Script["m"][1] has a negative Chunks`},
		{script(endpoint.CleanEOFAfter(-1)), `Plan.Script["m"][1] has a negative Chunks`},
		{script(endpoint.ErrorEventAfter(-1)), `Plan.Script["m"][1] has a negative Chunks`},
		{down(endpoint.Outage{Fault: endpoint.Fault{Kind: "sulk"}}), `Plan.Down["m"][0].Fault has the unknown Kind`},
		{down(endpoint.Outage{Fault: endpoint.OK()}), `Plan.Down["m"][0].Fault is OK`},
		{down(endpoint.Outage{From: 5, To: 4}), `Plan.Down["m"][0] covers no request: From 5, To 4`},
		{down(endpoint.Outage{From: -1}), `Plan.Down["m"][0] covers no request: From -1, To 0`},
		{endpoint.Plan{Rate: -0.5, Kinds: kinds}, "Plan.Rate is -0.5; want 0 to 1"},
		{endpoint.Plan{Rate: 1.5, Kinds: kinds}, "Plan.Rate is 1.5"},
		{endpoint.Plan{Rate: math.NaN(), Kinds: kinds}, "Plan.Rate is NaN"},
		{endpoint.Plan{Rate: math.Inf(1), Kinds: kinds}, "Plan.Rate is +Inf"},
		{endpoint.Plan{Rate: 0.5}, "Plan.Kinds is empty"},
		{endpoint.Plan{Kinds: []endpoint.Fault{endpoint.Slow(-1)}}, "Plan.Kinds[0] has Wait -1ns"},
	} {
		srv, err := endpoint.Start(tt.plan)
		if err == nil {
			srv.Close()
			t.Errorf("started, want an error: %s", tt.want)
			continue
		}
		contains(t, err.Error(), "endpoint: "+tt.want)
	}
}

// outcome is one word for what the client saw.
func outcome(t *testing.T, c *openai.Client, model string) string {
	answer, err := c.Chat.Completions.New(t.Context(), ask(model, "hello"))
	if err != nil {
		return err.Error()
	}
	return answer.Choices[0].FinishReason + ": " + answer.Choices[0].Message.Content
}

func TestScriptThenOutageThenHealth(t *testing.T) {
	script := []endpoint.Fault{endpoint.Quota(), endpoint.OK(), endpoint.Drop(), endpoint.Empty()}
	scripts := map[string][]endpoint.Fault{model: script}
	srv := start(t, endpoint.Plan{
		Script: scripts,
		Down: map[string][]endpoint.Outage{
			model:  {{From: 3, To: 3}, {From: 6, To: 7, Fault: endpoint.Drop()}},
			"dead": {{}},
		},
	})
	script[0] = endpoint.Fault{Kind: "sulk"} // the plan is the server's own by now
	clear(scripts)
	for range 8 {
		outcome(t, client(srv), model)
	}
	for range 2 {
		outcome(t, client(srv), "dead")
	}
	outcome(t, client(srv), "bystander")

	var got []string
	for _, e := range srv.Log() {
		got = append(got, fmt.Sprintf("%s %d %v", e.Model, e.N, e.Fault))
	}
	want := []string{
		"narrator 1 quota", "narrator 2 ok", "narrator 3 status(503)", "narrator 4 empty",
		"narrator 5 ok", "narrator 6 drop", "narrator 7 drop", "narrator 8 ok",
		"dead 1 status(503)", "dead 2 status(503)", "bystander 1 ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if srv.Requests(model) != 8 || srv.Requests("dead") != 2 || srv.Requests("nobody") != 0 || srv.Total() != 11 {
		t.Errorf("got %d, %d, %d of %d requests", srv.Requests(model), srv.Requests("dead"), srv.Requests("nobody"), srv.Total())
	}
	first := srv.Log()[0]
	if first.Stream || !slices.Equal(first.Messages, []endpoint.Message{{Role: "user", Content: "hello"}}) {
		t.Errorf("got first entry %+v", first)
	}
}

// diced gives every model of the run n requests, one model after the other or all at once.
func diced(t *testing.T, plan endpoint.Plan, n int, together bool) map[string][]string {
	t.Helper()
	plan.Kinds = []endpoint.Fault{endpoint.ServerError(), endpoint.Drop(), endpoint.Empty(), endpoint.Quota()}
	plan.Answer = func(string, []endpoint.Message) string { return "good" } // so that only the dice differ
	srv := start(t, plan)
	names := []string{"a", "b", "c"}
	outcomes := make([][]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			for range n {
				text := outcome(t, client(srv), name)
				outcomes[i] = append(outcomes[i], strings.ReplaceAll(text, srv.URL(), ""))
			}
		})
		if !together {
			wg.Wait()
		}
	}
	wg.Wait()
	got := map[string][]string{}
	for i, name := range names {
		got[name] = outcomes[i]
	}
	return got
}

func TestSameSeedSameRun(t *testing.T) {
	const n = 24
	plan := endpoint.Plan{Seed: 42, Rate: 0.25, Script: map[string][]endpoint.Fault{"b": {endpoint.Drop()}}}
	first := diced(t, plan, n, false)
	if again := diced(t, plan, n, true); fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("one after the other: %q\nall at once: %q", first, again)
	}
	if slices.Equal(first["a"], first["c"]) {
		t.Error("two models share their dice")
	}
	good := 0
	for _, text := range first["a"] {
		if text == "stop: good" {
			good++
		}
	}
	if good <= n/2 || good == n {
		t.Errorf("%d of %d good answers, at a rate of one failure in four", good, n)
	}

	plan.Seed++
	if other := diced(t, plan, n, true); fmt.Sprint(first) == fmt.Sprint(other) {
		t.Error("another seed gave the same run")
	}
}

func TestAnOutageDoesNotShiftTheDice(t *testing.T) {
	const n = 12
	plan := endpoint.Plan{Seed: 9, Rate: 0.5}
	calm := diced(t, plan, n, true)
	plan.Down = map[string][]endpoint.Outage{"a": {{From: 2, To: 5}}}
	if stormy := diced(t, plan, n, true); !slices.Equal(calm["a"][5:], stormy["a"][5:]) {
		t.Errorf("without outage %q\nwith outage %q", calm["a"], stormy["a"])
	}
}
