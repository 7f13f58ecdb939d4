package conformance_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// models is a provider without a wire: a script of errors, then answers.
type models struct {
	mu     sync.Mutex
	script map[string][]error
	asked  map[string]int
}

func (m *models) Requests(model string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[model]
}

func (m *models) Total() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, each := range m.asked {
		n += each
	}
	return n
}

func (m *models) next(model string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.asked[model]
	m.asked[model]++
	if n < len(m.script[model]) {
		return m.script[model][n]
	}
	return nil
}

func (m *models) agent(model string) middleware.Runner[string, string] {
	return middleware.Func(func(ctx context.Context, _ string) (string, error) {
		switch err := m.next(model); {
		case errors.Is(err, errHang):
			<-ctx.Done()
			return "", ctx.Err()
		case err != nil:
			return "", err
		}
		return conformance.Says(model), nil
	})
}

func (m *models) stream(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := m.next(conformance.Narrator)
		if errors.Is(err, errLater) && !yield("A ", nil) {
			return
		}
		if err != nil {
			yield("", err)
			return
		}
		yield(conformance.Says(conformance.Narrator), nil)
	}
}

var (
	errHang  = errors.New("hangs")
	errReset = errors.New("connection reset")
	errLater = errors.New("connection reset after a word")
	errTool  = errors.New("wants a door opened")
)

func ofClass(c strategies.Class) error { return strategies.WithClass(c, errors.New(c.String())) }

// slowDown is a rate limit with a wait.
type slowDown struct{}

func (slowDown) Error() string                   { return "slow down" }
func (slowDown) RecoveryClass() strategies.Class { return strategies.ClassRateLimited }
func (slowDown) RecoveryHint() time.Duration     { return conformance.Wait }

func TestRunPlaysAnAdapterThatKeepsTheTable(t *testing.T) {
	conformance.Run(t, conformance.Adapter[error]{
		Faults: conformance.Faults[error]{
			conformance.Unavailable: {errReset},
			conformance.RateLimited: {slowDown{}},
			conformance.Quota:       {ofClass(strategies.ClassQuotaExhausted)},
			conformance.Overflow:    {ofClass(strategies.ClassContextOverflow), ofClass(strategies.ClassContextOverflow)},
			conformance.Hang:        {errHang},
			conformance.Overloaded:  {ofClass(strategies.ClassOverloaded)},
			conformance.Drop:        {errReset},
		},
		Ways: conformance.Ways[error]{"": func(t *testing.T, s conformance.Scene[error]) conformance.Result {
			m := &models{script: s.Script, asked: map[string]int{}}
			b := conformance.Set(middleware.Wrap(m.agent(conformance.Narrator)), s)
			if s.StandIn.Name != "" {
				b.Fallback(s.StandIn.Name, m.agent(s.StandIn.Model))
			}
			if s.Reduced != "" {
				b.Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, string) (string, error) { return s.Reduced, nil }))
			}
			return conformance.Of(conformance.Built(t, b).Outcome(t.Context(), "who?"), func(s string) string { return s }, m)
		}},
		Cuts: []conformance.Cut[error]{
			conformance.Retried("one cut before its first word", errReset),
			conformance.Ended("one cut after its first word", errLater, "A ", strategies.ClassTransient),
		},
		Stream: func(t *testing.T, cut conformance.Cut[error]) conformance.Result {
			m := &models{script: cut.Script(), asked: map[string]int{}}
			g := conformance.Built(t, middleware.WrapStream(middleware.StreamFunc(m.stream)).Named(conformance.Narrator).Retry(conformance.Soon))
			return conformance.Heard(t, g, "who?", func(words []string) string { return strings.Join(words, "") }, m)
		},
		Interrupt: conformance.Pause[string, string, string]{
			Ask: "who?", Answers: map[string]string{conformance.ToolCall: errTool.Error()},
			Agent: func(_ *testing.T, answer string) (middleware.Runner[string, string], conformance.Provider) {
				m := &models{asked: map[string]int{}}
				return middleware.Func(func(context.Context, string) (string, error) { return answer, m.next(conformance.Narrator) }), m
			},
			Wants: func(answer string) bool { return answer == errTool.Error() },
			Reply: middleware.Func(func(context.Context, string) (string, error) { return "no", nil }),
		}.Play,
	})
}

