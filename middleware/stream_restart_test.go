package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

var errLine = errors.New("read: connection reset by peer")

// ends is the terminal marker of these scripts.
func ends(chunk string) bool { return chunk == "." }

func marks(sent []string) string { return "<erase " + strings.Join(sent, "") + ">" }

// What a stream says behind its terminal marker is nothing to its answer.
func TestAStreamIsWholeOnceItsMarkerHasBeenSeen(t *testing.T) {
	half := &strategies.AnswerError{Reason: "max_tokens"}
	follow := func(_ context.Context, req string, _ []string) (string, bool) { return req, true }
	policies := map[string]func(*streamBuilder) *streamBuilder{
		"terminate": func(b *streamBuilder) *streamBuilder { return b },
		"continue":  func(b *streamBuilder) *streamBuilder { return b.Continue(3, follow) },
		"restart":   func(b *streamBuilder) *streamBuilder { return b.Restart(marks) },
		"buffer":    func(b *streamBuilder) *streamBuilder { return b.Buffer(100) },
	}
	for policy, with := range policies {
		for _, tc := range []struct {
			it     string
			says   script
			text   string // that stands in the end
			calls  int
			answer bool // an error of the answer's own must come out
		}{
			{"its line is cut behind the marker", script{"a", "b", ".", errLine}, "ab.", 1, false},
			{"it times out behind the marker", script{"a", ".", &strategies.TimeoutError{Limit: "x"}}, "a.", 0, true}, // ours says its class itself
			{"what is said of the answer counts", script{"a", ".", half}, "", 0, true},
			{"nothing goes wrong", script{"a", "."}, "a.", 1, false},
		} {
			t.Run(policy+": "+tc.it, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					agent := voices(tc.says)
					g := streaming(t, with(middleware.WrapStream(agent).Complete(ends).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}})))
					var text string
					var failed error
					for chunk, err := range g.Stream(t.Context(), "") {
						if failed = err; err == nil {
							text += chunk
						}
					}
					if tc.answer {
						if failed == nil {
							t.Error("no error")
						}
						return
					}
					expect(t, "error", failed, nil)
					expect(t, "text", text, tc.text)
					expect(t, "calls", len(agent.requests), tc.calls)
				})
			})
		}
	}
}

