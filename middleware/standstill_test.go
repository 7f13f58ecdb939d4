//go:build unix

package middleware_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const standsStill = "UNDERSTUDY_TEST_STANDS_STILL"

// A process that is stopped (a laptop that slept, a frozen container) blames
// nobody for it: what was under way is asked again, no retry is spent, and the
// breaker stays closed. Only a real process can be stopped, so this one test takes
// real time.
func TestPromiseAMachineThatSleptBlamesNobody(t *testing.T) {
	if os.Getenv(standsStill) != "" {
		isStopped()
		return
	}
	if testing.Short() {
		t.Skip("it takes two seconds")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestPromiseAMachineThatSleptBlamesNobody$")
	child.Env = append(os.Environ(), standsStill+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	said := ""
	for lines.Scan() {
		line := lines.Text()
		if line == "under way" {
			if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			<-time.After(1800 * time.Millisecond)
			if err := child.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasPrefix(line, "answered") {
			said = line
		}
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err, said)
	}
	expect(t, "it says", said, "answered 5 of 5, retries spent 0, breaker closed")
}

// isStopped is the process that is stopped: five calls under way, of an agent
// that needs half of its time.
func isStopped() {
	b := &strategies.Breaker{Failures: 3}
	var under sync.WaitGroup
	under.Add(5)
	var once [5]sync.Once
	g, err := middleware.WrapFunc(func(ctx context.Context, i int) (int, error) {
		once[i].Do(under.Done)
		for range 4 { // in pieces: what is left of it is not made up for by the standstill
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		return i, nil
	}).Timeout(700 * time.Millisecond).CircuitBreaker(b).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Hour}}).Build()
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	answered, spent := 0, 0
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			o := g.Outcome(context.Background(), i)
			mu.Lock()
			defer mu.Unlock()
			if o.Err == nil {
				answered++
			} else {
				fmt.Println(o.Err)
			}
		})
	}
	under.Wait()
	fmt.Println("under way")
	all.Wait()
	fmt.Printf("answered %d of 5, retries spent %d, breaker %s\n", answered, spent, b.State())
}
