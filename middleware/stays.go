package middleware

import (
	"container/list"
	"sync"
)

// stays remembers who answered which conversation last, of the last so many.
type stays struct {
	mu    sync.Mutex
	most  int
	order *list.List // of *stay, the latest first
	where map[string]*list.Element
}

type stay struct {
	conversation string
	member       int
}

func newStays(most int) *stays {
	if most == 0 {
		most = 10_000
	}
	return &stays{most: most, order: list.New(), where: map[string]*list.Element{}}
}

func (s *stays) get(conversation string) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.where[conversation]; ok {
		return e.Value.(*stay).member, true
	}
	return 0, false
}

func (s *stays) put(conversation string, member int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.where[conversation]; ok {
		e.Value.(*stay).member = member
		s.order.MoveToFront(e)
		return
	}
	s.where[conversation] = s.order.PushFront(&stay{conversation, member})
	if s.order.Len() > s.most {
		last := s.order.Back()
		delete(s.where, s.order.Remove(last).(*stay).conversation)
	}
}
