package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// mostRuns is how often processes go on with a parked call: one that kills whoever does
// is given up.
const mostRuns = 5

// Named is a [middleware.Runner] that has a name: a guarded agent is one.
type Named[Req, Resp any] interface {
	middleware.Runner[Req, Resp]
	Name() string
}

// resumer goes on with the parked calls of one agent.
type resumer struct {
	run   func(ctx context.Context, r strategies.Resumption, request []byte) (answer []byte, err error)
	types []reflect.Type
}

// run is a parked call that this process goes on with.
type run struct {
	cancel context.CancelCauseFunc
	rec    *record // as it was claimed
	again  bool    // it asked anew, and is parked again
}

// Park keeps a call until somebody decides. Layers call it. A call that is parked
// already, by its id, keeps its ticket, unless it has failed since.
func (b *Inbox) Park(ctx context.Context, i strategies.Incident) (string, error) {
	if err := b.ready(ctx); err != nil {
		return "", err
	}
	r, err := b.question(ctx, i)
	if err != nil {
		return "", err
	}
	r.Ticket, r.Stage = i.Ticket, StageWaiting
	if i.Ticket != "" {
		return i.Ticket, b.parkAgain(ctx, r)
	}
	r.Ticket = i.ID
	r.Parked = &parked{Asked: 1}
	if err := protect("Codec.Marshal", func() (err error) { r.Parked.Request, err = b.s.Codec.Marshal(i.Request); return err }); err != nil {
		return "", fmt.Errorf("understudy: the request cannot be kept: %w", err)
	}
	if n := len(r.Parked.Request); n > b.s.MaxRequest {
		return "", fmt.Errorf("understudy: the request has %d bytes, of which at most %d are kept (Settings.MaxRequest)", n, b.s.MaxRequest)
	}
	if ticket, err := b.reserve(ctx, r); err != nil || ticket != r.Ticket {
		return ticket, err
	}
	return r.Ticket, b.create(ctx, r)
}

// callKey is where the ticket of a call is kept, by the id of the call.
func (b *Inbox) callKey(r *record) string {
	sum := sha256.Sum256([]byte(r.Agent + "\x00" + r.Call))
	return b.prefix("call") + hex.EncodeToString(sum[:])
}

// reserve returns the ticket of a call: its own, or that of the same call, which was
// parked before and has not failed since.
func (b *Inbox) reserve(ctx context.Context, r *record) (ticket string, err error) {
	if r.Call == "" {
		return r.Ticket, nil
	}
	w := strategies.Write{Key: b.callKey(r), Value: []byte(r.Ticket), TTL: r.Deadline.Sub(r.Opened) + b.s.Keep}
	err = b.again(ctx, func(ctx context.Context) error {
		for {
			_, err := b.store.Put(ctx, w)
			if !errors.Is(err, strategies.ErrConflict) {
				ticket = r.Ticket
				return err
			}
			there, err := b.store.Get(ctx, w.Key)
			switch {
			case errors.Is(err, strategies.ErrNotFound):
				w.Revision = 0
				continue
			case err != nil:
				return err
			}
			if ticket = string(there.Value); ticket == r.Ticket {
				return nil // our own, to which nobody answered
			}
			old, err := b.get(ctx, ticket)
			if err == nil && (old.Stage != StageDone || old.Parked.Failure == nil) {
				return nil
			}
			if err != nil && !errors.Is(err, strategies.ErrNotFound) {
				return err
			}
			w.Revision = there.Revision // that one was never asked, or has failed: ask anew
		}
	})
	return ticket, err
}

// superseded says whether the call of a ticket was parked anew, under another one: who
// could not know whether the first was kept.
func (b *Inbox) superseded(ctx context.Context, r *record) (bool, error) {
	if r.Call == "" {
		return false, nil
	}
	there, err := b.store.Get(ctx, b.callKey(r))
	if errors.Is(err, strategies.ErrNotFound) {
		return false, nil
	}
	return err == nil && string(there.Value) != r.Ticket, err
}

// parkAgain asks anew about a call that this process goes on with.
func (b *Inbox) parkAgain(ctx context.Context, r *record) error {
	key := b.openKey(r.Ticket)
	b.mu.Lock()
	own := b.runs[key]
	b.mu.Unlock()
	if own == nil || b.openKey(r.ID) != key {
		return &strategies.InterventionError{Incident: r.ID, Problem: "is of a parked call that this process does not go on with"}
	}
	was := own.rec
	r.Earlier = append(was.Earlier, was.last())
	p := *was.Parked
	p.Asked++
	r.Parked = &p
	err := b.again(ctx, func(ctx context.Context) error {
		err := b.put(ctx, r, was.Revision)
		if errors.Is(err, strategies.ErrConflict) { // perhaps our own, to which nobody answered
			if got, err2 := b.get(ctx, r.ID); err2 == nil && got.ID == r.ID && got.Opened.Equal(r.Opened) {
				return nil
			}
		}
		return err
	})
	if err == nil {
		b.mu.Lock()
		own.again = true
		b.mu.Unlock()
	}
	return err
}