// A kit that never says no is no kit.
func TestProblemsAreSeen(t *testing.T) {
	counts := func(narrator, archivist int) *models {
		return &models{asked: map[string]int{conformance.Narrator: narrator, "archivist": archivist}}
	}
	good := conformance.Result{Text: "The innkeeper shrugs.", Level: strategies.LevelReduced, Provider: counts(3, 1)}
	told := middleware.Event{
		Kind: middleware.EventRecovered, ServedBy: "reduced answer", Strategy: strategies.StrategyDegradation, Attempt: 5, Level: strategies.LevelReduced,
	}
	for name, tc := range map[string]struct {
		change func(r *conformance.Result, e *middleware.Event)
		says   string // "": no problem
	}{
		"nothing where all is well":            {func(*conformance.Result, *middleware.Event) {}, ""},
		"nothing where the answer says it too": {func(r *conformance.Result, _ *middleware.Event) { r.Attempts = 5 }, ""},
		"an error":                             {func(r *conformance.Result, _ *middleware.Event) { r.Err = errReset }, "connection reset; want"},
		"another text":                         {func(r *conformance.Result, _ *middleware.Event) { r.Text = "no" }, `got "no"`},
		"a reduced answer that is not marked":  {func(r *conformance.Result, _ *middleware.Event) { r.Level = strategies.LevelFull }, "marked full, want reduced"},
		"an answer that counts wrong":          {func(r *conformance.Result, _ *middleware.Event) { r.Attempts = 4 }, "4 attempts"},
		"an answer that names another":         {func(r *conformance.Result, _ *middleware.Event) { r.ServedBy = "narrator" }, "by narrator"},
		"an answer by another strategy":        {func(r *conformance.Result, _ *middleware.Event) { r.Strategy = strategies.StrategyRetry }, "retry"},
		"an event that counts wrong":           {func(_ *conformance.Result, e *middleware.Event) { e.Attempt = 6 }, "the event says"},
		"no event":                             {func(_ *conformance.Result, e *middleware.Event) { e.Kind = middleware.EventFailed }, "0 events say that it recovered"},
		"a request too many":                   {func(r *conformance.Result, _ *middleware.Event) { r.Provider = counts(4, 1) }, "narrator saw 4 requests, want exactly 3"},
		"a request too few":                    {func(r *conformance.Result, _ *middleware.Event) { r.Provider = counts(3, 0) }, "archivist saw 0 requests, want exactly 1"},
		"a request of somebody else's": {func(r *conformance.Result, _ *middleware.Event) {
			m := counts(3, 1)
			m.asked["ghost"] = 1
			r.Provider = m
		}, "5 requests in all, want exactly 4"},
		"that nobody counts": {func(r *conformance.Result, _ *middleware.Event) { r.Provider = nil }, "who counts"},
	} {
		t.Run("it sees "+name, func(t *testing.T) {
			result, event := good, told
			tc.change(&result, &event)
			sees(t, conformance.Problems(conformance.AllDownDegraded, result, []middleware.Event{event}), tc.says)
		})
	}
	t.Run("it sees a wait that is too short, or for something else", func(t *testing.T) {
		result := conformance.Result{Text: conformance.Says(conformance.Narrator), Provider: counts(2, 0)}
		recovered := middleware.Event{Kind: middleware.EventRecovered, ServedBy: conformance.Narrator, Strategy: strategies.StrategyRetry, Attempt: 2}
		waited := middleware.Event{Kind: middleware.EventRetryScheduled, Class: strategies.ClassRateLimited, Delay: conformance.Wait}
		play := func() []string {
			return conformance.Problems(conformance.RateLimitHonoured, result, []middleware.Event{waited, recovered})
		}
		sees(t, play(), "")
		waited.Delay--
		sees(t, play(), "where the provider asked for 30ms")
		waited.Delay, waited.Class = conformance.Wait, strategies.ClassTransient
		sees(t, play(), "of class transient")
	})
}

func TestCutProblemsAreSeen(t *testing.T) {
	once := &models{asked: map[string]int{conformance.Narrator: 1}}
	cut := conformance.Ended("", errLater, "A ", strategies.ClassTransient)
	good := conformance.Result{Text: "A ", Sent: "A ", Provider: once, Err: &strategies.StreamError{Agent: "narrator", Chunks: 1, Err: errReset}}
	for name, tc := range map[string]struct {
		change func(r *conformance.Result)
		says   string
	}{
		"nothing where all is well":   {func(*conformance.Result) {}, ""},
		"words that were said twice":  {func(r *conformance.Result) { r.Text = "A A " }, `got "A A "`},
		"a cut taken for an end":      {func(r *conformance.Result) { r.Err = nil }, "want a StreamError"},
		"an error of another kind":    {func(r *conformance.Result) { r.Err = errReset }, "want a StreamError"},
		"another failure behind":      {func(r *conformance.Result) { r.Err = &strategies.StreamError{Err: ofClass(strategies.ClassBlocked)} }, "of class blocked, want transient"},
		"an account of other words":   {func(r *conformance.Result) { r.Sent = "" }, `says that "" was sent`},
		"a request after the words":   {func(r *conformance.Result) { r.Provider = &models{asked: map[string]int{conformance.Narrator: 2}} }, "2 requests, want exactly 1"},
		"a stream that nobody counts": {func(r *conformance.Result) { r.Provider = nil }, "who counts"},
	} {
		t.Run("it sees "+name, func(t *testing.T) {
			result := good
			tc.change(&result)
			sees(t, conformance.CutProblems(cut, result), tc.says)
		})
	}
	t.Run("it sees an error where the stream was to be retried", func(t *testing.T) {
		sees(t, conformance.CutProblems(conformance.Retried("", errReset), conformance.Result{
			Text: conformance.Says(conformance.Narrator), Err: errReset, Provider: &models{asked: map[string]int{conformance.Narrator: 2}},
		}), "got the error connection reset")
	})
}

func sees(t *testing.T, problems []string, says string) {
	t.Helper()
	all := strings.Join(problems, "\n")
	if says == "" && all != "" || !strings.Contains(all, says) {
		t.Errorf("the kit says %q, want %q", all, says)
	}
}
