// Tavern is the demo: a game master's four agents play a session at the table while the model
// provider behind them fails in every way it can, and the players never notice.
//
//	go run ./tavern
//	go run ./tavern -ask              # be the game master yourself
//	go run ./tavern -seed 7           # another night: the faults fall by the dice
//	go run ./tavern -session my.txt   # another story
//	go run ./tavern -console 127.0.0.1:7070   # on and on, behind a console in the browser
//
// By default the provider is a server on the loopback interface, and no network is needed. With
// OPENAI_BASE_URL, OPENAI_API_KEY and TAVERN_MODEL set, the agents call that endpoint instead.
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
	"time"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
)

const (
	demoPace = 0.1 // on the loopback interface
	realPace = 1.0 // elsewhere
)

// A stage is all that a run touches of the world.
type stage struct {
	in     io.Reader
	out    io.Writer
	errs   io.Writer // usage
	getenv func(string) string
	screen bool // out is watched: colours, and a pause to read each answer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], stage{
		in: os.Stdin, out: os.Stdout, errs: os.Stderr, getenv: os.Getenv, screen: isScreen(os.Stdout),
	})
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\ntavern: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "tavern:", err)
		os.Exit(1)
	}
}

// run plays a session. An error says what is wrong in words that a player understands.
func run(ctx context.Context, args []string, st stage) error {
	var (
		flags   = flag.NewFlagSet("tavern", flag.ContinueOnError)
		session = flags.String("session", "", "play the session in `file` instead of the default one")
		pace    = flags.Float64("pace", 0, "scale every delay, 1 being real life (default 0.1, or 1 with a real provider)")
		ask     = flags.Bool("ask", false, "be the game master: decide at the terminal what no agent can")
		board   = flags.String("console", "", "play on and on behind a console at this loopback `address`, such as 127.0.0.1:7070")
		seed    = flags.Uint64("seed", 0, "let the faults fall by the dice of this seed; 0 is the night of the default session")
	)
	flags.SetOutput(st.errs)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("no argument is expected, got %q; see -h", flags.Args())
	}
	turns, err := loadSession(*session)
	if err != nil {
		return err
	}
	from, err := providerOf(st.getenv)
	if err != nil {
		return err
	}
	if *pace == 0 {
		*pace = demoPace
		if !from.loopback() {
			*pace = realPace
		}
	}
	if !(*pace >= 0.001 && *pace <= 100) { // NaN fails both
		return fmt.Errorf("-pace is %v; use a number from 0.001 to 100", *pace)
	}

	times := timingOf(*pace)
	if *board != "" {
		if !from.loopback() {
			return errors.New("-console plays with the provider on the loopback interface only: it never ends, and a real one costs")
		}
		return playOn(ctx, *board, *seed, times, turns, st.out)
	}
	if from.loopback() {
		server, err := endpoint.Start(plan(*seed, times))
		if err != nil {
			return err
		}
		defer server.Close()
		from.url, from.key = server.URL(), "none needed"
	}
	p := &page{out: st.out, colour: st.screen && st.getenv("NO_COLOR") == "" && st.getenv("TERM") != "dumb"}
	master := scripted(times.scale(8 * time.Second))
	if *ask {
		master = &inbox.Terminal{In: st.in, Out: st.out, By: "you"}
	}
	cast, err := newCast(newClient(from.url, from.key), from.modelOf, times, middleware.Intervention{Ask: master}, watch(p))
	if err != nil {
		return err
	}

	p.text("", "", fmt.Sprintf(about, nights[from.loopback()]))
	p.println("", "")
	p.text(grey, "", from.describe(*seed, *pace))
	show := &play{page: p, cast: cast}
	if st.screen {
		show.beat = times.scale(4 * time.Second)
	}
	if err := show.perform(ctx, turns); err != nil {
		return err
	}
	p.summary(&show.book, cast)
	if n := show.book.nobody; n > 0 {
		return fmt.Errorf("%s of %d got no answer", plural(n, "line"), show.book.turns)
	}
	return nil
}

const about = `Four agents share the work of a game master, each answering the players by a call
to a model, and tonight the provider of those models %s. Read what the players hear; the line
under each answer says who gave it, by which recovery strategy, after how many attempts, at
which level, and how long it took.`

// nights is how the provider does, by whether it is the one on the loopback interface.
var nights = map[bool]string{true: "fails in every way it can", false: "is a real one"}
