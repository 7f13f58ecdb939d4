package translate

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Stay keeps a conversation with whoever answered it last, for as long as that
// one answers: a change of provider costs a prompt cache and the thoughts of a
// turn, and one that has just come back may go again. It asks one chain out of
// several for each call.
//
// Each chain begins with another agent and has the others as its stand-ins, under
// the names of their chains: when a stand-in answers, the conversation goes on
// with the chain of its name. If that chain's breaker opens, its own stand-in
// answers, and the conversation moves again. A conversation that is not known
// begins with the first chain.
//
// key says which conversation a request belongs to; "": none, it begins anew. The
// most recent conversations are remembered, most of them; 16384 if it is 0.
func Stay[Req, Resp any](key func(ctx context.Context, req Req) string, most int, chains ...*middleware.Guarded[Req, Resp]) (*Staying[Req, Resp], error) {
	s := &Staying[Req, Resp]{key: key, most: most, chains: map[string]*middleware.Guarded[Req, Resp]{}, known: map[string]*list.Element{}, recent: list.New()}
	var errs []error
	wrong := func(setting, problem, fix string) {
		errs = append(errs, &strategies.ConfigError{Setting: setting, Problem: problem, Fix: fix})
	}
	if key == nil {
		wrong("Stay key", "is nil", "give a function that names the conversation of a request")
	}
	if most < 0 {
		wrong("Stay most", fmt.Sprintf("is %d", most), "say how many conversations to remember, or 0")
	}
	if most == 0 {
		s.most = 16384
	}
	if len(chains) == 0 {
		wrong("Stay chains", "are none", "give one for each agent that may begin")
	}
	for i, c := range chains {
		switch {
		case c == nil:
			wrong(fmt.Sprintf("Stay chain %d", i), "is nil", "give a chain that was built")
		case s.chains[c.Name()] != nil:
			wrong("Stay chain "+quote(c.Name()), "is named twice", "name each chain after the agent that it begins with")
		default:
			s.chains[c.Name()] = c
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.first = chains[0]
	return s, nil
}

// Staying is what [Stay] makes. It is safe for concurrent use.
type Staying[Req, Resp any] struct {
	key    func(context.Context, Req) string
	most   int
	first  *middleware.Guarded[Req, Resp]
	chains map[string]*middleware.Guarded[Req, Resp]

	mu     sync.Mutex
	known  map[string]*list.Element // conversations
	recent *list.List               // of stays, the most recent one in front
}

// stay is with whom a conversation stays.
type stay struct{ conversation, name string }

// Run asks the chain that the conversation stays with.
func (s *Staying[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	o := s.Outcome(ctx, req)
	return o.Value, o.Err
}

// Outcome is Run with the provenance of its answer.
func (s *Staying[Req, Resp]) Outcome(ctx context.Context, req Req) middleware.Outcome[Resp] {
	conversation := s.key(ctx, req)
	o := s.with(conversation).Outcome(ctx, req)
	if o.Err == nil && conversation != "" && s.chains[o.ServedBy] != nil {
		s.note(conversation, o.ServedBy)
	}
	return o
}

func (s *Staying[Req, Resp]) with(conversation string) *middleware.Guarded[Req, Resp] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.known[conversation]; ok {
		s.recent.MoveToFront(e)
		return s.chains[e.Value.(stay).name]
	}
	return s.first
}

func (s *Staying[Req, Resp]) note(conversation, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.known[conversation]; ok {
		e.Value = stay{conversation, name}
		return
	}
	if name == s.first.Name() {
		return // where it begins anyway
	}
	s.known[conversation] = s.recent.PushFront(stay{conversation, name})
	if s.recent.Len() > s.most {
		oldest := s.recent.Back()
		s.recent.Remove(oldest)
		delete(s.known, oldest.Value.(stay).conversation)
	}
}
