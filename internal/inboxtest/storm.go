package inboxtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// Storm is one run of the test. Fields say how rough it is.
type Storm struct {
	Seed      uint64
	Heartbeat time.Duration // what all other times are counted in
	Processes int
	Held      int // calls that somebody waits for
	Parked    int
	People    int
	Crashes   int
	Outages   int // of the whole store
	// Quorum is how many people must say the same. 0: 1.
	Quorum int
	// Slow is how long a call to the store takes at most, beside what the store takes.
	Slow time.Duration
}

// Seen is what happened in a storm, so that a test can say that enough did.
type Seen struct {
	Decided, Refused, Expired, Withdrawn, Orphaned, Taken, Paid int
}

type world struct {
	Storm
	t       testing.TB
	store   *Line
	journal *strategies.MemoryJournal

	mu      sync.Mutex
	rng     *rand.Rand
	procs   []*process
	said    map[string][]string // accepted decisions, by incident
	retries map[string]int      // accepted decisions to retry, by request
	runs    map[string]int      // of the agent that a person wanted, by request
	now     map[string]int      // that run at this moment
	paid    map[string]int
	seen    Seen
	work    sync.WaitGroup // callers and people
	people  context.Context
}

// process is one that can die.
type process struct {
	line *Line
	box  *inbox.Inbox
	held *middleware.Guarded[string, string]
	park *middleware.Guarded[string, string]
	ctx  context.Context //nolint:containedctx // of its callers
	die  context.CancelFunc
}

var errSick = errors.New("the agent is sick")

// Run runs a storm over a store and says what happened. The store must be empty, or
// each storm have a name of its own by its seed.
func Run(t testing.TB, store strategies.Store, s Storm) Seen {
	t.Helper()
	w := &world{
		Storm: s, t: t, store: &Line{Store: store}, journal: &strategies.MemoryJournal{}, rng: rand.New(rand.NewPCG(s.Seed, 16)),
		said: map[string][]string{}, retries: map[string]int{}, runs: map[string]int{}, now: map[string]int{}, paid: map[string]int{},
	}
	ctx, home := context.WithCancel(t.Context())
	w.people = ctx
	for range s.Processes {
		w.procs = append(w.procs, w.born())
	}
	var people sync.WaitGroup
	for n := range s.People {
		people.Add(1)
		go func() { defer people.Done(); w.person(fmt.Sprint("person ", n)) }()
	}
	tickets := w.callers()
	w.troubles()
	w.work.Wait()
	w.store.Mend()
	w.ends(tickets)
	home()
	people.Wait()
	for _, p := range w.procs {
		_ = p.box.Close()
		p.die()
	}
	return w.seen
}

func (w *world) random(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// pause waits up to so many heartbeats.
func (w *world) pause(ctx context.Context, beats int) bool {
	timer := time.NewTimer(w.Heartbeat * time.Duration(1+w.random(100*beats)) / 100)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *world) born() *process {
	p := &process{line: &Line{Store: w.store}}
	if w.Slow > 0 {
		p.line.Delay = func() time.Duration { return w.Slow * time.Duration(w.random(100)) / 100 }
	}
	p.ctx, p.die = context.WithCancel(context.Background())
	box, err := inbox.Open(p.line, inbox.Settings{
		Name: fmt.Sprint("storm-", w.Seed), Heartbeat: w.Heartbeat, Patience: 2 * w.Heartbeat, Running: 3, Quorum: w.Quorum,
		Show: func(i strategies.Incident) string { return i.Request.(string) }, //nolint:forcetypeassert // it is
	})
	if err != nil {
		w.t.Errorf("Open: %v", err)
		return p
	}
	p.box = box
	how := middleware.Intervention{Ask: box, Deadline: 5 * w.Heartbeat}
	p.held, err = middleware.WrapFunc(w.agent).Named("held").Intervene(how).Build()
	if err != nil {
		w.t.Errorf("Build: %v", err)
	}
	how.Park, how.Deadline = true, 10*w.Heartbeat
	p.park, err = middleware.WrapFunc(w.agent).Named("parked").Effects(middleware.Effects{Journal: w.journal}).Intervene(how).Build()
	if err != nil {
		w.t.Errorf("Build: %v", err)
	}
	if err := inbox.Resume(box, p.park); err != nil {
		w.t.Errorf("Resume: %v", err)
	}
	return p
}

// agent fails unless a person has it asked again, and then takes its time.
func (w *world) agent(ctx context.Context, req string) (string, error) {
	if _, again := middleware.CallOf(ctx).Failure(); !again {
		return "", errSick
	}
	w.mu.Lock()
	w.runs[req]++
	if w.now[req]++; w.now[req] > 1 {
		w.t.Errorf("seed %d: %s is gone on with by two at once", w.Seed, req)
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now[req]--
	}()
	if !w.pause(ctx, 3) {
		return "", context.Cause(ctx)
	}
	if strings.HasPrefix(req, "parked") {
		pay := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, string) (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.paid[req]++
			w.seen.Paid++
			return "paid", nil
		})
		if _, err := pay.Run(ctx, req); err != nil {
			return "", err
		}
	}
	if w.random(4) == 0 {
		return "", errSick
	}
	if !w.pause(ctx, 1) {
		return "", context.Cause(ctx)
	}
	return "the agent on " + req, nil
}

