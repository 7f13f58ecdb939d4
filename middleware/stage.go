package middleware

import (
	"fmt"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// Stage names a place in the documented order, outermost first.
type Stage uint8

// The stages. [Builder.Use] and [Builder.Around] put something directly outside
// of the layer of a stage, or where it would stand.
const (
	StageObserve Stage = iota
	StageIdentify
	StageCoalesce
	StageIntervene
	StageDegrade
	StageDeadline
	StageFallback
	StageHedge
	StageRetry
	StageBreaker
	StagePace
	StageBulkhead
	StageRenew
	StageTimeout
	StageValidate
	StageRecover
	StageAgent

	stages
)

var stageNames = [stages]string{
	"observe", "identify", "coalesce", "intervene", "degrade", "deadline", "fallback", "hedge", "retry",
	"breaker", "pace", "bulkhead", "renew", "timeout", "validate", "recover", "agent",
}

// String returns the name of the stage as in the documented order.
func (s Stage) String() string {
	if s < stages {
		return stageNames[s]
	}
	return "unknown"
}

// MarshalText returns the name: numbers change when a layer comes in between.
func (s Stage) MarshalText() ([]byte, error) { return textOf("stage", s, s < stages) }

// UnmarshalText reads a name back.
func (s *Stage) UnmarshalText(text []byte) error {
	return readText("stage", text, stageNames[:], func(i int) { *s = Stage(i) })
}

func textOf(what string, v fmt.Stringer, known bool) ([]byte, error) {
	if !known {
		return nil, fmt.Errorf("understudy: %s %d is none of ours", what, v)
	}
	return []byte(v.String()), nil
}

func readText(what string, text []byte, names []string, set func(i int)) error {
	i := slices.Index(names, string(text))
	if i < 0 || names[i] == "" {
		return fmt.Errorf("understudy: %q is no %s: use one of %q", text, what, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" }))
	}
	set(i)
	return nil
}

func unknownStage(setting string, s Stage) error {
	return &strategies.ConfigError{Setting: setting, Problem: fmt.Sprintf("names stage %d", s), Fix: "use one of the Stage constants"}
}