// last is what became of a question, for the record of the next one.
func (r *record) last() Vote {
	if r.Decision != nil {
		return *r.Decision
	}
	return Vote{At: r.Closed, Action: string(r.State)}
}

// Resume lets this process go on with the parked calls of an agent, whichever process
// parked them, as soon as they are decided or have expired: each by one process at a
// time, under the id of the call, until it is done. The agent is called only if the
// decision says so; its chain must be the one that parks, with the same name. A process
// that dies meanwhile is taken over by another one that resumes the agent, so let the
// chain have Effects on a journal that both can read, if the agent has tools.
//
// It goes on until the inbox is closed. The error is a [strategies.ConfigError], or says
// that the inbox is closed already.
func Resume[Req, Resp any](b *Inbox, agent Named[Req, Resp]) error {
	if err := b.ready(context.Background()); err != nil {
		return err
	}
	if v := reflect.ValueOf(agent); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return &strategies.ConfigError{Setting: "inbox.Resume agent", Problem: "is nil", Fix: "give it a guarded agent"}
	}
	if g, ok := agent.(interface{ Owner() *middleware.Owner }); ok && !g.Owner().Parks() {
		return &strategies.ConfigError{Setting: "inbox.Resume agent", Problem: fmt.Sprintf("%q does not park its calls", agent.Name()), Fix: "give its chain Intervene(middleware.Intervention{Ask: box, Park: true})"}
	}
	r := &resumer{types: []reflect.Type{reflect.TypeFor[Resp]()}}
	r.run = func(ctx context.Context, how strategies.Resumption, request []byte) (answer []byte, err error) {
		var req Req
		if err := protect("Codec.Unmarshal", func() error { return b.s.Codec.Unmarshal(request, &req) }); err != nil {
			return nil, fmt.Errorf("understudy: the request of the parked call cannot be read: %w", err)
		}
		if how.Decision.Action == strategies.ActionAnswer && how.Err == nil {
			if how.Decision.Value, err = b.decodeAnswer(&payload{how.Decision.Value.([]byte)}, r.types); err != nil { //nolint:forcetypeassert // so it was stored
				how.Decision.Value = unreadable{}
			}
		}
		var resp Resp
		err = protect("the agent", func() (err error) { resp, err = agent.Run(middleware.WithResumption(ctx, how), req); return err })
		if err != nil {
			return nil, err
		}
		if err := protect("Codec.Marshal", func() error { answer, err = b.s.Codec.Marshal(resp); return err }); err != nil {
			return nil, fmt.Errorf("understudy: the call was answered, and the answer cannot be kept: %w", err)
		}
		if len(answer) > b.s.MaxAnswer {
			return nil, fmt.Errorf("understudy: the call was answered, and the answer has %d bytes, of which at most %d are kept (Settings.MaxAnswer)", len(answer), b.s.MaxAnswer)
		}
		return answer, nil
	}
	b.learn(agent.Name(), r.types)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.agents[agent.Name()] != nil {
		return &strategies.ConfigError{Setting: "inbox.Resume agent", Problem: fmt.Sprintf("%q is resumed already", agent.Name()), Fix: "resume an agent once, and give different agents different names"}
	}
	b.agents[agent.Name()] = r
	b.nudge()
	return nil
}

