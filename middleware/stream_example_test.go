package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// storyteller tells a story word by word; what it is told to do wrong is done
// once.
type storyteller struct {
	story   string
	breakAt int // the word before which the connection is lost; 0: none
	broken  bool
}

func (s *storyteller) Stream(_ context.Context, from string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		rest := strings.TrimPrefix(s.story, from)
		for i, word := range strings.Fields(rest) {
			if s.breakAt == i+1 && !s.broken {
				s.broken = true
				yield("", errors.New("connection reset"))
				return
			}
			if !yield(word, nil) {
				return
			}
		}
	}
}

// A stream that fails before its first word is recovered like any call: here a
// stand-in tells the story.
func ExampleWrapStream() {
	ctx := context.Background()
	teller := &storyteller{story: "Once upon a time", breakAt: 1}
	guarded, err := middleware.WrapStream(teller).
		Named("teller").
		Fallback("minstrel", &storyteller{story: "There was a king"}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	for word, err := range guarded.Stream(ctx, "") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(word)
	}
	// Output:
	// There
	// was
	// a
	// king
}

// Many providers open with a chunk that says nothing. Until one does, everything
// is recoverable.
func ExampleStreamBuilder_Commit() {
	calls := 0
	guarded, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			calls++
			if !yield("", nil) { // the role, without a word
				return
			}
			if calls == 1 {
				yield("", errors.New("connection reset"))
				return
			}
			yield("Hello!", nil)
		}
	}).
		Commit(func(chunk string) bool { return chunk != "" }).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	chunks, err := middleware.Collect(guarded.Stream(context.Background(), "greet"))
	fmt.Printf("%q %v after %d calls\n", chunks, err, calls)
	// Output: ["" "Hello!"] <nil> after 2 calls
}

