package inbox_test

import (
	"context"

	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/inboxtest"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

func TestWhatCannotBeOpened(t *testing.T) {
	store := &memory.Store{}
	defer store.Close()
	var none *memory.Store
	for name, tc := range map[string]struct {
		store strategies.Store
		s     inbox.Settings
		says  string
	}{
		"no store":                 {nil, inbox.Settings{}, "store is nil"},
		"a nil store":              {none, inbox.Settings{}, "store is nil"},
		"a negative quorum":        {store, inbox.Settings{Quorum: -1}, "Quorum is negative (-1)"},
		"a negative time":          {store, inbox.Settings{Keep: -time.Hour}, "Keep is negative (-1h0m0s)"},
		"a time without a unit":    {store, inbox.Settings{Heartbeat: 10}, "Heartbeat"},
		"too much to keep":         {store, inbox.Settings{MaxAnswer: 1 << 20}, "at most 262144"},
		"a name with a slash":      {store, inbox.Settings{Name: "a/b"}, `Name is "a/b"`},
		"groups out of order":      {store, inbox.Settings{Groups: []inbox.Group{{Name: "a"}, {Name: "b", After: 2}, {Name: "c", After: 1}}}, "Groups"},
		"a first group that waits": {store, inbox.Settings{Groups: []inbox.Group{{Name: "a", After: time.Hour}}}, "Groups"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inbox.Open(tc.store, tc.s)
			expectIs(t, err, strategies.ErrConfig)
			expect(t, fmt.Sprintf("%q is said in %q", tc.says, err), strings.Contains(fmt.Sprint(err), tc.says), true)
		})
	}
	for name, box := range map[string]*inbox.Inbox{"the zero inbox": {}, "no inbox at all": nil} {
		t.Run(name+" fails the question, not the process", func(t *testing.T) {
			ctx := t.Context()
			_, err := box.Decide(ctx, incident())
			expectIs(t, err, strategies.ErrConfig)
			_, err = box.Park(ctx, incident())
			expectIs(t, err, strategies.ErrConfig)
			_, err = box.List(ctx, inbox.Query{})
			expectIs(t, err, strategies.ErrConfig)
			_, err = box.Watch(ctx)
			expectIs(t, err, strategies.ErrConfig)
			_, err = box.Resolve(ctx, "x", retryNow)
			expectIs(t, err, strategies.ErrConfig)
			_, err = inbox.Wait[string](ctx, box, "x")
			expectIs(t, err, strategies.ErrConfig)
			expectIs(t, inbox.Resume(box, asking(t, middleware.Intervention{Ask: inbox.NewDesk()})), strategies.ErrConfig)
			expect(t, "Close", box.Close(), nil)
		})
	}
	t.Run("what cannot be resumed", func(t *testing.T) {
		box := opened(t, store, inbox.Settings{})
		expectIs(t, inbox.Resume(box, asking(t, middleware.Intervention{Ask: box})), strategies.ErrConfig) // it parks nothing
		g := asking(t, middleware.Intervention{Ask: box, Park: true})
		expect(t, "once", inbox.Resume(box, g), nil)
		expectIs(t, inbox.Resume(box, g), strategies.ErrConfig)
		var none *middleware.Guarded[string, string]
		expectIs(t, inbox.Resume(box, none), strategies.ErrConfig)
	})
}

func TestInboxEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		defer store.Close()
		box := opened(t, store, inbox.Settings{Groups: []inbox.Group{{Name: "shift"}, {Name: "lead", After: 10 * time.Minute}, {Name: "all", After: 20 * time.Minute}}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		changes, err := box.Watch(ctx)
		expect(t, "error", err, nil)
		expect(t, "kind", (<-changes).Kind, inbox.ChangeCurrent)
		done := calls(t, asking(t, middleware.Intervention{Ask: box, Deadline: time.Hour}), "hello")
		start := time.Now()
		for after, group := range []string{"shift", "lead", "all"} {
			c := <-changes
			expect(t, "group", c.Group, group)
			expect(t, "after", time.Since(start).Round(time.Second), time.Duration(after)*10*time.Minute)
			p, err := box.List(t.Context(), inbox.Query{Group: group})
			expect(t, "error", err, nil)
			expect(t, "asked", p.Total, 1)
			p, err = box.List(t.Context(), inbox.Query{Group: "nobody"})
			expect(t, "error", err, nil)
			expect(t, "nobody", p.Total, 0)
		}
		_, err = box.Resolve(t.Context(), listed(t, box, 1)[0].ID, answer("hi"))
		expect(t, "error", err, nil)
		expect(t, "answer", <-done, reply{text: "hi"})
	})
}

func TestInboxPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		defer store.Close()
		box := opened(t, store, inbox.Settings{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		const n = 120
		var want []string
		for i := range n {
			in := incident()
			in.ID = fmt.Sprintf("01932c07-209c-7f3a-9d4e-%012d", i)
			if in.Agent = "bard"; i%2 == 1 {
				in.Agent = "sage"
			}
			want = append(want, in.ID)
			_, err := box.Park(ctx, in)
			expect(t, "error", err, nil)
		}
		time.Sleep(time.Second)
		for name, tc := range map[string]struct {
			q     inbox.Query
			pages int
			n     int
			first string
		}{
			"the oldest first":  {inbox.Query{}, 3, n, want[0]},
			"the newest first":  {inbox.Query{Newest: true}, 3, n, want[n-1]},
			"of an agent":       {inbox.Query{Agent: "sage", Limit: 7}, 9, n / 2, want[1]},
			"at most 500":       {inbox.Query{Limit: 1 << 20}, 1, n, want[0]},
			"a negative limit":  {inbox.Query{Limit: -1}, 3, n, want[0]},
			"nobody's":          {inbox.Query{Agent: "fool"}, 1, 0, ""},
			"what has ended":    {inbox.Query{Closed: true}, 1, 0, ""},
			"what runs":         {inbox.Query{Parked: true}, 1, 0, ""},
			"claimed by nobody": {inbox.Query{Claimed: "Ada"}, 1, 0, ""},
		} {
			seen, pages, q := map[string]bool{}, 0, tc.q
			first := ""
			for more := true; more; pages++ {
				p, err := box.List(t.Context(), q)
				expect(t, "error", err, nil)
				expect(t, name+", in all", p.Total, tc.n)
				for _, e := range p.Entries {
					if first == "" {
						first = e.ID
					}
					expect(t, name+": seen before", seen[e.ID], false)
					seen[e.ID] = true
				}
				q.After, more = p.Next, p.Next != ""
			}
			expect(t, name+", entries", len(seen), tc.n)
			expect(t, name+", pages", pages, tc.pages)
			expect(t, name+", first", first, tc.first)
		}
	})
}

// What a store does not answer to may have been done: nobody decides twice because of
// it, and nobody is told that it failed when it did not.
func TestADecisionThatGotNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		defer store.Close()
		line := &deaf{Line: inboxtest.Line{Store: store}}
		asks, decides := opened(t, store, inbox.Settings{}), opened(t, line, inbox.Settings{})
		done := calls(t, asking(t, middleware.Intervention{Ask: asks}), "hello")
		e := listed(t, decides, 1)[0]
		line.lose.Store(true)
		after, err := decides.Resolve(t.Context(), e.ID, answer("hi"))
		expect(t, "error", err, nil)
		expect(t, "state", after.State, inbox.StateDecided)
		expect(t, "by", after.Decision.By, "Ada")
		expect(t, "answer", <-done, reply{text: "hi"})
	})
}

// deaf loses the answer to one write.
type deaf struct {
	inboxtest.Line
	lose atomic.Bool
}

func (d *deaf) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	r, err := d.Line.Put(ctx, w)
	if strings.Contains(w.Key, "/open/") && d.lose.Swap(false) {
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrUnavailable}
	}
	return r, err
}

// Code of the user's panics, and nothing else happens.
func TestInboxSurvivesItsUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		defer store.Close()
		flaky := &inboxtest.Line{Store: store}
		box := opened(t, flaky, inbox.Settings{
			Show: func(strategies.Incident) string { panic("no") }, Trouble: func(error) { panic("no") }, Codec: rude{},
		})
		done := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, box, 1)[0]
		expect(t, "shown", e.Request, "understudy: Settings.Show panicked: no")
		_, err := box.Resolve(t.Context(), e.ID, answer("hi"))
		expectRefused(t, err, e.ID, "Codec.Marshal panicked")
		flaky.Cut()
		time.Sleep(time.Minute)
		flaky.Mend()
		time.Sleep(time.Minute)
		_, err = box.Resolve(t.Context(), e.ID, strategies.Decision{By: "Ada"})
		expect(t, "error", err, nil)
		expect(t, "says who", strings.Contains((<-done).err.Error(), "aborted by Ada"), true)
		_, err = asking(t, middleware.Intervention{Ask: box, Park: true}).Run(t.Context(), "hello")
		expect(t, "says why", strings.Contains(err.Error(), "Codec.Marshal panicked"), true)
	})
}

type rude struct{}

func (rude) Marshal(any) ([]byte, error) { panic(errSick) }
func (rude) Unmarshal([]byte, any) error { panic(errSick) }

// Callers that wait, and calls that are gone on with, end with the inbox.
func TestInboxCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		defer store.Close()
		box, other := opened(t, store, inbox.Settings{}), opened(t, store, inbox.Settings{})
		done := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, other, 1)[0]
		changes, err := box.Watch(t.Context())
		expect(t, "error", err, nil)
		expect(t, "Close", box.Close(), nil)
		expect(t, "twice", box.Close(), nil)
		expect(t, "says so", strings.Contains((<-done).err.Error(), "the inbox is closed"), true)
		for range changes { // ends
		}
		time.Sleep(time.Second)
		got, err := other.Get(t.Context(), e.ID)
		expect(t, "error", err, nil)
		expect(t, "state", got.State, inbox.StateWithdrawn)
		expect(t, "reason", got.Reason, "the process that asked has ended")
		_, err = box.List(t.Context(), inbox.Query{})
		expect(t, "says so", fmt.Sprint(err), "understudy: the inbox is closed")
	})
}

// An http.TimeoutHandler has answered at its time, and cancels nothing.
func TestADecisionAfterATimeoutHandlerIsRefused(t *testing.T) {
	for name, with := range map[string]bool{"the question stays open": false, "WithCaller ends it": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				desk := inbox.NewDesk()
				g := asking(t, middleware.Intervention{Ask: desk, Deadline: time.Hour, WithCaller: with})
				page := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got, err := g.Run(r.Context(), "hello")
					fmt.Fprint(w, got, err)
				}), time.Second, "try again later")
				w := httptest.NewRecorder()
				page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
				expect(t, "the client got", w.Code, http.StatusServiceUnavailable)
				synctest.Wait()
				open := desk.Open()
				expect(t, "open", len(open), map[bool]int{false: 1, true: 0}[with])
				for _, i := range open {
					expect(t, "decided", desk.Resolve(i.ID, answer("nobody reads this")), nil)
				}
			})
		})
	}
}