// alive is a process that has not died.
func (w *world) alive() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.procs[w.rng.IntN(len(w.procs))]
}

// callers makes all calls, and returns the tickets, by request, once all parked ones
// are parked.
func (w *world) callers() map[string]string {
	var parked sync.WaitGroup
	var mu sync.Mutex
	tickets := map[string]string{}
	for n := range w.Held {
		req := fmt.Sprintf("held-%d-%d", w.Seed, n)
		w.work.Add(1)
		go func() {
			defer w.work.Done()
			w.pause(w.people, 10)
			w.hold(req)
		}()
	}
	for n := range w.Parked {
		req := fmt.Sprintf("parked-%d-%d", w.Seed, n)
		parked.Add(1)
		go func() {
			defer parked.Done()
			for w.people.Err() == nil { // until a process lives for long enough to keep it
				w.pause(w.people, 10)
				p := w.alive()
				_, err := p.park.Run(middleware.WithCallID(p.ctx, req), req)
				var pending *strategies.PendingError
				if errors.As(err, &pending) {
					mu.Lock()
					tickets[req] = pending.Ticket
					mu.Unlock()
					return
				}
			}
		}()
	}
	w.work.Add(1)
	go func() { defer w.work.Done(); parked.Wait() }()
	return tickets
}

// hold makes a call, and looks at what comes back.
func (w *world) hold(req string) {
	p := w.alive()
	ctx, leave := context.WithCancel(p.ctx)
	defer leave()
	if w.random(5) == 0 {
		timer := time.AfterFunc(w.Heartbeat*time.Duration(w.random(6)), leave)
		defer timer.Stop()
	}
	got, err := p.held.Run(ctx, req)
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.ctx.Err() == nil && w.runs[req] > w.retries[req] {
		w.t.Errorf("seed %d: %s was run %d times, with %d decisions to retry", w.Seed, req, w.runs[req], w.retries[req])
	}
	if err == nil && !strings.HasSuffix(got, " on "+req) {
		w.t.Errorf("seed %d: %s got %q", w.Seed, req, got)
	}
}

// person lists, claims and decides.
func (w *world) person(by string) {
	for w.pause(w.people, 3) {
		p := w.alive()
		page, err := p.box.List(w.people, inbox.Query{Limit: 500})
		if err != nil || len(page.Entries) == 0 {
			continue
		}
		e := page.Entries[w.random(min(len(page.Entries), 3))] // the oldest ones: they meet there
		d := strategies.Decision{By: by, Action: strategies.ActionAnswer, Value: by + " on " + e.Request}
		if w.Quorum > 1 {
			d.Value = "all on " + e.Request
		}
		switch w.random(6) {
		case 0:
			_, _ = p.box.Claim(w.people, e.ID, by, w.Heartbeat)
			continue
		case 1, 2:
			d.Action, d.Value = strategies.ActionRetryNow, nil
		case 3:
			d = strategies.Decision{By: by}
		}
		w.mu.Lock()
		if d.Action == strategies.ActionRetryNow { // before: the call may be quicker than we are
			w.retries[e.Request]++
		}
		w.mu.Unlock()
		after, err := p.box.Resolve(w.people, e.ID, d)
		w.mu.Lock()
		switch {
		case err == nil && after.State == inbox.StateDecided:
			w.said[e.ID] = append(w.said[e.ID], by)
			w.seen.Decided++
			if n := len(w.said[e.ID]); n > 1 {
				w.t.Errorf("seed %d: %s was decided %d times, by %q", w.Seed, e.ID, n, w.said[e.ID])
			}
		case err != nil && !errors.Is(err, strategies.ErrUnavailable):
			w.seen.Refused++
			if d.Action == strategies.ActionRetryNow {
				w.retries[e.Request]--
			}
		}
		w.mu.Unlock()
	}
}

// troubles kill processes and cut the store's line.
func (w *world) troubles() {
	do := func(times int, what func()) {
		w.work.Add(1)
		go func() {
			defer w.work.Done()
			for range times {
				w.pause(w.people, 12)
				what()
			}
		}()
	}
	do(w.Crashes, w.crash)
	do(w.Outages, func() {
		w.store.Cut()
		w.pause(w.people, 5)
		w.store.Mend()
	})
}

