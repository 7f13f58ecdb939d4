package roles_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// says is an agent that says words, and then fails with an error if there is one.
func says(err error, words ...string) middleware.Streamer[string, string] {
	return middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, w := range words {
				if !yield(w, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
			}
		}
	})
}

func once(b *middleware.StreamBuilder[string, string], _ roles.StreamAgent[string, string]) {
	b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}})
}

func streamCast(t *testing.T, table roles.Understudies) *roles.StreamCast[string, string] {
	t.Helper()
	c, err := roles.NewStreamCast(table, once)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func joins(t *testing.T, c *roles.StreamCast[string, string], name string, role roles.Role, s middleware.Streamer[string, string]) *middleware.GuardedStream[string, string] {
	t.Helper()
	g, err := c.Register(roles.AsStream(name, role, s))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var errMute = errors.New("lost its voice")

func TestStreamCast(t *testing.T) {
	table := roles.Understudies{"writer": {"editor", "critic"}}
	t.Run("who plays a role that stands in is asked before the first chunk, in order", func(t *testing.T) {
		c := streamCast(t, table)
		will := joins(t, c, "will", "writer", says(errMute))
		ed := joins(t, c, "ed", "editor", says(errMute))
		joins(t, c, "cat", "critic", says(nil, "a ", "review"))
		stream, outcome := will.Outcome(t.Context(), "a scene")
		chunks, err := middleware.Collect(stream)
		if text := strings.Join(chunks, ""); err != nil || text != "a review" || outcome().ServedBy != "cat" {
			t.Errorf("%q by %s, %v", text, outcome().ServedBy, err)
		}
		if got := c.StandIns("will"); !slices.Equal(got, []string{"ed", "cat"}) {
			t.Errorf("stand-ins %v", got)
		}
		_, _ = middleware.Collect(ed.Stream(t.Context(), "a scene"))
		if n := c.Failures("ed"); n != 1 {
			t.Errorf("ed has %d failures", n)
		}
		if !c.Reset("ed") || c.Failures("ed") != 0 || c.Reset("nobody") {
			t.Error("a reset is not what it says")
		}
	})
	t.Run("after the first chunk nobody stands in", func(t *testing.T) {
		c := streamCast(t, table)
		will := joins(t, c, "will", "writer", says(errMute, "once upon"))
		joins(t, c, "ed", "editor", says(nil, "a time"))
		chunks, err := middleware.Collect(will.Stream(t.Context(), "a scene"))
		if len(chunks) != 1 || err == nil {
			t.Errorf("%v, %v", chunks, err)
		}
	})
	t.Run("whoever is registered later is found by those before", func(t *testing.T) {
		c := streamCast(t, table)
		will := joins(t, c, "will", "writer", says(errMute))
		if _, err := middleware.Collect(will.Stream(t.Context(), "")); err == nil {
			t.Error("somebody answered")
		}
		joins(t, c, "ed", "editor", says(nil, "here"))
		if _, err := middleware.Collect(will.Stream(t.Context(), "")); err != nil {
			t.Error(err)
		}
	})
	t.Run("it knows its agents", func(t *testing.T) {
		c := streamCast(t, table)
		will := joins(t, c, "will", "writer", says(nil, "hi"))
		if g, ok := c.Agent("will"); !ok || g != will {
			t.Error("will is not found")
		}
		if s, ok := c.Lookup("will"); !ok || s != middleware.Streamer[string, string](will) {
			t.Error("will is not looked up")
		}
		if _, ok := c.Lookup("nobody"); ok {
			t.Error("nobody is found")
		}
		if role, ok := c.Role("will"); !ok || role != "writer" {
			t.Errorf("role %q", role)
		}
		if got := c.Missing(); !slices.Equal(got, []roles.Role{"critic", "editor"}) {
			t.Errorf("missing %v", got)
		}
		if h := c.Health(); len(h) != 1 || h[0].Role != "writer" || h[0].Agent != "will" {
			t.Errorf("health %v", h)
		}
	})
	t.Run("it may be registered from many places, and asked meanwhile", func(t *testing.T) {
		c := streamCast(t, table)
		will := joins(t, c, "will", "writer", says(errMute))
		joins(t, c, "ed", "editor", says(nil, "here"))
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { joins(t, c, fmt.Sprint("critic ", i), "critic", says(nil, "hm")) })
			all.Go(func() { _, _ = middleware.Collect(will.Stream(t.Context(), "")) })
		}
		all.Wait()
		if n := len(c.Names()); n != 22 {
			t.Errorf("%d agents", n)
		}
	})
	for name, register := range map[string]func(c *roles.StreamCast[string, string]) error{
		"a nil agent": func(c *roles.StreamCast[string, string]) error { _, err := c.Register(nil); return err },
		"no name": func(c *roles.StreamCast[string, string]) error {
			_, err := c.Register(roles.AsStream("", "writer", says(nil)))
			return err
		},
		"no role": func(c *roles.StreamCast[string, string]) error {
			_, err := c.Register(roles.AsStream("will", "", says(nil)))
			return err
		},
		"a nil function": func(c *roles.StreamCast[string, string]) error {
			_, err := c.Register(roles.AsStreamFunc[string, string]("will", "writer", nil))
			return err
		},
		"a name twice": func(c *roles.StreamCast[string, string]) error {
			joins(t, c, "will", "writer", says(nil))
			_, err := c.Register(roles.AsStream("will", "critic", says(nil)))
			return err
		},
		"an agent of nil": func(*roles.StreamCast[string, string]) error {
			var c *roles.StreamCast[string, string]
			_, err := c.Register(nil)
			return err
		},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			if err := register(streamCast(t, table)); !errors.Is(err, strategies.ErrConfig) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("it refuses a table with a cycle", func(t *testing.T) {
		if _, err := roles.NewStreamCast[string, string](roles.Understudies{"a": {"b"}, "b": {"a"}}, nil); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("without a recipe it retries", func(t *testing.T) {
		c, err := roles.NewStreamCast[string, string](nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if e := joins(t, c, "will", "writer", says(nil, "hi")).Explain(); e.Calls != 4 {
			t.Errorf("%d calls", e.Calls)
		}
	})
}

// Casts of two types that share a table are one company.
func ExampleTogether() {
	table := roles.Understudies{"narrator": {"chronicler"}, "judge": {"clerk"}}
	voices, err := roles.NewStreamCast(table, once)
	if err != nil {
		fmt.Println(err)
		return
	}
	verdicts, err := roles.NewCast[string, bool](table, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	narrator, _ := voices.Register(roles.AsStream("nora", "narrator", says(errMute)))
	_, _ = voices.Register(roles.AsStream("chris", "chronicler", says(nil, "It was ", "a dark night.")))
	_, _ = verdicts.Register(roles.AsFunc("judy", "judge", func(context.Context, string) (bool, error) { return true, nil }))

	for chunk, err := range narrator.Stream(context.Background(), "the first scene") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(chunk)
	}
	fmt.Println()
	company := roles.Together(voices, verdicts)
	for _, h := range company.Health() {
		fmt.Println(h.Role, h.Agent, h.LastClass)
	}
	fmt.Println("nobody plays", company.Missing())
	// Output:
	// It was a dark night.
	// narrator nora transient
	// chronicler chris unclassified
	// judge judy unclassified
	// nobody plays [clerk]
}
