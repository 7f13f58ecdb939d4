package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Settings say what is kept, and for how long.
type Settings[Req, Resp any] struct {
	// Key says which requests are the same; "": this one is not kept. Required.
	Key func(req Req) string
	// Fresh is how long an answer is given back by the Layer without asking anybody.
	// 0: never.
	Fresh time.Duration
	// Stale is how long the Rung gives it back once nobody else can answer. 0: never.
	Stale time.Duration
	// Entries bounds how many answers are kept. 0: 10,000, or as many as Weight allows.
	Entries int
	// Weight bounds the sum of what Weigh says of each, in bytes for example.
	Weight uint64
	// Weigh is how much an answer counts. Required with Weight.
	Weigh func(key string, resp Resp) uint32
}

func (s Settings[Req, Resp]) validate() error {
	var errs []error
	wrong := func(setting, problem, fix string) {
		errs = append(errs, &strategies.ConfigError{Setting: "cache." + setting, Problem: problem, Fix: fix})
	}
	if s.Key == nil {
		wrong("Key", "is nil", "say which requests are the same")
	}
	if s.Fresh < 0 || s.Stale < 0 {
		wrong("Fresh", fmt.Sprintf("or Stale is negative (%v, %v)", s.Fresh, s.Stale), "leave it 0 for never")
	}
	if s.Fresh == 0 && s.Stale == 0 {
		wrong("Fresh", "and Stale are 0", "say for how long an answer is good for something")
	}
	if s.Entries < 0 {
		wrong("Entries", fmt.Sprintf("is %d", s.Entries), "leave it 0 for 10,000")
	}
	if s.Weight > 0 != (s.Weigh != nil) {
		wrong("Weight", "and Weigh belong together", "give both or none")
	}
	if s.Weight > 0 && s.Entries > 0 {
		wrong("Entries", "is set beside Weight", "bound it by one of them")
	}
	return errors.Join(errs...)
}

// Cache keeps answers. It is safe for concurrent use, and may serve several chains
// whose answers to the same key are the same.
type Cache[Req, Resp any] struct {
	settings Settings[Req, Resp]
	store    *otter.Cache[string, kept[Resp]]
}

type kept[Resp any] struct {
	resp Resp
	at   time.Time
}

// New makes a cache. The error says all that is wrong with the settings.
func New[Req, Resp any](s Settings[Req, Resp]) (*Cache[Req, Resp], error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	options := &otter.Options[string, kept[Resp]]{}
	switch {
	case s.Weight > 0:
		options.MaximumWeight = s.Weight
		options.Weigher = func(key string, k kept[Resp]) uint32 { return s.Weigh(key, k.resp) }
	case s.Entries > 0:
		options.MaximumSize = s.Entries
	default:
		options.MaximumSize = 10_000
	}
	store, err := otter.New(options)
	if err != nil {
		return nil, &strategies.ConfigError{Setting: "cache", Problem: err.Error(), Fix: "change the bounds"}
	}
	return &Cache[Req, Resp]{s, store}, nil
}

func (c *Cache[Req, Resp]) key(req Req) (key string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &strategies.PanicError{Value: v}
		}
	}()
	return c.settings.Key(req), nil
}

// find returns an answer that is no older than so long.
func (c *Cache[Req, Resp]) find(key string, atMost time.Duration) (resp Resp, age time.Duration, ok bool) {
	if key == "" || atMost == 0 {
		return resp, 0, false
	}
	k, ok := c.store.GetIfPresent(key)
	if !ok {
		return resp, 0, false
	}
	if age = time.Since(k.at); age > atMost {
		return resp, 0, false
	}
	return k.resp, age, true
}

// Layer gives back fresh answers, and keeps those that come back full. Give it to
// Use at StageFallback, or further in.
func (c *Cache[Req, Resp]) Layer() middleware.Middleware[Req, Resp] {
	return func(next middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
		return middleware.Func(func(ctx context.Context, req Req) (Resp, error) {
			key, err := c.key(req)
			if err != nil {
				var none Resp
				return none, err
			}
			if resp, _, ok := c.find(key, c.settings.Fresh); ok {
				return resp, nil
			}
			if key == "" || middleware.CallOf(ctx).Level() != strategies.LevelFull {
				return next.Run(ctx, req)
			}
			traced, how := middleware.Trace(ctx)
			resp, err := next.Run(traced, req)
			if err == nil && how.Level() == strategies.LevelFull {
				c.store.Set(key, kept[Resp]{resp, time.Now()})
			}
			return resp, err
		})
	}
}

// ErrNothingKept is what the Rung fails with that has no answer.
var ErrNothingKept = errors.New("understudy: cache: no answer to this request is kept")

// Rung gives back the last good answer to the same request while it is not too old,
// as a reduced one: it may have changed since. mark, if not nil, says so in the
// answer, which it must copy.
func (c *Cache[Req, Resp]) Rung(mark func(resp Resp, age time.Duration) Resp) middleware.Runner[Req, Resp] {
	return middleware.Func(func(_ context.Context, req Req) (none Resp, _ error) {
		key, err := c.key(req)
		if err != nil {
			return none, err
		}
		resp, age, ok := c.find(key, c.settings.Stale)
		if !ok {
			return none, ErrNothingKept
		}
		if mark != nil {
			resp = mark(resp, age)
		}
		return resp, nil
	})
}

// Forget drops the answer to a request.
func (c *Cache[Req, Resp]) Forget(req Req) {
	if key, err := c.key(req); err == nil {
		c.store.Invalidate(key)
	}
}
