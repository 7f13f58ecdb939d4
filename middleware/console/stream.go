package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	lasts    = 10 * time.Minute       // a stream; the browser comes back, and is asked again who it is
	beats    = time.Second            // what no event tells is looked at this often
	gathers  = 100 * time.Millisecond // what happens together is told together
	patience = 5 * time.Second        // of one who does not read
)

// stream tells a watcher what changes, by server-sent events, until they leave, do not
// read what they are sent, or have watched for long enough.
func (q *request) stream() {
	if q.Method == http.MethodHead {
		q.w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	wake, ok := q.c.watch()
	if !ok {
		q.w.Header().Set("Retry-After", "10")
		fail(q.w, http.StatusServiceUnavailable, "too many people are watching")
		return
	}
	defer q.c.leave(wake)
	defer q.c.watchFleet(wake)()
	q.w.Header().Set("Content-Type", "text/event-stream")
	q.w.Header().Set("X-Accel-Buffering", "no")
	out := &teller{c: q.c, w: q.w, control: http.NewResponseController(q.w), agents: map[string]uint64{}}
	defer func() { _ = out.control.SetWriteDeadline(time.Time{}) }() // of the connection's next request
	if out.write("hello", q.me()) != nil {
		return
	}
	end := time.NewTimer(lasts)
	defer end.Stop()
	beat := time.NewTicker(beats)
	defer beat.Stop()
	for {
		if err := out.tell(q); err != nil {
			return
		}
		select {
		case <-q.Context().Done():
			return
		case <-end.C:
			return
		case <-beat.C:
		case <-wake:
			select {
			case <-time.After(gathers):
			case <-q.Context().Done():
				return
			}
		}
	}
}

func (c *Console) watch() (wake chan struct{}, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.watchers) >= c.set.Watchers {
		return nil, false
	}
	wake = make(chan struct{}, 1)
	c.watchers[wake] = struct{}{}
	return wake, true
}

func (c *Console) leave(wake chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, wake)
}

// teller tells one watcher what they do not know yet.
type teller struct {
	c       *Console
	w       http.ResponseWriter
	control *http.ResponseController

	agents  map[string]uint64 // the version of each agent that was told
	order   string            // of the agents
	told    uint64            // everything else up to this version
	openRev string
	trouble string
	fleet   fleet // as it was told
	first   bool  // has been told
	idle    time.Time
}

func (t *teller) tell(q *request) error {
	seen, err := t.c.look(q.Context())
	if err != nil {
		return err
	}
	sent := false
	say := func(what string, v any) {
		if err == nil {
			err, sent = t.write(what, v), true
		}
	}
	if agents := t.news(seen); agents != nil {
		say("agents", agents)
	}
	if n := t.c.since(t.told); n.version > t.told || !t.first {
		if len(n.calls) > 0 {
			say("calls", map[string]any{"calls": n.calls})
		}
		if len(n.changes) > 0 {
			say("changes", map[string]any{"changes": n.changes})
		}
		if len(n.record) > 0 {
			say("record", map[string]any{"record": n.record})
		}
		t.told = n.version
	}
	if t.c.set.Inbox != nil && (seen.openRev != t.openRev || seen.trouble != t.trouble || !t.first) {
		say("questions", map[string]any{"total": seen.open, "rev": seen.openRev, "trouble": seen.trouble})
		t.openRev, t.trouble = seen.openRev, seen.trouble
	}
	if f := seen.fleet; f != nil && (*f != t.fleet || !t.first) {
		say("fleet", f)
		t.fleet = *f
	}
	t.first = true
	if !sent && time.Since(t.idle) > 15*time.Second { // so that what is between us keeps the line
		say("beat", map[string]any{"now": time.Now().UTC()})
	}
	return err
}

// news are the agents that changed, and the order of all if that did; nil: nothing is
// new.
func (t *teller) news(seen look) map[string]any {
	ids, changed := make([]string, 0, len(seen.agents)), []json.RawMessage{}
	known := make(map[string]uint64, len(seen.agents))
	for _, a := range seen.agents {
		ids = append(ids, a.ID)
		known[a.ID] = a.version
		if t.agents[a.ID] != a.version {
			changed = append(changed, a.text)
		}
	}
	t.agents = known
	order := fmt.Sprint(ids)
	if len(changed) == 0 && order == t.order && t.first {
		return nil
	}
	news := map[string]any{"agents": changed}
	if order != t.order || !t.first {
		news["order"], t.order = ids, order
	}
	return news
}

// write sends one event.
func (t *teller) write(what string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", what, text)
	if err := t.control.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := t.w.Write(b.Bytes()); err != nil {
		return err
	}
	t.idle = time.Now()
	return t.control.Flush()
}
