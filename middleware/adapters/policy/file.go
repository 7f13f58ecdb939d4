package policy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Options say how a file is kept.
type Options struct {
	// Told is told of every file that was taken, and of every one that was not. It runs
	// on the goroutine of [File.Watch] or [File.Reload]. nil: nobody is.
	Told func(Change)
}

// Change is what became of a new file.
type Change struct {
	File   string
	Agents []string // that have the new settings, in the order in which they were guarded
	Shadow bool     // it is only judged by
	Err    error    // why the old one stays; nil: it does not
}

// String says so in a line.
func (c Change) String() string {
	switch {
	case c.Err != nil:
		return fmt.Sprintf("%s was not taken, the old policy stays: %v", c.File, c.Err)
	case c.Shadow:
		return fmt.Sprintf("%s is judged by, and not acted on, for %v", c.File, c.Agents)
	}
	return fmt.Sprintf("%s holds now for %v", c.File, c.Agents)
}

// File is a policy file in use. It is safe for concurrent use.
type File struct {
	path    string
	options Options

	reading atomic.Bool // somebody reads it anew

	mu      sync.Mutex
	sum     [sha256.Size]byte // of what was read last, taken or not
	missing bool              // it could not be read, and that was told
	now     *state
	members []*member
}

// state is what is in force. It does not change.
type state struct {
	policy *Policy
	shadow *Policy // nil: none
	judges map[string]*judge
	live   map[string]any // shared strategies in use
}

// member is one agent that is guarded by the file.
type member struct {
	agent string
	// prepare makes settings for it, and says what is wrong with them. commit gives them to it.
	prepare func(*state) (commit func() error, err error)
}

// Open reads a policy file. The error is an [Error], or that of the file system.
func Open(path string, o Options) (*File, error) {
	f := &File{path: path, options: o}
	data, err := f.read()
	if err != nil {
		return nil, err
	}
	p, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	f.sum = sha256.Sum256(data)
	none := &Policy{file: path}
	f.now = (&state{policy: none}).next(p)
	return f, nil
}

// next is what is in force with a new policy.
func (s *state) next(p *Policy) *state {
	if !p.shadow {
		return &state{policy: p, live: p.shared}
	}
	judges := map[string]*judge{}
	for _, agent := range p.Agents() {
		judges[agent] = newJudge(s.policy.Recipe(agent), p.Recipe(agent))
	}
	return &state{policy: s.policy, shadow: p, judges: judges, live: s.live}
}

func (f *File) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(file, mostBytes+1))
}

// Policy is what is in force.
func (f *File) Policy() *Policy { return f.current().policy }

func (f *File) current() *state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Guard builds an agent's chain by the file, and gives it new settings whenever the file
// has some. make begins the chain: the agent, who stands in for it, what the file does
// not say. It is called again for each new file, so it must make the same each time; a
// setting that both say is refused. Its recipe is for what needs types, such as
// Builder.By with its Keys.
func Guard[Req, Resp any](f *File, agent string, make func(r *Recipe) *middleware.Builder[Req, Resp]) (*middleware.Guarded[Req, Resp], error) {
	return guard[*middleware.Builder[Req, Resp], *middleware.Guarded[Req, Resp]](f, "Guard", agent, make)
}

// GuardStream is [Guard] for an agent that streams.
func GuardStream[Req, Chunk any](f *File, agent string, make func(r *Recipe) *middleware.StreamBuilder[Req, Chunk]) (*middleware.GuardedStream[Req, Chunk], error) {
	return guard[*middleware.StreamBuilder[Req, Chunk], *middleware.GuardedStream[Req, Chunk]](f, "GuardStream", agent, make)
}

// guard is both of them: B is a builder, and G what it builds.
func guard[B interface {
	With(common *middleware.Settings) B
	Problems() error
	Build() (G, error)
}, G interface{ Update(b B) error }](f *File, setting, agent string, make func(r *Recipe) B) (g G, _ error) {
	if f == nil || make == nil {
		return g, &strategies.ConfigError{Setting: setting, Problem: "has no file, or no function", Fix: "give it a file of Open, and a function that begins the chain"}
	}
	built := false
	err := f.join(agent, func(s *state) (func() error, error) {
		var b B
		if err := protect(func() { b = make(s.policy.Recipe(agent)) }); err != nil {
			return nil, err
		}
		b.With(s.settings(agent))
		if err := b.Problems(); err != nil {
			return nil, err
		}
		return func() (err error) {
			if built {
				return g.Update(b)
			}
			g, err = b.Build()
			built = err == nil
			return err
		}, nil
	})
	return g, err
}

