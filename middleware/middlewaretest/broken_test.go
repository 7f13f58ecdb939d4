package middlewaretest_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

// broken is a layer that is wrong in one way.
type broken struct {
	layer   func() textLayer
	allowed []middlewaretest.Liberty
	rule    string // the only one it breaks
	says    string // part of what the suite says about it
	hangs   bool   // for good, so that the clock on the wall must tell
}

// each makes a layer without state of a function.
func each(run func(ctx context.Context, req string, next text) (string, error)) func() textLayer {
	return func() textLayer {
		return func(next text) text {
			return middleware.Func(func(ctx context.Context, req string) (string, error) { return run(ctx, req, next) })
		}
	}
}

func interrupted(err error) bool { return strategies.Classify(err).Class == strategies.ClassInterrupt }

var errBusy = errors.New("busy")

func brokenLayers() map[string]broken {
	const retries, recovery, refusals = middlewaretest.AllowRetries, middlewaretest.AllowRecovery, middlewaretest.AllowRefusals
	type liberties = []middlewaretest.Liberty
	return map[string]broken{
		"it changes the answer": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				return strings.ToUpper(resp), err
			}),
			rule: "hands on request and answer", says: `has the answer "ANSWER 0"`,
		},
		"it changes the request": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) { return next.Run(ctx, req+"!") }),
			rule:  "hands on request and answer", says: `the agent is asked "question 0!"`,
		},
		"it asks a healthy agent twice": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				if resp, err := next.Run(ctx, req); err != nil {
					return resp, err
				}
				return next.Run(ctx, req)
			}),
			rule: "hands on request and answer", says: "2 times in one call",
		},
		"it replaces the error by a text": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil && !interrupted(err) {
					err = errors.New(err.Error())
				}
				return resp, err
			}),
			rule: "hands on the error", says: "by errors.Is",
		},
		"it recovers, which is not allowed": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if c := strategies.Classify(err).Class; c == strategies.ClassBadRequest {
					return "let us say yes", nil
				}
				return resp, err
			}),
			rule: "hands on the error", says: "AllowRecovery would allow it",
		},
		"it returns an earlier answer with the error": {
			layer: func() textLayer {
				var last atomic.Value
				return each(func(ctx context.Context, req string, next text) (string, error) {
					resp, err := next.Run(ctx, req)
					if err == nil {
						last.Store(resp)
					} else if before, ok := last.Load().(string); ok {
						resp = before
					}
					return resp, err
				})()
			},
			rule: "answers zero with an error", says: `not zero: "answer 0"`,
		},
		"it makes an error of a panic, and an answer too": {
			layer: each(func(ctx context.Context, req string, next text) (resp string, err error) {
				defer func() {
					if v := recover(); v != nil {
						resp, err = "sorry", errors.New("panic")
					}
				}()
				return next.Run(ctx, req)
			}),
			rule: "answers zero with an error", says: "of a panic",
		},
		"it asks again, which is not allowed": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil && ctx.Err() == nil && !interrupted(err) {
					return next.Run(ctx, req)
				}
				return resp, err
			}),
			rule: "asks a failing agent once", says: "2 times; AllowRetries would allow it",
		},
		"it swallows an interrupt": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if interrupted(err) {
					return "approved, surely", nil
				}
				return resp, err
			}),
			allowed: liberties{recovery},
			rule:    "leaves an interrupt alone", says: "approved, surely",
		},
		"it takes an interrupt for a failure": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil && ctx.Err() == nil {
					return next.Run(ctx, req)
				}
				return resp, err
			}),
			allowed: liberties{retries},
			rule:    "leaves an interrupt alone", says: "asked again (2 times)",
		},
		"it hides the values of the context": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				return next.Run(valueless{ctx}, req)
			}),
			rule: "hands on the context", says: "does not see a value",
		},
		"it hides them from the second attempt": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil && ctx.Err() == nil && !interrupted(err) {
					return next.Run(valueless{ctx}, req)
				}
				return resp, err
			}),
			allowed: liberties{retries},
			rule:    "hands on the context", says: "does not see a value",
		},
		"it goes on without the caller": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				return next.Run(context.WithoutCancel(ctx), req)
			}),
			rule: "respects a cancelled context", says: "goes on for 59m59",
		},
		"it sleeps, deaf to the context": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil {
					time.Sleep(time.Minute)
				}
				return resp, err
			}),
			rule: "respects a cancelled context", says: "after a failure, the call goes on for 59.9",
		},
		"it asks again after the caller has left": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil && !interrupted(err) {
					time.Sleep(time.Millisecond)
					return next.Run(ctx, req)
				}
				return resp, err
			}),
			allowed: liberties{retries},
			rule:    "respects a cancelled context", says: "asked after the context has ended",
		},
		"it asks again for a caller who has left before": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				if ctx.Err() != nil {
					_, _ = next.Run(ctx, req)
				}
				return next.Run(ctx, req)
			}),
			allowed: liberties{retries},
			rule:    "respects a cancelled context", says: "no reason to ask again (2 times)",
		},
		"it makes no error of a cancellation": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if ctx.Err() != nil {
					return "", nil
				}
				return resp, err
			}),
			rule: "respects a cancelled context", says: "a cancelled call has the answer",
		},
		"it keeps the request in a field": {
			layer: func() textLayer {
				var field atomic.Value
				return each(func(ctx context.Context, req string, next text) (string, error) {
					field.Store(req)
					for range 10 {
						runtime.Gosched()
					}
					return next.Run(ctx, field.Load().(string))
				})()
			},
			rule: "is safe for concurrent use", says: "another's answer",
		},
		"it keeps the error in a field": {
			layer: func() textLayer {
				var field atomic.Pointer[error]
				return each(func(ctx context.Context, req string, next text) (string, error) {
					resp, err := next.Run(ctx, req)
					if err == nil {
						return resp, nil
					}
					field.Store(&err)
					for range 10 {
						runtime.Gosched()
					}
					return resp, *field.Load()
				})()
			},
			rule: "is safe for concurrent use", says: "another's error",
		},
		"it refuses when busy, which is not allowed": {
			layer: func() textLayer {
				var taken atomic.Bool
				return each(func(ctx context.Context, req string, next text) (string, error) {
					if !taken.CompareAndSwap(false, true) {
						return "", errBusy
					}
					defer taken.Store(false)
					return next.Run(ctx, req)
				})()
			},
			rule: "is safe for concurrent use", says: "the error busy",
		},
		"it keeps its slot after a panic": {
			layer: func() textLayer {
				var taken atomic.Bool
				return each(func(ctx context.Context, req string, next text) (string, error) {
					if !taken.CompareAndSwap(false, true) {
						return "", errBusy
					}
					defer func() {
						if v := recover(); v != nil {
							panic(v)
						}
						taken.Store(false)
					}()
					return next.Run(ctx, req)
				})()
			},
			allowed: liberties{refusals},
			rule:    "survives a panic", says: "after a panic has the answer \"\" and the error busy",
		},
		"it makes an answer of a panic": {
			layer: each(func(ctx context.Context, req string, next text) (resp string, err error) {
				defer func() { _ = recover() }()
				return next.Run(ctx, req)
			}),
			rule: "survives a panic", says: "ends by panic has the answer",
		},
		"it keeps its slot after a Goexit": {
			layer: func() textLayer {
				var taken atomic.Bool
				return each(func(ctx context.Context, req string, next text) (resp string, err error) {
					if !taken.CompareAndSwap(false, true) {
						return "", errBusy
					}
					func() {
						defer func() {
							if v := recover(); v != nil {
								err = errors.New("panic")
							}
						}()
						resp, err = next.Run(ctx, req)
					}()
					taken.Store(false)
					return resp, err
				})()
			},
			allowed: liberties{refusals},
			rule:    "survives a Goexit", says: "after a Goexit has the answer \"\" and the error busy",
		},
		"it waits for an answer that a Goexit took with it": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				type result struct {
					resp string
					err  error
				}
				results := make(chan result, 1)
				go func() {
					defer func() {
						if v := recover(); v != nil {
							results <- result{err: errors.New("panic")}
						}
					}()
					resp, err := next.Run(ctx, req)
					results <- result{resp, err}
				}()
				r := <-results
				return r.resp, r.err
			}),
			rule: "survives a Goexit", says: "ends by Goexit hangs",
		},
		"it leaves a goroutine that waits for ever": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				never := make(chan struct{})
				go func() { <-never }()
				return next.Run(ctx, req)
			}),
			rule: "leaves nothing behind", says: "leaves a goroutine running (5 after 5 more calls)",
		},
		"it leaves a goroutine that sleeps for a day": {
			layer: each(func(ctx context.Context, req string, next text) (string, error) {
				resp, err := next.Run(ctx, req)
				if err != nil {
					go time.Sleep(24 * time.Hour)
				}
				return resp, err
			}),
			rule: "leaves nothing behind", says: "after a failure: every call leaves a goroutine",
		},
		"it does not cancel its context": {
			layer: func() textLayer {
				var mu sync.Mutex
				var cancels []context.CancelFunc
				return each(func(ctx context.Context, req string, next text) (string, error) {
					ctx, cancel := context.WithCancel(ctx)
					mu.Lock()
					cancels = append(cancels, cancel)
					mu.Unlock()
					return next.Run(ctx, req)
				})()
			},
			rule: "leaves nothing behind", says: "still open",
		},
		"it wraps the first agent only": {
			layer: func() textLayer {
				var first text
				return func(next text) text {
					if first == nil {
						first = next
					}
					return first
				}
			},
			rule: "wraps each agent by itself", says: "asks the wrong agent",
		},
	}
}

