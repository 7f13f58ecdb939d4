package nats_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/understudy-go/understudy/internal/inboxtest"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
)

// The inbox's own property, over a real server.
func TestInboxOverNATS(t *testing.T) {
	store := open(t, nats.URL(one(t)))
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("storm ", seed), func(t *testing.T) {
			t.Parallel()
			seen := inboxtest.Run(t, store, inboxtest.Storm{
				Seed: seed, Heartbeat: 250 * time.Millisecond, Processes: 3, Held: 12, Parked: 8, People: 3, Crashes: 3, Outages: 1,
			})
			t.Logf("%+v", seen)
		})
	}
}

// Processes that are killed, for good and without a word: the one that holds a call, the
// one that goes on with it, and the store. Nothing is lost, and nothing done twice.
func TestInboxSurvivesKill9(t *testing.T) {
	dir, paid := t.TempDir(), t.TempDir()+"/paid"
	port := freePort(t)
	url := "nats://127.0.0.1:" + port
	child := func(role string, more ...string) *process {
		return spawn(t, role, append(more, "DIR="+dir, "PORT="+port, "URL="+url, "PAID="+paid)...)
	}
	serves := child("server")
	serves.says("ready")
	store := open(t, nats.URL(url))
	box, err := inbox.Open(store, inbox.Settings{Heartbeat: beat})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	retry := func(id string) {
		t.Helper()
		if _, err := box.Resolve(ctx, id, strategies.Decision{Action: strategies.ActionRetryNow, By: "Ada"}); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(ticket, call string) {
		t.Helper()
		got, err := inbox.Wait[string](ctx, box, ticket)
		if err != nil || got != "done: "+call {
			t.Fatalf("got %q, %v", got, err)
		}
		lines, _ := os.ReadFile(paid)
		if n := strings.Count(string(lines), call+"\n"); n != 1 {
			t.Fatalf("%s was paid %d times", call, n)
		}
	}

	held := child("hold", "CALL=held")
	question := held.says("asked")
	if e, err := box.Get(ctx, question); err != nil || e.State != inbox.StateOpen {
		t.Fatalf("got %+v, %v", e, err)
	}
	holds := child("park", "CALL=first")
	first := holds.says("ticket")
	held.kill()
	holds.kill()

	retry(first)
	dies := child("resume", "SLOW=1")
	dies.says("working") // it has paid
	dies.kill()
	second := child("resume")
	wait(first, "first")

	other := child("park", "CALL=second").says("ticket")
	serves.kill()
	soon, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	if _, err := box.Resolve(soon, other, strategies.Decision{Action: strategies.ActionRetryNow}); !errors.Is(err, strategies.ErrUnavailable) {
		t.Fatalf("the store is gone, and the decision: %v", err)
	}
	child("server").says("ready")
	eventually(t, "the store is back", func() bool { _, err := box.Get(ctx, other); return err == nil })
	retry(other)
	wait(other, "second")
	second.kill()

	eventually(t, "the question of a caller who was killed is orphaned", func() bool {
		e, err := box.Get(ctx, question)
		return err == nil && e.State == inbox.StateOrphaned
	})
	if _, err := box.Resolve(ctx, question, strategies.Decision{Action: strategies.ActionRetryNow}); !errors.As(err, new(*inbox.ClosedError)) {
		t.Fatalf("nobody waits for it, and the decision: %v", err)
	}
}

// A decision is with its caller in another process soon.
func BenchmarkInboxDecision(b *testing.B) {
	url := one(b)
	asks, decides := opened(b, open(b, nats.URL(url))), opened(b, open(b, nats.URL(url)))
	changes, err := decides.Watch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	at := make(chan time.Time, 1)
	go func() {
		for c := range changes {
			if c.Kind == inbox.ChangeEntry && c.Entry.State == inbox.StateOpen {
				began := time.Now()
				if _, err := decides.Resolve(b.Context(), c.Entry.ID, strategies.Decision{Action: strategies.ActionRetryNow}); err == nil {
					at <- began
				}
			}
		}
	}()
	var all []time.Duration
	n := 0
	for b.Loop() {
		n++
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		if _, err := asks.Decide(ctx, strategies.Incident{ID: fmt.Sprint("x-", n), Agent: "bard"}); err != nil {
			b.Fatal(err)
		}
		heard := time.Now()
		all = append(all, heard.Sub(<-at))
		cancel()
	}
	report(b, all)
}

func opened(t testing.TB, store strategies.Store) *inbox.Inbox {
	t.Helper()
	box, err := inbox.Open(store, inbox.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

func report(b *testing.B, all []time.Duration) {
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100])/1e6, "p99-ms")
}

