package fleettest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

const (
	envStore    = "UNDERSTUDY_FLEETTEST_STORE"
	envProvider = "UNDERSTUDY_FLEETTEST_PROVIDER"
	callers     = 4
	openFor     = 2 * time.Second
)

// Main is a TestMain for a store's tests: if this process is to be a replica, it is one.
func Main(m *testing.M, open func(ctx context.Context, at string) (strategies.Store, error)) {
	at := os.Getenv(envStore)
	if at == "" {
		os.Exit(m.Run())
	}
	if err := replica(at, open); err != nil {
		fmt.Fprintln(os.Stderr, "replica:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// statusError is what a client makes of a failed answer.
type statusError struct {
	StatusCode int
	Header     http.Header
}

func (e *statusError) Error() string { return fmt.Sprint("status ", e.StatusCode) }

// report is what a replica says of itself, a line of JSON.
type report struct {
	State    string
	Away     bool
	Replicas int
	Skipped  int
	Calls    int64
	Slowest  time.Duration // of what a call spends in the breaker, not at the provider
}

// shop is a replica at work.
type shop struct {
	breaker  *strategies.Breaker
	fleet    *strategies.Fleet
	provider string
	client   *http.Client

	calls   atomic.Int64
	slowest atomic.Int64
	stop    context.CancelFunc
	busy    sync.WaitGroup
}

// replica obeys what it reads, a word a line, until there is no more.
func replica(at string, open func(ctx context.Context, at string) (strategies.Store, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	store, err := open(ctx, at)
	if err != nil {
		return err
	}
	defer store.Close()
	s := &shop{
		breaker:  &strategies.Breaker{Name: "provider", OpenFor: openFor, MaxOpenFor: openFor},
		fleet:    &strategies.Fleet{Store: store, Name: "fleettest"},
		provider: os.Getenv(envProvider), client: &http.Client{},
	}
	if err := s.fleet.Share(s.breaker); err != nil {
		return err
	}
	defer s.fleet.Close()
	return s.obey(os.Stdin, os.Stdout)
}

func (s *shop) obey(in io.Reader, out io.Writer) error {
	words := bufio.NewScanner(in)
	for words.Scan() {
		switch words.Text() {
		case "call": // each caller every second, beginning within two
			s.begin(func() time.Duration { return rand.N(2 * time.Second) }, time.Second)
		case "rush": // the same, the four of a process at once
			at := rand.N(2 * time.Second)
			s.begin(func() time.Duration { return at }, time.Second)
		case "busy": // each caller five times a second
			s.begin(func() time.Duration { return rand.N(200 * time.Millisecond) }, 200*time.Millisecond)
		case "stop":
			s.end()
		case "reset":
			s.breaker.Reset()
		}
		h := s.fleet.Health()
		if err := json.NewEncoder(out).Encode(report{
			s.breaker.State().String(), h.Away, h.Replicas, h.Skipped, s.calls.Load(), time.Duration(s.slowest.Load()),
		}); err != nil {
			return err
		}
	}
	s.end()
	return words.Err()
}

func (s *shop) begin(first func() time.Duration, think time.Duration) {
	s.end()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	for range callers {
		s.busy.Add(1)
		go func() {
			defer s.busy.Done()
			rest(ctx, first())
			for ctx.Err() == nil {
				s.call(ctx)
				rest(ctx, think/2+rand.N(think))
			}
		}()
	}
}

func (s *shop) end() {
	if s.stop != nil {
		s.stop()
		s.busy.Wait()
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// call makes a call as an agent does.
func (s *shop) call(ctx context.Context) {
	began := time.Now()
	permit, err := s.breaker.Allow()
	spent := time.Since(began)
	if err == nil {
		failed := s.ask(ctx)
		began = time.Now()
		permit.Settle(strategies.Classify(failed), failed)
		spent += time.Since(began)
		s.calls.Add(1)
	}
	for {
		slowest := s.slowest.Load()
		if int64(spent) <= slowest || s.slowest.CompareAndSwap(slowest, int64(spent)) {
			return
		}
	}
}

func (s *shop) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.provider, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return &statusError{resp.StatusCode, resp.Header}
	}
	return nil
}