// valueless hides the values of a context.
type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }

// brokenBadly are layers that break many rules at once; one of them is looked at.
func brokenBadly() map[string]broken {
	return map[string]broken{
		"it asks the agent when it is built": {
			layer: func() textLayer {
				return func(next text) text {
					_, _ = next.Run(context.Background(), "are you there?")
					return next
				}
			},
			rule: "hands on request and answer", says: "called while it is wrapped",
		},
		"it never asks the agent": {
			layer: each(func(context.Context, string, text) (string, error) { return "", errBusy }),
			rule:  "asks a failing agent once", says: "not asked at all",
		},
		"it panics when it is built": {
			layer: func() textLayer { return func(text) text { panic("no setting") } },
			rule:  "hands on the context", says: "the layer panics: no setting",
		},
		"it waits for ever when it is built": {
			layer: func() textLayer { return func(text) text { select {} } },
			rule:  "hands on the context", says: "the layer hangs for ever",
		},
		"it panics when it is called": {
			layer: each(func(context.Context, string, text) (string, error) { panic("no setting") }),
			rule:  "hands on the error", says: "a failed call panics: no setting",
		},
		"it wraps nothing": {
			layer: func() textLayer { return func(text) text { return nil } },
			rule:  "hands on request and answer", says: "middlewares that return one",
		},
		"it ends the goroutine of its caller": {
			layer: each(func(context.Context, string, text) (string, error) {
				runtime.Goexit()
				return "", nil
			}),
			rule: "hands on the error", says: "ends its goroutine",
		},
		"it keeps a lock after a panic": {
			layer: func() textLayer {
				var mu sync.Mutex
				return each(func(ctx context.Context, req string, next text) (string, error) {
					mu.Lock()
					resp, err := next.Run(ctx, req)
					mu.Unlock()
					return resp, err
				})()
			},
			rule: "survives a panic", says: "is a lock held", hangs: true,
		},
	}
}
