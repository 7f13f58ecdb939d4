package strategies

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrLimit is matched by every [LimitError].
var ErrLimit = errors.New("understudy: usage limit reached")

// Usage is what a call has cost, or a part of it.
type Usage struct {
	// Calls is how many attempts were begun: of agents, stand-ins, rungs and nested
	// agents, with the requests that a client sent besides.
	Calls int
	// TokensIn is what was read, with what came from a cache, and TokensOut what was
	// written, with what was only thought. TokensCached is the part of TokensIn that
	// came from a cache.
	TokensIn, TokensOut, TokensCached int
	// Money is in millionths of a currency unit: of whichever the prices are in.
	Money int64
}

// Tokens is what was read and written.
func (u Usage) Tokens() int { return plus(u.TokensIn, u.TokensOut, math.MaxInt) }

// Add returns the sum. It does not overflow.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		Calls: plus(u.Calls, v.Calls, math.MaxInt), TokensIn: plus(u.TokensIn, v.TokensIn, math.MaxInt), TokensOut: plus(u.TokensOut, v.TokensOut, math.MaxInt),
		TokensCached: plus(u.TokensCached, v.TokensCached, math.MaxInt), Money: plus(u.Money, v.Money, math.MaxInt64),
	}
}

// String names what there is: "3 calls, 1200 tokens in, 340 out, 0.0125 in money".
func (u Usage) String() string {
	parts := []string{plural(u.Calls, "call")}
	if u.TokensIn != 0 || u.TokensOut != 0 {
		parts = append(parts, fmt.Sprintf("%d tokens in, %d out", u.TokensIn, u.TokensOut))
	}
	if u.Money != 0 {
		parts = append(parts, moneyText(u.Money)+" in money")
	}
	return strings.Join(parts, ", ")
}

// plus adds without an overflow: most is the most that its type holds.
func plus[T interface{ ~int | ~int64 }](a, b, most T) T {
	switch {
	case b > 0 && a > most-b:
		return most
	case b < 0 && a < -most-b:
		return -most
	}
	return a + b
}

// moneyText is an amount in whole units.
func moneyText(millionths int64) string {
	sign := ""
	whole, rest := millionths/1e6, millionths%1e6
	if millionths < 0 {
		sign, whole, rest = "-", -whole, -rest
	}
	text := fmt.Sprintf("%s%d.%06d", sign, whole, rest)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// UsageLimits is the most that one call may cost, in all its layers and nested
// agents. A limit of 0 is none. What cannot be afforded any more is not begun, and
// fails with a [LimitError]; what is under way is not ended. Calls are charged
// before they begin, so that their limit is exact. Tokens and money are charged
// when they are known: what is under way when they run out may go above it.
type UsageLimits struct {
	Calls     int           // attempts, of whomever
	TokensIn  int           // read
	TokensOut int           // written
	Tokens    int           // both
	Money     int64         // in millionths of a currency unit
	Time      time.Duration // since the call began; no attempt begins after it
}

// Validate refuses negative numbers, a time without a unit, and limits of nothing.
func (l UsageLimits) Validate() error {
	var p problems
	const fix = "leave it 0 for no limit"
	negative(&p, "UsageLimits.Calls", l.Calls, fix)
	negative(&p, "UsageLimits.TokensIn", l.TokensIn, fix)
	negative(&p, "UsageLimits.TokensOut", l.TokensOut, fix)
	negative(&p, "UsageLimits.Tokens", l.Tokens, fix)
	negative(&p, "UsageLimits.Money", l.Money, fix)
	negative(&p, "UsageLimits.Time", l.Time, fix)
	if l == (UsageLimits{}) {
		p.add("UsageLimits", "limits nothing", "set one of its fields, or leave it out")
	}
	return p.err()
}

// String names the limits that are set: "20 calls, 50000 tokens, 0.5 in money".
func (l UsageLimits) String() string {
	var parts []string
	add := func(value int64, text string) {
		if value != 0 {
			parts = append(parts, text)
		}
	}
	add(int64(l.Calls), plural(l.Calls, "call"))
	add(int64(l.TokensIn), fmt.Sprintf("%d tokens in", l.TokensIn))
	add(int64(l.TokensOut), fmt.Sprintf("%d tokens out", l.TokensOut))
	add(int64(l.Tokens), fmt.Sprintf("%d tokens", l.Tokens))
	add(l.Money, moneyText(l.Money)+" in money")
	add(int64(l.Time), l.Time.String())
	return cmp.Or(strings.Join(parts, ", "), "no limits")
}

// Over says which limit leaves no room for one more call, or nil. took is how long
// the whole has lasted.
func (l UsageLimits) Over(spent Usage, took time.Duration) *LimitError {
	for _, each := range [...]struct {
		name       string
		max, spent int64
	}{
		{"calls", int64(l.Calls), int64(spent.Calls)},
		{"tokens in", int64(l.TokensIn), int64(spent.TokensIn)},
		{"tokens out", int64(l.TokensOut), int64(spent.TokensOut)},
		{"tokens", int64(l.Tokens), int64(spent.Tokens())},
		{"money", l.Money, spent.Money},
		{"time", int64(l.Time), int64(took)},
	} {
		if each.max > 0 && each.spent >= each.max {
			return &LimitError{Limit: each.name, Max: each.max, Spent: each.spent, Usage: spent}
		}
	}
	return nil
}

// LimitError is an attempt that was not begun, because one of the [UsageLimits] of
// its call, or of one that caused it, has been reached. Nobody was called. What
// costs nothing may still answer.
type LimitError struct {
	Limit      string // "calls", "tokens in", "tokens out", "tokens", "money" or "time"
	Max, Spent int64  // in the limit's own unit: millionths of a currency unit, nanoseconds
	By         string // the agent whose limit it is; "": that of a whole tree of agents
	Usage      Usage  // what had been spent
	// Key is whose allowance it is, of an agent that keeps one for each; "": of a call.
	// Wait is how long it takes until that begins anew.
	Key  string
	Wait time.Duration
}

func (e *LimitError) Error() string {
	whose := "the usage limit of this tree of agents"
	if e.By != "" {
		whose = fmt.Sprintf("the usage limit of agent %q", e.By)
	}
	again := ""
	if e.Key != "" {
		whose = fmt.Sprintf("the allowance of %q of agent %q", e.Key, e.By)
		again = fmt.Sprintf("; it begins anew in %v", e.Wait.Round(time.Second))
	}
	number := func(n int64) string {
		switch e.Limit {
		case "money":
			return moneyText(n)
		case "time":
			return time.Duration(n).String()
		}
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("understudy: %s is reached: %s of %s %s%s", whose, number(e.Spent), number(e.Max), e.Limit, again)
}

// Is makes a LimitError match [ErrLimit], and [ErrRejected]: nobody was called.
func (e *LimitError) Is(target error) bool { return target == ErrLimit || target == ErrRejected }

// RecoveryClass is [ClassOverLimit].
func (e *LimitError) RecoveryClass() Class { return ClassOverLimit }