func TestRestart(t *testing.T) {
	for _, tc := range []struct {
		it       string
		agent    []script
		with     func(*streamBuilder) *streamBuilder
		read     string
		fails    bool
		by       string
		restarts int
	}{
		{"a cut is asked again, and the reader erases", []script{{"He", "llo", errLine}, {"Hi", "."}}, nil, "Hello<erase Hello>Hi.", false, "agent", 1},
		{"nothing is erased that was not read", []script{{errLine}, {"Hi", "."}}, nil, "Hi.", false, "agent", 0},
		{"a stand-in begins with the mark too", []script{{"a", errLine}, {errLine}}, func(b *streamBuilder) *streamBuilder {
			return b.Fallback("sage", voices(script{"S", "."}))
		}, "a<erase a>S.", false, "sage", 1},
		{"a rung begins with the mark too", []script{{"a", errLine}}, func(b *streamBuilder) *streamBuilder {
			return b.Degrade(strategies.LevelMinimal, middleware.Chunks[string]("sorry"))
		}, "a<erase a>a<erase a>sorry", false, "minimal answer", 2},
		{"it is erased as often as it is cut", []script{{"a", errLine}, {"b", errLine}}, nil, "a<erase a>b", true, "", 1},
		{"a silence is recovered as well", []script{{"a", time.Hour}, {"b", "."}}, func(b *streamBuilder) *streamBuilder { return b.Idle(time.Minute) }, "a<erase a>b.", false, "agent", 1},
		{"what no retry helps with is not begun again", []script{{"a", strategies.WithClass(strategies.ClassBlocked, errLine)}, {"b", "."}}, nil, "a", true, "", 0},
	} {
		t.Run(tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := middleware.WrapStream(voices(tc.agent...)).Complete(ends).Restart(marks).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}})
				if tc.with != nil {
					b = tc.with(b)
				}
				stream, outcome := streaming(t, b).Outcome(t.Context(), "")
				var read string
				var failed error
				for chunk, err := range stream {
					if failed = err; err == nil {
						read += chunk
					}
				}
				o := outcome()
				expect(t, "read", read, tc.read)
				expect(t, "failed", failed != nil, tc.fails)
				expect(t, "served by", o.ServedBy, tc.by)
				expect(t, "restarts", o.Restarts, tc.restarts)
				if failed != nil {
					expectIs(t, failed, strategies.ErrRecovery)
				}
			})
		})
	}
	t.Run("a reader who leaves at the mark has left", func(t *testing.T) {
		agent := voices(script{"a", errLine}, script{"b", "."})
		stream, outcome := streaming(t, middleware.WrapStream(agent).Complete(ends).Restart(marks).Retry(promptly)).Outcome(t.Context(), "")
		for chunk := range stream {
			if strings.HasPrefix(chunk, "<") {
				break
			}
		}
		expect(t, "left", outcome().Left, true)
		expect(t, "calls", len(agent.requests), 2)
	})
	t.Run("a mark that panics is a failure, and no crash", func(t *testing.T) {
		agent := voices(script{"a", errLine}, script{"b", "."})
		g := streaming(t, middleware.WrapStream(agent).Complete(ends).Restart(func([]string) string { panic("no mark") }).Retry(promptly))
		var failed error
		for _, err := range g.Stream(t.Context(), "") {
			failed = err
		}
		if p, ok := errors.AsType[*strategies.PanicError](failed); !ok || p.Value != "no mark" {
			t.Errorf("got %v", failed)
		}
	})
	t.Run("it is explained, and refused beside another policy", func(t *testing.T) {
		g := streaming(t, middleware.WrapStream(voices(script{"a"})).Restart(marks))
		if !strings.Contains(g.Explain().String(), "told to erase") {
			t.Errorf("not in %s", g.Explain())
		}
		for _, b := range []*streamBuilder{
			middleware.WrapStream(voices(script{"a"})).Restart(nil),
			middleware.WrapStream(voices(script{"a"})).Restart(marks).Buffer(3),
		} {
			_, err := b.Build()
			expectIs(t, err, strategies.ErrConfig)
		}
	})
}

// A commit rule may look for text alone; an agent that writes a call of a tool for
// an hour is well all the same, and one that only pings is not.
func TestAliveSaysWhatIsASignOfLife(t *testing.T) {
	text := func(chunk string) bool { return !strings.HasPrefix(chunk, "{") && chunk != "" }
	working := func(chunk string) bool { return chunk != "" }
	for _, tc := range []struct {
		it    string
		says  script
		alive func(string) bool
		fails bool
	}{
		{"pieces of a call keep it alive behind the commit", script{"a", 40 * time.Second, "{", 40 * time.Second, "{", 40 * time.Second, "."}, working, false},
		{"without a word they do not", script{"a", 40 * time.Second, "{", 40 * time.Second, "{", 40 * time.Second, "."}, nil, true},
		{"pings keep nothing alive behind the commit", script{"a", 40 * time.Second, "", 40 * time.Second, "", 40 * time.Second, "."}, working, true},
		{"pings keep nothing alive before it, if they are no signs of life", script{"{", 40 * time.Second, "", 40 * time.Second, "", 40 * time.Second, "a", "."}, working, true},
		{"before it they do, if nobody says what is", script{"{", 40 * time.Second, "", 40 * time.Second, "", 40 * time.Second, "a", "."}, nil, false},
	} {
		t.Run(tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := middleware.WrapStream(voices(tc.says)).Commit(text).Complete(ends).Idle(time.Minute)
				if tc.alive != nil {
					b.Alive(tc.alive)
				}
				var failed error
				for _, err := range streaming(t, b).Stream(t.Context(), "") {
					failed = err
				}
				expect(t, "failed", failed != nil, tc.fails)
			})
		})
	}
}