// crash kills a process: to everybody else it is silent from now on, and what it was
// about to do is not done. Another one is born.
func (w *world) crash() {
	p := w.born()
	w.mu.Lock()
	n := w.rng.IntN(len(w.procs))
	dead := w.procs[n]
	w.procs[n] = p
	w.mu.Unlock()
	dead.line.Cut()
	dead.die()
	w.work.Add(1)
	go func() {
		defer w.work.Done()
		w.pause(w.people, 8) // it lives on, and nobody sees it
		_ = dead.box.Close()
	}()
}

// ends looks at what came of it all.
func (w *world) ends(tickets map[string]string) {
	ctx, cancel := context.WithTimeout(context.Background(), 400*w.Heartbeat)
	defer cancel()
	if w.Outages > 0 { // also while somebody waits for the answers
		w.store.Cut()
		mend := time.AfterFunc(3*w.Heartbeat, w.store.Mend)
		defer mend.Stop()
	}
	for req, ticket := range tickets {
		got, err := inbox.Wait[string](ctx, w.procs[0].box, ticket)
		if ctx.Err() != nil {
			w.t.Errorf("seed %d: %s never came to an end", w.Seed, req)
			return
		}
		for w.store.lost() && w.pause(ctx, 1) { // who does not wait is not patient
		}
		again, err2 := inbox.Result[string](ctx, w.procs[len(w.procs)-1].box, ticket)
		if got != again || fmt.Sprint(err) != fmt.Sprint(err2) {
			w.t.Errorf("seed %d: %s has two ends: %q, %v and %q, %v", w.Seed, req, got, err, again, err2)
		}
		e, err3 := w.procs[0].box.Get(ctx, ticket)
		if err3 != nil || e.Stage != inbox.StageDone {
			w.t.Errorf("seed %d: %s: %+v, %v", w.Seed, req, e, err3)
		}
		w.mu.Lock()
		if err == nil && !strings.HasSuffix(got, " on "+req) {
			w.t.Errorf("seed %d: %s got %q", w.Seed, req, got)
		}
		if w.paid[req] > 1 {
			w.t.Errorf("seed %d: %s was paid %d times", w.Seed, req, w.paid[req])
		}
		if w.retries[req] == 0 && (w.paid[req] > 0 || w.runs[req] > 0) {
			w.t.Errorf("seed %d: %s was run %d times, and nobody has said so", w.Seed, req, w.runs[req])
		}
		if w.runs[req] > w.retries[req] {
			w.seen.Taken++
		}
		w.mu.Unlock()
	}
	w.quiet(ctx)
}

// quiet waits until nothing is open, and counts how it ended.
func (w *world) quiet(ctx context.Context) {
	box := w.procs[0].box
	for {
		p, err := box.List(ctx, inbox.Query{})
		if err == nil && p.Total == 0 {
			break
		}
		if !w.pause(ctx, 1) {
			w.t.Errorf("seed %d: %d questions stay open: %+v", w.Seed, p.Total, p.Entries)
			return
		}
	}
	after := ""
	for {
		p, err := box.List(ctx, inbox.Query{Closed: true, Limit: 500, After: after})
		if err != nil {
			w.t.Errorf("seed %d: %v", w.Seed, err)
			return
		}
		w.mu.Lock()
		for _, e := range p.Entries {
			w.ended(e)
		}
		w.mu.Unlock()
		if after = p.Next; after == "" {
			return
		}
	}
}

// ended looks at the record of one; the lock is held.
func (w *world) ended(e inbox.Entry) {
	switch e.State {
	case inbox.StateExpired:
		w.seen.Expired++
	case inbox.StateWithdrawn:
		w.seen.Withdrawn++
	case inbox.StateOrphaned:
		w.seen.Orphaned++
	case inbox.StateDecided:
		if !e.Decision.At.Before(e.Deadline) {
			w.t.Errorf("seed %d: %s was decided at %v, and its deadline is %v", w.Seed, e.ID, e.Decision.At, e.Deadline)
		}
		if said := w.said[e.ID]; len(said) == 1 && said[0] != e.Decision.By {
			w.t.Errorf("seed %d: %s was decided by %s, and the record says %s", w.Seed, e.ID, said[0], e.Decision.By)
		}
		return
	default:
		w.t.Errorf("seed %d: %s is kept as %s", w.Seed, e.ID, e.State)
	}
	if said := w.said[e.ID]; len(said) > 0 {
		w.t.Errorf("seed %d: %s is kept as %s, and %s was told that it is decided", w.Seed, e.ID, e.State, said)
	}
}
