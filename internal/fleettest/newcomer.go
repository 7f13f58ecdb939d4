package fleettest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

const replicas = 10

// Server is a store's engine, as a process or a part of this one.
type Server struct {
	At   string // what the replicas open
	Kill func() // ends it without a word
}

// provider is an upstream that counts.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	status   int
	arrived  []time.Time
	answered time.Time // the first answer of this status
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{status: http.StatusOK}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.arrived = append(p.arrived, time.Now())
		status := p.status
		p.mu.Unlock()
		if status == http.StatusTooManyRequests {
			rest(r.Context(), 20*time.Millisecond) // it takes its time, so some are under way
			w.Header().Set("Retry-After", "20")
		}
		w.WriteHeader(status)
		p.mu.Lock()
		if p.answered.IsZero() && status == p.status {
			p.answered = time.Now()
		}
		p.mu.Unlock()
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) become(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.arrived, p.answered = status, nil, time.Time{}
}

// requests is how many came in all, and how many after the first answer.
func (p *provider) requests() (all, after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.arrived {
		if !p.answered.IsZero() && at.After(p.answered) {
			after++
		}
	}
	return len(p.arrived), after
}

// process is one replica.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	log bytes.Buffer // what it says besides, such as a client's complaints; read when it has ended
}

func start(t *testing.T, at, provider string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), envStore+"="+at, envProvider+"="+provider)
	p.cmd.Stderr = &p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// say gives a command and returns what the replica reports.
func (p *process) say(t *testing.T, word string) (r report) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, word); err != nil {
		t.Fatal(err)
	}
	if !p.out.Scan() {
		_ = p.cmd.Wait()
		t.Fatalf("a replica has ended: %v\n%s", p.out.Err(), p.log.String())
	}
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// fleet is ten replicas and their provider.
type fleet struct {
	t        *testing.T
	provider *provider
	all      []*process
}

func newFleet(t *testing.T, at string) *fleet {
	t.Helper()
	f := &fleet{t: t, provider: newProvider(t)}
	for range replicas {
		f.all = append(f.all, start(t, at, f.provider.URL))
	}
	f.until("all know each other", func(r report) bool { return !r.Away && r.Replicas == replicas })
	return f
}

func (f *fleet) say(word string) (all []report) {
	for _, p := range f.all {
		all = append(all, p.say(f.t, word))
	}
	return all
}

// until waits for all replicas, and says how long it took.
func (f *fleet) until(what string, done func(report) bool) time.Duration {
	f.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		all := f.say("report")
		if !slices.ContainsFunc(all, func(r report) bool { return !done(r) }) {
			return time.Since(began)
		}
		if time.Since(began) > 30*time.Second {
			f.t.Fatalf("not in 30 s: %s: %+v", what, all)
		}
	}
}

// kill ends some replicas without a word, in the midst of whatever they were writing.
func (f *fleet) kill(n int) {
	for _, p := range f.all[:n] {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	f.all = f.all[n:]
}

func in(state string) func(report) bool { return func(r report) bool { return r.State == state } }

// again has the callers rest, and the breakers closed.
func (f *fleet) again() {
	f.say("stop")
	f.provider.become(http.StatusOK)
	f.all[0].say(f.t, "reset")
	f.until("all are closed after one was reset", in("closed"))
}

// Newcomer measures a fleet over a store; the store is killed for the second half.
func Newcomer(t *testing.T, serve func(t *testing.T) Server) {
	t.Run("with its store", func(t *testing.T) {
		f := newFleet(t, serve(t).At)
		f.limited("cold", 6)
		f.again()
		f.say("busy")
		f.until("all have called", func(r report) bool { return r.Calls > 4 })
		f.limited("warm", 6)
		f.again()
		f.down(12)
		f.probes(1)
		f.kill(3)
		f.reborn()
	})
	t.Run("with its store killed at the start", func(t *testing.T) {
		server := serve(t)
		f := newFleet(t, server.At)
		server.Kill()
		f.until("all know that it is away", func(r report) bool { return r.Away })
		f.provider.become(http.StatusTooManyRequests)
		f.say("rush")
		f.until("all are held", in("held"))
		if all, _ := f.provider.requests(); all < callers*replicas {
			t.Errorf("%d requests, want %d: how do they know?", all, callers*replicas)
		} else {
			t.Logf("limited, alone: %d requests were refused", all)
		}
		f.say("stop")
		for _, p := range f.all {
			p.say(t, "reset")
		}
		f.provider.become(http.StatusInternalServerError)
		f.say("call")
		f.until("all are open", in("open"))
		if all, _ := f.provider.requests(); all < 5*replicas || all > 7*replicas {
			t.Errorf("%d calls, want what each needs for itself", all)
		} else {
			t.Logf("down, alone: %d calls until all are open", all)
		}
		slowest := time.Duration(0)
		for _, r := range f.say("stop") {
			slowest = max(slowest, r.Slowest)
		}
		t.Logf("the slowest call has spent %v in the breaker", slowest)
		if slowest > 500*time.Millisecond {
			t.Errorf("a call has spent %v in the breaker: it waits for the store", slowest)
		}
	})
}

// limited: a provider says 429 with a Retry-After.
func (f *fleet) limited(what string, most int) {
	f.t.Helper()
	f.provider.become(http.StatusTooManyRequests)
	if what == "cold" {
		f.say("rush")
	}
	f.until("all are held", in("held"))
	rest(f.t.Context(), 250*time.Millisecond) // nobody calls any more
	all, after := f.provider.requests()
	f.t.Logf("limited, %s: %d requests were refused, %d that began after the first was answered", what, all, after)
	if after > most {
		f.t.Errorf("%s: %d requests began after the first was answered, at most %d", what, after, most)
	}
}

// down: a provider fails, and is called until all breakers are open.
func (f *fleet) down(most int) {
	f.t.Helper()
	f.provider.become(http.StatusInternalServerError)
	f.say("call")
	f.until("all are open", in("open"))
	all, _ := f.provider.requests()
	f.t.Logf("down: %d calls until all are open", all)
	if all > most {
		f.t.Errorf("%d calls until all are open, at most %d", all, most)
	}
}

// probes: an open breaker is tried by one replica in each open time.
func (f *fleet) probes(most int) {
	f.t.Helper()
	const periods = 2
	f.provider.become(http.StatusInternalServerError)
	rest(f.t.Context(), periods*openFor+openFor/2)
	all, _ := f.provider.requests()
	f.t.Logf("down: %d probes in %d open times", all, periods)
	if all == 0 || all > most*(periods+1) {
		f.t.Errorf("%d probes in %d open times", all, periods)
	}
}

// reborn: the provider is well, and one replica's trial closes all; if one that was
// killed had the lease, when that is over.
func (f *fleet) reborn() {
	f.t.Helper()
	f.provider.become(http.StatusOK)
	took := f.until("all are closed", in("closed"))
	f.t.Logf("well: all closed after %v", took.Round(time.Millisecond))
	for _, r := range f.say("stop") {
		if r.Skipped > 0 {
			f.t.Errorf("%d records could not be read", r.Skipped)
		}
	}
}
