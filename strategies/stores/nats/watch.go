package nats

import (
	"context"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/understudy-go/understudy/strategies"
)

// listen hands every change of the bucket to the watches, until the consumer fails.
func (s *Store) listen(ctx context.Context) error {
	connection := s.conn.StatusChanged(natsgo.CONNECTED, natsgo.RECONNECTING, natsgo.DISCONNECTED)
	defer s.conn.RemoveStatusListener(connection)
	info, err := s.stream.Info(ctx)
	if err != nil {
		return err
	}
	consumer, err := s.js.OrderedConsumer(ctx, info.Config.Name, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.subject + ">"},
		// By a number, so that one that begins anew before its first message misses none.
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   info.State.LastSeq + 1,
		HeadersOnly:   true,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(2 * time.Second))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	defer messages.Stop()
	s.base.Hub.TellAll()
	var watcher sync.WaitGroup
	defer watcher.Wait()
	done := make(chan struct{})
	defer close(done)
	watcher.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-connection: // gone, which is to be told, or back, and what was written meanwhile may have been swept out
				s.base.Hub.TellAll()
			}
		}
	})
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		if key, ok := keyOf(strings.TrimPrefix(m.Subject(), s.subject)); ok {
			s.base.Hub.Tell(key)
		}
	}
}

// heads lists without values, in few round trips. It is read where the consumer is,
// which may be a follower: for the poll, which reads again what differs.
func (s *Store) heads(ctx context.Context, prefix string) ([]strategies.Record, error) {
	consumer, err := s.js.OrderedConsumer(ctx, s.stream.CachedInfo().Config.Name, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.subject + under(prefix)},
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		HeadersOnly:    true,
	})
	if err != nil {
		return nil, err
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil, nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	var all []strategies.Record
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		key, ok := keyOf(strings.TrimPrefix(m.Subject(), s.subject))
		if ok && strings.HasPrefix(key, prefix) && m.Headers().Get(deletedHeader) == "" {
			all = append(all, strategies.Record{Key: key, Revision: meta.Sequence.Stream, Expires: expiryOf(m.Headers())})
		}
		if meta.NumPending == 0 {
			return all, nil
		}
	}
}

// clock is an idea of the leader's: asked now and then, and in between as far off as the
// question was long and clocks drift.
type clock struct {
	mu       sync.Mutex
	asked    time.Time     // by ours, which does not jump: it is monotonic
	earliest time.Duration // the leader's before ours, at least
	latest   time.Duration // at most
}

const (
	askAgain = 5 * time.Second
	drift    = 2000 // one part in
	rounding = 2 * time.Millisecond
)

func (c *clock) between(ctx context.Context, ask func(context.Context) (time.Time, error)) (earliest, latest time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.asked.IsZero() || now.Sub(c.asked) > askAgain {
		theirs, err := ask(ctx)
		if err != nil {
			return time.Time{}, time.Time{}, err
		}
		c.asked = time.Now()
		c.latest, c.earliest = theirs.Sub(now), theirs.Sub(c.asked)
	}
	now := time.Now()
	slack := now.Sub(c.asked)/drift + rounding
	return now.Add(c.earliest - slack), now.Add(c.latest + slack), nil
}
