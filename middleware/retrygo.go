package middleware

import (
	"context"
	"time"

	retrygo "github.com/avast/retry-go/v4"
)

// This is the only file that knows retry-go, the engine of the retry loop. It
// is entered after the first attempt has failed, with that failure replayed, so
// that a healthy call does not pay for it. Four of its traits shape what is below.
//
//   - It looks at the context only while it sleeps, and with no delay not even
//     then for sure. So every attempt looks first.
//   - RetryIf runs before DelayType. So the one question, whether and when, is
//     asked in RetryIf, and its answer kept for DelayType; no jitter, cap or
//     combination of the engine's is used.
//   - A RetryIf of one's own switches off Unrecoverable. So decide asks for it.
//   - It drops what it was told when a context ends. So decide keeps the errors.

// retryLoop calls attempt after delay, and again after each delay that decide
// grants, at most most times; true means that an attempt succeeded. decide is
// asked exactly once for each failure, but not for first, which is replayed to
// let the engine in: its answer is delay.
func retryLoop(ctx context.Context, most int, first error, delay time.Duration, decide func(error) (time.Duration, bool), attempt func() error) bool {
	replayed, left := false, false // left: the context ended before an attempt that was due
	err := retrygo.Do(
		func() error {
			if !replayed {
				return first
			}
			if left = ctx.Err() != nil; left {
				return ctx.Err()
			}
			return attempt()
		},
		retrygo.Context(ctx),
		retrygo.Attempts(uint(most)+1),
		retrygo.RetryIf(func(err error) (again bool) {
			switch {
			case !replayed:
				replayed, again = true, true
			case !left:
				delay, again = decide(err)
			}
			return again
		}),
		retrygo.DelayType(func(uint, error, *retrygo.Config) time.Duration { return max(delay, 0) }),
		retrygo.LastErrorOnly(true),
	)
	return err == nil
}

// unrecoverable says whether an agent that knows the engine has marked its error
// for it.
func unrecoverable(err error) bool { return !retrygo.IsRecoverable(err) }
