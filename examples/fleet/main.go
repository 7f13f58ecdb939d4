// Fleet is three processes that call one provider and share what they know of it over a
// NATS server on loopback. The provider goes down, comes back and limits its callers; one
// process is killed, and then the store. What the provider counts is printed beside what
// the breakers say.
//
//	go run .
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := play(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// play is this process's part: the story's, or what the story has started it for.
func play(ctx context.Context, out io.Writer) error {
	switch os.Getenv(roleVar) {
	case "replica":
		return replica(ctx, os.Stdin, os.Stdout)
	case "store":
		return store(ctx, os.Stdin, os.Stdout)
	}
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return story(ctx, out, dir)
}

func story(ctx context.Context, out io.Writer, dir string) (err error) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	p, err := newProvider()
	if err != nil {
		return err
	}
	defer p.Close()

	kept, err := begin(ctx, "store", "DIR="+dir)
	if err != nil {
		return err
	}
	defer func() { kept.end() }()
	f := &fleet{ctx: ctx, provider: p}
	defer f.end()
	for _, name := range []string{"anna", "bert", "cleo"} {
		if err := f.add(name, kept.said); err != nil {
			return err
		}
	}

	say("Three processes share one breaker over a store.")
	if err := f.until(func(r report) bool { return r.Replicas == 3 && r.Calls > 0 }); err != nil {
		return err
	}
	say("  %v", f)

	say("\nThe provider goes down. Alone, each of them would need five failures: 15 calls.")
	p.answer(http.StatusServiceUnavailable)
	if err := f.until(in("open")); err != nil {
		return err
	}
	say("  %v; the provider has counted %d calls", f, p.count())

	say("\nIt stays down for two open times. Alone, each of them would try it in each.")
	p.answer(http.StatusServiceUnavailable)
	if err := pause(ctx, 2*openFor+openFor/4); err != nil {
		return err
	}
	say("  %v; the provider has counted %d trials", f, p.count())

	say("\nanna is killed (SIGKILL), with whatever lease she had, and the provider is well again.")
	f.kill("anna")
	p.answer(http.StatusOK)
	if err := f.until(in("closed")); err != nil {
		return err
	}
	say("  %v", f)

	say("\nThe provider says 429 to one of them, with a Retry-After of 2 seconds.")
	p.answer(http.StatusTooManyRequests)
	if err := f.until(in("held")); err != nil {
		return err
	}
	say("  %v; the provider has refused %d calls", f, p.count())
	p.answer(http.StatusOK)
	if err := f.until(in("closed")); err != nil {
		return err
	}
	say("  %v", f)

	say("\nThe store is killed (SIGKILL), and the provider goes down: each is on its own.")
	kept.kill()
	if err := f.until(func(r report) bool { return r.Away }); err != nil {
		return err
	}
	p.answer(http.StatusServiceUnavailable)
	if err := f.until(in("open")); err != nil {
		return err
	}
	say("  %v; the provider has counted %d calls", f, p.count())

	say("\nThe store is back, from its folder, and the provider too.")
	p.answer(http.StatusOK)
	if kept, err = begin(ctx, "store", "DIR="+dir, "PORT="+port(kept.said)); err != nil {
		return err
	}
	if err := f.until(func(r report) bool { return r.State == "closed" && !r.Away }); err != nil {
		return err
	}
	say("  %v", f)
	if n := f.slowest(); n > 250*time.Millisecond {
		return fmt.Errorf("a call has spent %v in the breaker", n)
	}
	say("\nNo call has waited for the store.")
	return nil
}

func in(state string) func(report) bool { return func(r report) bool { return r.State == state } }

var errEnded = errors.New("a process has ended")