// join is the first time that an agent gets its settings.
func (f *File) join(agent string, prepare func(*state) (func() error, error)) error {
	m := &member{agent, prepare}
	for {
		s := f.current()
		commit, err := prepare(s)
		if err == nil {
			err = commit()
		}
		if err != nil {
			return err
		}
		f.mu.Lock()
		same := f.now == s
		if same {
			f.members = append(f.members, m)
		}
		f.mu.Unlock()
		if same {
			return nil
		}
	}
}

// Reload reads the file now. What is wrong with it is returned, and the old policy stays.
// All agents get the new settings, or none; calls under way end by the old ones, see
// [middleware.Guarded.Update].
func (f *File) Reload() error {
	_, err := f.reload(true)
	return err
}

// reload reads the file; one that is as it was is read again only if forced. Somebody is
// told unless nothing was new.
func (f *File) reload(forced bool) (news bool, err error) {
	if !f.reading.CompareAndSwap(false, true) {
		return false, fmt.Errorf("understudy: policy %s is being read already: wait for that to end", f.path)
	}
	defer f.reading.Store(false)
	data, err := f.read()
	sum := sha256.Sum256(data)
	f.mu.Lock()
	same := err == nil && sum == f.sum && !f.missing || err != nil && f.missing
	if f.missing = err != nil; err == nil {
		f.sum = sum
	}
	f.mu.Unlock()
	if same && !forced {
		return false, nil
	}
	change := Change{File: f.path}
	if err == nil {
		change.Agents, change.Shadow, err = f.take(data)
	}
	change.Err = err
	if f.options.Told != nil {
		_ = protect(func() { f.options.Told(change) })
	}
	return true, err
}

// take puts a new policy in the place of the old one.
func (f *File) take(data []byte) (agents []string, shadow bool, err error) {
	p, err := Parse(f.path, data)
	if err != nil {
		return nil, false, err
	}
	before := f.current()
	next := before.next(p)
	var commits []func() error
	for done := 0; ; {
		f.mu.Lock()
		members := slices.Clone(f.members[done:])
		if len(members) == 0 { // nobody has come meanwhile, and whoever comes now has the new one
			next.follow(before)
			f.now = next
		}
		f.mu.Unlock()
		if len(members) == 0 {
			break
		}
		for _, m := range members {
			commit, err := m.prepare(next)
			if err != nil {
				return nil, false, fmt.Errorf("understudy: policy %s: agent %q: %w", f.path, m.agent, err)
			}
			commits, agents = append(commits, commit), append(agents, m.agent)
		}
		done += len(members)
	}
	for _, commit := range commits {
		if e := commit(); e != nil {
			err = e
		}
	}
	return agents, p.shadow, err
}

// follow lets shared strategies that are in use have the new settings.
func (s *state) follow(before *state) {
	for name, old := range before.live {
		switch is := s.live[name].(type) {
		case *strategies.Breaker:
			_ = old.(*strategies.Breaker).Update(is)
		case *strategies.Pace:
			_ = old.(*strategies.Pace).Update(is)
		case *strategies.Bulkhead:
			_ = old.(*strategies.Bulkhead).Update(is)
		case *strategies.Budget:
			_ = old.(*strategies.Budget).Update(is)
		}
	}
}

// Watch looks at the file now and then, until ctx ends, and takes what is new. It reads
// the file each time, so it sees what an editor, or a mount of Kubernetes, has exchanged.
// A file that cannot be taken is told of once, and the old policy stays. every is how
// often; 0: 2 s.
func (f *File) Watch(ctx context.Context, every time.Duration) {
	if every <= 0 {
		every = 2 * time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_, _ = f.reload(false)
		}
	}
}

// settings are what the file says of an agent, with whoever judges by a shadow.
func (s *state) settings(agent string) *middleware.Settings {
	set := s.policy.Recipe(agent).Settings().Named(agent)
	if j := s.judges[agent]; j != nil {
		set.Around(middleware.StageBreaker, j.attempt)
	}
	return set
}

// protect calls code of the user's.
func protect(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &strategies.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	f()
	return nil
}
