package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/understudy-go/understudy/internal/follow"
)

// read runs a script that the client may repeat.
func (s *Store) read(ctx context.Context, script *goredis.Script, keys []string, args ...any) *goredis.Cmd {
	return s.patient(ctx, func() *goredis.Cmd { return script.Run(ctx, s.client, keys, args...) })
}

// write runs a script that changes something, once. A client repeats by default what
// got no answer; a swap that was done is then a conflict with itself, and a write of
// whatever revision goes over what others wrote in between.
func (s *Store) write(ctx context.Context, script *goredis.Script, keys []string, args ...any) *goredis.Cmd {
	return s.patient(ctx, func() *goredis.Cmd {
		cmd := s.send(ctx, script, keys, args)
		if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") { // nothing was run
			if err := script.Load(ctx, s.client).Err(); err != nil {
				return cmd
			}
			cmd = s.send(ctx, script, keys, args)
		}
		return cmd
	})
}

// once is a command that is not repeated.
type once struct{ *goredis.Cmd }

// NoRetry says so to the client.
func (once) NoRetry() bool { return true }

func (s *Store) send(ctx context.Context, script *goredis.Script, keys []string, args []any) *goredis.Cmd {
	all := []any{"evalsha", script.Hash(), len(keys)}
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := goredis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	if err := s.client.Process(ctx, once{cmd}); err != nil && cmd.Err() == nil {
		cmd.SetErr(err)
	}
	return cmd
}

// patient ends with its context, which a client does only with ContextTimeoutEnabled, and
// then not when the context is cancelled.
func (s *Store) patient(ctx context.Context, ask func() *goredis.Cmd) *goredis.Cmd {
	cmd, err := follow.Within(ctx, s.base, func() (*goredis.Cmd, error) { return ask(), nil })
	if err != nil {
		cmd = goredis.NewCmd(ctx)
		cmd.SetErr(err)
	}
	return cmd
}