// A stream that is cut off is gone on with, and its reader sees one stream.
func ExampleStreamBuilder_Continue() {
	teller := &storyteller{story: "Once upon a time there was a king", breakAt: 4}
	guarded, err := middleware.WrapStream(teller).
		Continue(2, func(_ context.Context, _ string, sent []string) (string, bool) {
			return strings.Join(sent, " "), true
		}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	chunks, err := middleware.Collect(guarded.Stream(context.Background(), ""))
	fmt.Println(strings.Join(chunks, " "), err)
	// Output: Once upon a time there was a king <nil>
}

// Only whole answers are delivered, so that all of recovery applies.
func ExampleStreamBuilder_Buffer() {
	teller := &storyteller{story: "Once upon a time", breakAt: 3}
	guarded, err := middleware.WrapStream(teller).
		Buffer(1000).
		ValidateWhole(func(_ context.Context, _ string, words []string) error {
			if len(words) < 3 {
				return errors.New("too short for a story")
			}
			return nil
		}).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	chunks, err := middleware.Collect(guarded.Stream(context.Background(), ""))
	fmt.Println(strings.Join(chunks, " "), err)
	// Output: Once upon a time <nil>
}

// What had been said before the end can be had from the error.
func ExampleSent() {
	teller := &storyteller{story: "Once upon a time", breakAt: 3}
	guarded, err := middleware.WrapStream(teller).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = middleware.Collect(guarded.Stream(context.Background(), ""))
	sent, ok := middleware.Sent[string](err)
	fmt.Printf("%q %v\n", sent, ok)
	// Output: ["Once" "upon"] true
}

func ExampleFromChannel() {
	agent := middleware.FromChannel(func(ctx context.Context, req string) (<-chan string, func() error, error) {
		words := make(chan string)
		go func() {
			defer close(words)
			for _, word := range strings.Fields(req) {
				select {
				case words <- word:
				case <-ctx.Done(): // the reader has left
					return
				}
			}
		}()
		return words, nil, nil // a stream that cannot fail has no error to tell
	})
	guarded, err := middleware.WrapStream(agent).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	for word := range guarded.Stream(context.Background(), "the gate is open") {
		fmt.Println(word)
		if word == "gate" {
			break
		}
	}
	// Output:
	// the
	// gate
}

func ExampleFromCallback() {
	agent := middleware.FromCallback(func(_ context.Context, req string, emit func(string) error) error {
		for _, word := range strings.Fields(req) {
			if err := emit(word); err != nil {
				return err // the reader has left
			}
		}
		return nil
	})
	guarded, err := middleware.WrapStream(agent).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	for word, err := range guarded.Stream(context.Background(), "the gate is open") {
		fmt.Println(word, err)
	}
	// Output:
	// the <nil>
	// gate <nil>
	// is <nil>
	// open <nil>
}

func ExampleCollect() {
	guarded, err := middleware.WrapStream(&storyteller{story: "Once upon a time"}).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	chunks, err := middleware.Collect(guarded.Stream(context.Background(), ""))
	fmt.Printf("%q %v\n", chunks, err)
	// Output: ["Once" "upon" "a" "time"] <nil>
}

// Who spoke, and how it came to that, is known once the stream has ended.
func ExampleGuardedStream_Outcome() {
	teller := &storyteller{story: "Once upon a time there was a king", breakAt: 4}
	guarded, err := middleware.WrapStream(teller).
		Named("teller").
		Continue(1, func(_ context.Context, _ string, sent []string) (string, bool) { return strings.Join(sent, " "), true }).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, outcome := guarded.Outcome(context.Background(), "")
	chunks, err := middleware.Collect(stream)
	fmt.Println(len(chunks), err)
	o := outcome()
	fmt.Println(o.Strategy, o.Sources, o.Continuations)
	// Output:
	// 8 <nil>
	// retry [{teller 3} {teller 5}] 1
}

// A rung may say a fixed sentence, or stream too.
func ExampleChunks() {
	teller := &storyteller{story: "Once upon a time", breakAt: 1}
	guarded, err := middleware.WrapStream(teller).
		Degrade(strategies.LevelEmergency, middleware.Chunks[string]("The", "storyteller", "sleeps.")).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, outcome := guarded.Outcome(context.Background(), "")
	chunks, err := middleware.Collect(stream)
	fmt.Println(strings.Join(chunks, " "), err)
	fmt.Println(outcome().Level, "from", outcome().ServedBy)
	// Output:
	// The storyteller sleeps. <nil>
	// emergency from emergency answer
}

// bard answers whole and word by word, from one provider that is down.
type bard struct{}

func (bard) Run(context.Context, string) (string, error) { return "", errors.New("503 no capacity") }

func (b bard) Stream(ctx context.Context, req string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		_, err := b.Run(ctx, req)
		yield("", err)
	}
}

// What one chain has learned, the other knows.
func ExampleSettings() {
	agent := bard{}
	common := new(middleware.Settings).
		Named("bard").
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		CircuitBreaker(&strategies.Breaker{Failures: 2}).
		Timeout(10 * time.Second)
	whole := middleware.Must(middleware.Wrap(agent).With(common).Build())
	streamed := middleware.Must(middleware.WrapStream(agent).With(common).Build())

	_, err := whole.Run(context.Background(), "a song")
	fmt.Println(errors.Is(err, strategies.ErrRejected))
	_, err = middleware.Collect(streamed.Stream(context.Background(), "a song"))
	fmt.Println(errors.Is(err, strategies.ErrRejected), streamed.Health().Failures)
	// Output:
	// false
	// true 2
}

// A stream whose first word is late: a stand-in is asked too, and the reader hears
// whoever speaks first.
func ExampleStreamBuilder_Hedge() {
	silent := middleware.StreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
		return func(func(string, error) bool) { <-ctx.Done() }
	})
	guarded, err := middleware.WrapStream(silent).
		Fallback("minstrel", &storyteller{story: "There was a king"}).
		Hedge(&strategies.Hedge{
			After:    10 * time.Millisecond, // 0: learned from the streams that were heard
			MaxRatio: 1,                     // 0: at most one stream in twenty is asked for twice
			ReadOnly: true,                  // neither of the two changes anything
		}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	words, err := middleware.Collect(guarded.Stream(context.Background(), ""))
	fmt.Println(strings.Join(words, " "), err)
	// Output: There was a king <nil>
}
