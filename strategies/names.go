package strategies

import (
	"fmt"
	"strings"
)

// Each enum of this package has a text form, which is what String returns: in
// JSON, in text logs, in records that are stored. What was written is read back;
// numbers are never written, so that a new constant moves nothing.

type enum interface{ ~uint8 }

func nameOf[E enum](e E, names []string) string {
	if int(e) < len(names) && names[e] != "" {
		return names[e]
	}
	return "unknown"
}

func marshal[E enum](kind string, e E, names []string) ([]byte, error) {
	if int(e) < len(names) && names[e] != "" {
		return []byte(names[e]), nil
	}
	return nil, &ConfigError{Setting: kind, Problem: fmt.Sprintf("%d has no name", e), Fix: "use one of the constants"}
}

func unmarshal[E enum](kind string, e *E, text []byte, names []string) error {
	for i, name := range names {
		if name == string(text) && name != "" {
			*e = E(i)
			return nil
		}
	}
	return &ConfigError{Setting: kind, Problem: fmt.Sprintf("%.40q is not known", text), Fix: "use one of: " + strings.TrimPrefix(strings.Join(names, ", "), ", ")}
}

// String returns the class as it appears in logs and metrics: lower case, with
// underscores.
func (c Class) String() string { return nameOf(c, classNames[:]) }

// MarshalText writes what String returns.
func (c Class) MarshalText() ([]byte, error) { return marshal("class", c, classNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (c *Class) UnmarshalText(text []byte) error {
	return unmarshal("class", c, text, classNames[:])
}

// String returns none, retry, fallback, degradation or user_intervention.
func (s Strategy) String() string { return nameOf(s, strategyNames[:]) }

// MarshalText writes what String returns.
func (s Strategy) MarshalText() ([]byte, error) { return marshal("strategy", s, strategyNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (s *Strategy) UnmarshalText(text []byte) error {
	return unmarshal("strategy", s, text, strategyNames[:])
}

// String returns full, reduced, minimal or emergency.
func (l Level) String() string { return nameOf(l, levelNames[:]) }

// MarshalText writes what String returns.
func (l Level) MarshalText() ([]byte, error) { return marshal("level", l, levelNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (l *Level) UnmarshalText(text []byte) error {
	return unmarshal("level", l, text, levelNames[:])
}

// String returns closed, half-open, open, isolated or held.
func (s State) String() string { return nameOf(s, stateNames[:]) }

// MarshalText writes what String returns.
func (s State) MarshalText() ([]byte, error) { return marshal("state", s, stateNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (s *State) UnmarshalText(text []byte) error {
	return unmarshal("state", s, text, stateNames[:])
}

// String returns abort, retry, answer or use agent.
func (a Action) String() string { return nameOf(a, actionNames[:]) }

// MarshalText writes what String returns.
func (a Action) MarshalText() ([]byte, error) { return marshal("action", a, actionNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (a *Action) UnmarshalText(text []byte) error {
	return unmarshal("action", a, text, actionNames[:])
}

// String returns per_call or per_agent.
func (a Allowance) String() string { return nameOf(a, allowanceNames[:]) }

// MarshalText writes what String returns.
func (a Allowance) MarshalText() ([]byte, error) { return marshal("allowance", a, allowanceNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (a *Allowance) UnmarshalText(text []byte) error {
	return unmarshal("allowance", a, text, allowanceNames[:])
}

// String returns once, idempotent or read_only.
func (e Effect) String() string { return nameOf(e, effectNames[:]) }

// MarshalText writes what String returns.
func (e Effect) MarshalText() ([]byte, error) { return marshal("effect", e, effectNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (e *Effect) UnmarshalText(text []byte) error {
	return unmarshal("effect", e, text, effectNames[:])
}

// String returns dispatched, done, not_done, uncertain, undone, replayed or refused.
func (s EffectState) String() string { return nameOf(s, effectStateNames[:]) }

// MarshalText writes what String returns.
func (s EffectState) MarshalText() ([]byte, error) {
	return marshal("effect state", s, effectStateNames[:])
}

// UnmarshalText reads what MarshalText has written.
func (s *EffectState) UnmarshalText(text []byte) error {
	return unmarshal("effect state", s, text, effectStateNames[:])
}

// String returns put, gone, current or lost.
func (k ChangeKind) String() string { return nameOf(k, changeNames[:]) }

// MarshalText writes what String returns.
func (k ChangeKind) MarshalText() ([]byte, error) { return marshal("change kind", k, changeNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (k *ChangeKind) UnmarshalText(text []byte) error {
	return unmarshal("change kind", k, text, changeNames[:])
}

// String returns nothing, counts or holds.
func (m Memory) String() string { return nameOf(m, memoryNames[:]) }

// MarshalText writes what String returns.
func (m Memory) MarshalText() ([]byte, error) { return marshal("memory", m, memoryNames[:]) }

// UnmarshalText reads what MarshalText has written.
func (m *Memory) UnmarshalText(text []byte) error {
	return unmarshal("memory", m, text, memoryNames[:])
}

// String returns away, back, size or skipped.
func (k FleetKind) String() string { return nameOf(k, fleetKindNames[:]) }

// MarshalText writes what String returns.
func (k FleetKind) MarshalText() ([]byte, error) {
	return marshal("fleet change", k, fleetKindNames[:])
}

// UnmarshalText reads what MarshalText has written.
func (k *FleetKind) UnmarshalText(text []byte) error {
	return unmarshal("fleet change", k, text, fleetKindNames[:])
}
