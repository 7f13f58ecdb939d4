// Streaming is a story that arrives word by word while the provider behind it fails before the
// first word, between two words and after the last one: what of that can be mended, and how.
//
//	go run ./streaming
//	go run ./streaming -pace 3   # slowly
//
// The provider is a server on the loopback interface. The stream is a real one: server-sent
// events over HTTP, read by the client of openai-go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/understudy-go/understudy/internal/endpoint"
)

// A stage is all that a run touches of the world.
type stage struct {
	out    io.Writer
	errs   io.Writer // usage
	getenv func(string) string
	screen bool // out is watched: colours, and a pause to read each paragraph
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], stage{out: os.Stdout, errs: os.Stderr, getenv: os.Getenv, screen: isScreen(os.Stdout)})
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\nstreaming: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "streaming:", err)
		os.Exit(1)
	}
}

// run tells the story. An error says what is wrong in words that a reader understands.
func run(ctx context.Context, args []string, st stage) error {
	flags := flag.NewFlagSet("streaming", flag.ContinueOnError)
	pace := flags.Float64("pace", 1, "scale every delay; more is slower")
	flags.SetOutput(st.errs)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("no argument is expected, got %q; see -h", flags.Args())
	}
	if !(*pace >= 0.001 && *pace <= 100) { // NaN fails both
		return fmt.Errorf("-pace is %v; use a number from 0.001 to 100", *pace)
	}
	server, err := endpoint.Start(plan())
	if err != nil {
		return err
	}
	defer server.Close()

	p := &page{out: st.out, colour: st.screen && st.getenv("NO_COLOR") == "" && st.getenv("TERM") != "dumb"}
	t := timingOf(*pace)
	show := &show{page: p, client: newClient(server.URL(), t.word), times: t}
	if st.screen {
		show.beat = t.beat
	}
	return show.perform(ctx)
}

// isScreen says whether somebody watches a file.
func isScreen(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
