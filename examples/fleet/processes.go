package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const roleVar = "FLEET_ROLE"

// process is this program, run again in another part.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	said string // its first line: it is ready
	last report
}

func begin(ctx context.Context, role string, env ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self)}
	p.cmd.Env = append(append(os.Environ(), roleVar+"="+role), env...)
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if !p.out.Scan() {
		p.kill()
		return nil, fmt.Errorf("%w: a %s, before it was ready", errEnded, role)
	}
	p.said = p.out.Text()
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // SIGKILL: no word of farewell
	_ = p.cmd.Wait()
}

func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// fleet is the replicas, as the story sees them.
type fleet struct {
	ctx      context.Context
	provider *provider
	all      []*process
}

func (f *fleet) add(name, store string) error {
	p, err := begin(f.ctx, "replica", "NAME="+name, "STORE="+store, "PROVIDER="+f.provider.url)
	if err == nil {
		p.name = name
		f.all = append(f.all, p)
	}
	return err
}

func (f *fleet) kill(name string) {
	left := f.all[:0]
	for _, p := range f.all {
		if p.name == name {
			p.kill()
		} else {
			left = append(left, p)
		}
	}
	f.all = left
}

func (f *fleet) end() {
	for _, p := range f.all {
		p.end()
	}
}

// look asks all how they are.
func (f *fleet) look() error {
	for _, p := range f.all {
		if _, err := fmt.Fprintln(p.in, "how are you?"); err != nil {
			return err
		}
		if !p.out.Scan() {
			return fmt.Errorf("%w: %s", errEnded, p.name)
		}
		if err := json.Unmarshal(p.out.Bytes(), &p.last); err != nil {
			return err
		}
	}
	return nil
}

// until waits for all of them to be so.
func (f *fleet) until(so func(report) bool) error {
	for {
		if err := f.look(); err != nil {
			return err
		}
		all := true
		for _, p := range f.all {
			all = all && so(p.last)
		}
		if all {
			return nil
		}
		if err := pause(f.ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("it took too long: %w", err)
		}
	}
}

// String is what they said last.
func (f *fleet) String() string {
	var all []string
	for _, p := range f.all {
		all = append(all, p.name+" is "+p.last.State)
	}
	return strings.Join(all, ", ")
}

func (f *fleet) slowest() (d time.Duration) {
	for _, p := range f.all {
		d = max(d, p.last.Slowest)
	}
	return d
}

// provider is an upstream on loopback that counts its calls.
type provider struct {
	*http.Server
	url string

	mu     sync.Mutex
	status int
	calls  int
}

func newProvider() (*provider, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{url: "http://" + l.Addr().String(), status: http.StatusOK}
	p.Server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		p.calls++
		status := p.status
		p.mu.Unlock()
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "2")
		}
		w.WriteHeader(status)
	})}
	go func() { _ = p.Serve(l) }()
	return p, nil
}

// answer is how it answers from now on, and counts anew.
func (p *provider) answer(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.calls = status, 0
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}
