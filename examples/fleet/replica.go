package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
)

const openFor = 1500 * time.Millisecond

// newFleet is all that sharing takes.
func newFleet(ctx context.Context, url, name string, provider *strategies.Breaker) (*strategies.Fleet, error) {
	kept, err := nats.Open(ctx, nats.URL(url))
	if err != nil {
		return nil, err
	}
	fleet := &strategies.Fleet{Store: kept, Name: "shop", Replica: name}
	return fleet, fleet.Share(provider)
}

// newAgent is an agent as ever.
func newAgent(url string, provider *strategies.Breaker) (middleware.Runner[string, string], error) {
	client := &http.Client{}
	return middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = &statusError{resp.StatusCode, resp.Header}
		}
		return string(answer), err
	}).Named("agent").CircuitBreaker(provider).Build()
}

// statusError is what a client library makes of an answer that is none.
type statusError struct {
	StatusCode int
	Header     http.Header
}

func (e *statusError) Error() string { return "status " + strconv.Itoa(e.StatusCode) }

// report is what a replica says of itself.
type report struct {
	State    string
	Replicas int
	Away     bool
	Calls    int64
	Slowest  time.Duration // of calls that were refused: what the breaker costs
}

// replica calls the provider until its orders end, and says how it is when it is asked.
func replica(ctx context.Context, orders io.Reader, says io.Writer) error {
	provider := &strategies.Breaker{Name: "provider", OpenFor: openFor, MaxOpenFor: openFor}
	fleet, err := newFleet(ctx, os.Getenv("STORE"), os.Getenv("NAME"), provider)
	if err != nil {
		return err
	}
	defer fleet.Close()
	agent, err := newAgent(os.Getenv("PROVIDER"), provider)
	if err != nil {
		return err
	}
	var calls, slowest atomic.Int64
	ctx, cancel := context.WithCancel(ctx)
	var callers sync.WaitGroup
	defer callers.Wait()
	defer cancel()
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				_, err := agent.Run(ctx, "good morning")
				if took := int64(time.Since(began)); errors.Is(err, strategies.ErrRejected) && took > slowest.Load() {
					slowest.Store(took)
				}
				calls.Add(1)
				_ = pause(ctx, 300*time.Millisecond+rand.N(300*time.Millisecond))
			}
		})
	}
	fmt.Fprintln(says, "ready")
	for in := bufio.NewScanner(orders); in.Scan(); {
		h := fleet.Health()
		line, err := json.Marshal(report{provider.State().String(), h.Replicas, h.Away, calls.Load(), time.Duration(slowest.Load())})
		if err != nil {
			return err
		}
		fmt.Fprintf(says, "%s\n", line)
	}
	return nil
}

// store is a NATS server on loopback, as any fleet may have one. It says where it is.
func store(ctx context.Context, orders io.Reader, says io.Writer) error {
	at := server.RANDOM_PORT
	if p, err := strconv.Atoi(os.Getenv("PORT")); err == nil {
		at = p
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: at, JetStream: true, StoreDir: os.Getenv("DIR"), NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("the server did not start")
	}
	fmt.Fprintln(says, srv.ClientURL())
	_, err = io.Copy(io.Discard, orders)
	return err
}

func port(url string) string {
	_, p, _ := net.SplitHostPort(url[len("nats://"):])
	return p
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
