package follow

import (
	"container/list"

	"github.com/understudy-go/understudy/strategies"
)

// told is what a reader knows and what waits for it: for each key at most one change,
// the latest. So a slow reader costs memory by the number of keys, and time nobody.
type told struct {
	reader  map[string]strategies.Record // what the reader was told is there, without values
	known   map[string]strategies.Record // the same, and what waits
	waiting map[string]*list.Element     // the change of a key in queue
	queue   list.List                    // of *strategies.Change
}

func newTold() *told {
	return &told{
		reader:  map[string]strategies.Record{},
		known:   map[string]strategies.Record{},
		waiting: map[string]*list.Element{},
	}
}

func head(r strategies.Record) strategies.Record {
	r.Value = nil
	return r
}

// put notes a record as it was read. One that is older than what is known is not news.
func (t *told) put(r strategies.Record) {
	if k, ok := t.known[r.Key]; ok && r.Revision <= k.Revision {
		return
	}
	t.known[r.Key] = head(r)
	t.change(r.Key, &strategies.Change{Kind: strategies.ChangePut, Record: r})
}

// gone notes that a key has no record.
func (t *told) gone(key string) {
	last, ok := t.known[key]
	if !ok {
		return
	}
	delete(t.known, key)
	if shown, ok := t.reader[key]; ok {
		if shown.Revision > last.Revision {
			last = shown
		}
		t.change(key, &strategies.Change{Kind: strategies.ChangeGone, Record: last})
		return
	}
	if e := t.waiting[key]; e != nil { // the reader never saw it
		t.queue.Remove(e)
		delete(t.waiting, key)
	}
}

func (t *told) change(key string, c *strategies.Change) {
	if e := t.waiting[key]; e != nil {
		e.Value = c // in the old one's place: what was there stays before the mark
		return
	}
	t.waiting[key] = t.queue.PushBack(c)
}

// mark notes what concerns no record.
func (t *told) mark(c strategies.Change) { t.queue.PushBack(&c) }

// next is what the reader is to be told, if there is anything.
func (t *told) next() (strategies.Change, bool) {
	if e := t.queue.Front(); e != nil {
		return *e.Value.(*strategies.Change), true
	}
	return strategies.Change{}, false
}

// tell notes that the reader has taken what next returned.
func (t *told) tell() {
	c := t.queue.Remove(t.queue.Front()).(*strategies.Change)
	switch c.Kind {
	case strategies.ChangePut:
		t.reader[c.Record.Key] = head(c.Record)
		delete(t.waiting, c.Record.Key)
	case strategies.ChangeGone:
		delete(t.reader, c.Record.Key)
		delete(t.waiting, c.Record.Key)
	}
}