const beat = 250 * time.Millisecond

// process is a child that runs this test program in a role.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	dead  bool
}

func spawn(t *testing.T, role string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestInboxChild$", "-test.v") //nolint:gosec // this program itself
	cmd.Env = append(append(os.Environ(), "INBOX_ROLE="+role), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

// says waits for a line that begins with a word, and returns the rest.
func (p *process) says(word string) string {
	p.t.Helper()
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), "child: "+word); ok {
			return strings.TrimSpace(rest)
		}
	}
	p.t.Fatalf("the process ended, and never said %q", word)
	return ""
}

func (p *process) kill() {
	if !p.dead {
		p.dead = true
		_ = p.cmd.Process.Kill() // SIGKILL
		_ = p.cmd.Wait()
	}
}

// TestInboxChild is what the killed processes do.
func TestInboxChild(t *testing.T) {
	role := os.Getenv("INBOX_ROLE")
	if role == "" {
		t.Skip("only for the processes that TestInboxSurvivesKill9 starts")
	}
	say := func(args ...any) { fmt.Println(append([]any{"child:"}, args...)...) }
	forever := make(chan struct{})
	if role == "server" {
		port := 0
		_, _ = fmt.Sscan(os.Getenv("PORT"), &port)
		srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: os.Getenv("DIR"), NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("the server did not start")
		}
		say("ready")
		<-forever
	}
	store := open(t, nats.URL(os.Getenv("URL")))
	box, err := inbox.Open(store, inbox.Settings{Heartbeat: beat})
	if err != nil {
		t.Fatal(err)
	}
	pay := middleware.WrapTool("pay", strategies.EffectOnce, func(_ context.Context, call string) (string, error) {
		f, err := os.OpenFile(os.Getenv("PAID"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return "", err
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, call)
		return "paid", err
	})
	agent := func(ctx context.Context, call string) (string, error) {
		if _, again := middleware.CallOf(ctx).Failure(); !again {
			return "", errors.New("nobody knows")
		}
		if _, err := pay.Run(ctx, call); err != nil {
			return "", err
		}
		say("working", call)
		if os.Getenv("SLOW") != "" {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		return "done: " + call, nil
	}
	how := middleware.Intervention{Ask: box, Park: role != "hold", Deadline: time.Hour}
	g, err := middleware.WrapFunc(agent).Named("cashier").Effects(middleware.Effects{Journal: inboxtest.Journal{Store: store}}).
		Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			if e.Kind == middleware.EventPersonAsked {
				go func() { // once it is there
					for {
						if _, err := box.Get(t.Context(), e.Incident); err == nil {
							say("asked", e.Incident)
							return
						}
					}
				}()
			}
		})).
		Intervene(how).Build()
	if err != nil {
		t.Fatal(err)
	}
	switch role {
	case "resume":
		if err := inbox.Resume(box, g); err != nil {
			t.Fatal(err)
		}
		<-forever
	default:
		call := os.Getenv("CALL")
		_, err := g.Run(middleware.WithCallID(t.Context(), call), call)
		var pending *strategies.PendingError
		if errors.As(err, &pending) {
			say("ticket", pending.Ticket)
		}
		<-forever
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
