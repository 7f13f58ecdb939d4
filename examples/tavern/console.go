package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// playOn plays until ctx ends: several players at a time, a provider that fails by the dice and
// is away now and then, and a console to look at all of it and to be the game master in.
func playOn(ctx context.Context, address string, seed uint64, t timing, turns []turn, out io.Writer) error {
	listener, err := listenHere(address)
	if err != nil {
		return err
	}
	defer listener.Close()
	server, err := endpoint.Start(unrest(seed, t))
	if err != nil {
		return err
	}
	defer server.Close()

	company := &assembly{}
	desk := inbox.NewDesk()
	board, err := console.New(console.Settings{
		Agents: company.owners,
		Role:   func(agent string) string { return string(parts[agent].role) },
		Inbox: console.Desk(desk, func(i strategies.Incident) string {
			s, _ := i.Request.(scene)
			return s.line
		}),
		Hosts: names(listener.Addr()),
		Who: func(*http.Request) (console.Person, error) { // whoever sits at this machine
			return console.Person{Name: "game master", Look: true, Decide: true, Control: true}, nil
		},
	})
	if err != nil {
		return err
	}
	how := middleware.Intervention{Ask: desk, Deadline: 90 * time.Second}
	cast, err := newCast(newClient(server.URL(), "none needed"), provider{}.modelOf, t, how, board, func(b *middleware.Builder[scene, string], agent roles.Agent[scene, string]) {
		b.Bulkhead(&strategies.Bulkhead{MaxConcurrent: 8}).Pace(&strategies.Pace{RequestsPerMinute: 600})
		if agent.Role() != roles.Consistency {
			b.Ladder(&strategies.Ladder{ClimbAfter: 2, MinimumStay: t.scale(20 * time.Second)})
		}
	})
	if err != nil {
		return err
	}
	company.set(cast.Owners())

	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for n := range uint64(players) {
		all.Go(func() { player(ctx, rand.New(rand.NewPCG(seed, n)), cast, turns, t) })
	}
	web := &http.Server{Handler: board, ReadHeaderTimeout: 10 * time.Second}
	all.Go(func() {
		<-ctx.Done()
		_ = web.Close()
	})
	fmt.Fprintf(out, "The tavern is open, and its provider fails. Look on, and be the game master:\n\n    http://%s/\n\n", listener.Addr())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return context.Cause(ctx)
}

const players = 6

// player asks for one scene after the other.
func player(ctx context.Context, dice *rand.Rand, cast *roles.Cast[scene, string], turns []turn, t timing) {
	for ctx.Err() == nil {
		if turn := turns[dice.IntN(len(turns))]; !turn.intermission {
			if agent, ok := cast.Agent(turn.agent); ok {
				_, _ = agent.Run(ctx, scene{line: turn.line}) // what comes of it is on the console
			}
		}
		_ = sleep(ctx, t.scale(5*time.Second)+time.Duration(dice.Int64N(int64(t.scale(20*time.Second)))))
	}
}

// unrest is how the provider fails when the play goes on and on: by the dice, and each model is
// away for a while every now and then.
func unrest(seed uint64, t timing) endpoint.Plan {
	p := plan(max(seed, 1), t)
	p.Rate = 0.15
	p.Down = map[string][]endpoint.Outage{}
	dice := rand.New(rand.NewPCG(max(seed, 1), 0))
	for _, name := range company {
		for at := 4 + dice.IntN(10); at < 20_000; at += 40 + dice.IntN(60) {
			o := endpoint.Outage{From: at, To: at + 4 + dice.IntN(5)}
			if dice.IntN(4) == 0 {
				o.Fault = endpoint.Quota()
			}
			p.Down[name] = append(p.Down[name], o)
			at = o.To
		}
	}
	return p
}

// listenHere listens on the loopback interface, and nowhere else: whoever reaches the console of
// the demo is the game master.
func listenHere(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("-console is %q; use an address such as 127.0.0.1:7070", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("-console is %q; everybody who reaches it may decide, so it must be of this machine alone, such as 127.0.0.1:7070", address)
	}
	return net.Listen("tcp", address)
}

// names are those by which the console may be called.
func names(address net.Addr) []string {
	_, port, _ := net.SplitHostPort(address.String())
	return []string{address.String(), "localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port}
}

// assembly is the cast as the console sees it, which is made before the cast.
type assembly struct {
	mu  sync.Mutex
	all []*middleware.Owner
}

func (a *assembly) set(all []*middleware.Owner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = all
}

func (a *assembly) owners() []*middleware.Owner {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all
}