// resume goes on with a parked call, if this process is the one that may.
func (b *Inbox) resume(ctx context.Context, e Entry) error {
	key := b.openKey(e.ID)
	r, err := b.get(ctx, e.ID)
	if err != nil {
		return err
	}
	if r.ID != e.ID || !r.resumable() || r.Stage == StageRunning && r.Process != e.Process {
		return nil // somebody else was faster
	}
	b.mu.Lock()
	agent := b.agents[r.Agent]
	no := agent == nil || b.runs[key] != nil || len(b.runs) >= b.s.Running
	b.mu.Unlock()
	if no {
		return nil
	}
	var f *failure
	old, err := b.superseded(ctx, r)
	switch {
	case err != nil:
		return err
	case old:
		f = &failure{Text: "understudy: the call was parked anew, under another ticket", Class: strategies.ClassCanceled, Plain: true}
	case r.Parked.Runs >= mostRuns:
		f = &failure{Text: fmt.Sprintf("understudy: the parked call was given up: %d processes ended while they went on with it", r.Parked.Runs), Class: strategies.ClassUncertain, Plain: true}
	}
	if f != nil {
		r.done(nil, f)
		if err := b.put(ctx, r, r.Revision); err != nil {
			return err
		}
		return b.putAway(ctx, r)
	}
	r.Stage, r.Process = StageRunning, b.s.Process
	r.Parked.Runs++
	if err := b.put(ctx, r, r.Revision); err != nil {
		return err
	}
	own := &run{rec: r}
	var running context.Context
	running, own.cancel = context.WithCancelCause(b.ctx)
	b.mu.Lock()
	b.runs[key] = own
	b.mu.Unlock()
	if !b.life.alive() { // it took too long: another process may go on with it by now
		own.cancel(errFenced)
	}
	started := b.spawn(func() {
		defer own.cancel(nil)
		defer func() {
			b.mu.Lock()
			delete(b.runs, key)
			b.mu.Unlock()
			b.nudge()
		}()
		b.goOn(running, own, agent)
	})
	if !started {
		own.cancel(errClosed)
		b.release(r)
	}
	return nil
}

// goOn is a parked call from where it was left, to its end.
func (b *Inbox) goOn(ctx context.Context, own *run, agent *resumer) {
	r := own.rec
	how := strategies.Resumption{
		Ticket: r.Ticket, Incident: r.ID, Call: r.Call, Agent: r.Agent, Round: r.Round, Asked: r.Parked.Asked,
		Class: r.Class, Attempts: restored(r.Attempts),
	}
	if r.State == StateDecided {
		how.Decision = strategies.Decision{Action: r.Action, Agent: r.Decision.Agent, By: r.Decision.By, Reason: r.Decision.Reason}
		if r.Action == strategies.ActionAnswer {
			how.Decision.Value = r.Value.Data
		}
	} else {
		how.Err = &ClosedError{r.Entry}
	}
	returned := false
	defer func() {
		if !returned { // the agent ended its goroutine
			b.finish(ctx, r, nil, errors.New("understudy: the agent ended its goroutine (runtime.Goexit)"))
		}
	}()
	if ctx.Err() != nil {
		returned = true
		return
	}
	answer, err := agent.run(ctx, how, r.Parked.Request)
	returned = true
	b.mu.Lock()
	again := own.again
	b.mu.Unlock()
	switch {
	case again:
	case err != nil && context.Cause(ctx) == errClosed: //nolint:errorlint // it is this very one
		b.release(r)
	case err != nil && ctx.Err() != nil: // fenced: it is another process's
	default:
		b.finish(ctx, r, answer, err)
	}
}

// finish writes down what came of a parked call. It insists for as long as this process
// is taken for alive, for the work is done.
func (b *Inbox) finish(ctx context.Context, r *record, answer []byte, err error) {
	if err != nil {
		r.done(nil, failed(err))
	} else {
		r.done(&payload{answer}, nil)
	}
	revision := r.Revision
	for {
		ctx, cancel := b.patient(context.WithoutCancel(ctx))
		err := b.put(ctx, r, revision)
		if errors.Is(err, strategies.ErrConflict) {
			if got, err2 := b.get(ctx, r.ID); err2 == nil && got.Stage == StageDone && got.Process == b.s.Process && got.Parked.Runs == r.Parked.Runs {
				err, r = nil, got // our own, to which nobody answered
			}
		}
		if err == nil {
			err = b.putAway(ctx, r)
			b.trouble(err)
			cancel()
			return
		}
		cancel()
		b.trouble(err)
		if !errors.Is(err, strategies.ErrUnavailable) || !b.life.alive() {
			return
		}
		pause := time.NewTimer(b.s.Heartbeat / 10)
		select {
		case <-pause.C:
		case <-b.ctx.Done():
			pause.Stop()
			return
		}
	}
}

// release lets go of a parked call, so that another process goes on with it at once.
func (b *Inbox) release(r *record) {
	ctx, cancel := b.patient(context.Background())
	defer cancel()
	r.Stage, r.Process = StageWaiting, ""
	r.Parked.Runs--
	_ = b.put(ctx, r, r.Revision)
}

// done ends a parked call.
func (r *record) done(answer *payload, f *failure) {
	r.Stage = StageDone
	if r.Parked.Answer, r.Parked.Failure = answer, f; f != nil {
		r.Failure = f.Text
	}
}
