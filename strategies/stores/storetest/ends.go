package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

var endChecks = []Check{
	{"a context that has ended ends the call, and nothing is written", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		r := create(ctx, t, s, "a", "1")
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
		defer cancel()
		for _, ended := range []context.Context{canceled, late} {
			for what, err := range map[string]error{
				"Get":    second(s.Get(ended, "a")),
				"Put":    second(s.Put(ended, strategies.Write{Key: "b"})),
				"CAS":    second(s.Put(ended, strategies.Write{Key: "a", Revision: r.Revision})),
				"Delete": s.Delete(ended, "a", r.Revision),
				"List":   second(s.List(ended, "")),
				"Now":    second(s.Now(ended)),
			} {
				fails(t, what, err, ended.Err())
				fails(t, what, err, strategies.ErrUnavailable)
			}
		}
		has(ctx, t, s, r)
		lists(ctx, t, s, "", "a")
	}},
	{"a closed store ends its watches and answers no more", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		r := create(ctx, t, s, "a", "1")
		w := watch(ctx, t, s, "")
		w.knows(r)
		unread := watch(ctx, t, s, "")
		closeStore(t, s)
		closeStore(t, s)
		ended(t, w.ch)
		ended(t, unread.ch)
		for what, err := range map[string]error{
			"Get":    second(s.Get(ctx, "a")),
			"Put":    second(s.Put(ctx, strategies.Write{Key: "b"})),
			"Delete": s.Delete(ctx, "a", r.Revision),
			"List":   second(s.List(ctx, "")),
			"Watch":  second(s.Watch(ctx, "")),
			"Now":    second(s.Now(ctx)),
		} {
			fails(t, what+" after Close", err, strategies.ErrUnavailable)
		}
	}},
}

func second[T any](_ T, err error) error { return err }
