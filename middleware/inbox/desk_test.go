package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

func TestDesk(t *testing.T) {
	t.Run("it hands over incidents and takes decisions", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := inbox.NewDesk()
			g := asking(t, middleware.Intervention{Ask: desk})
			go func() {
				incident := <-desk.Incidents()
				time.Sleep(time.Minute)
				if err := desk.Resolve(incident.ID, answer("by hand")); err != nil {
					t.Error(err)
				}
			}()
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "by hand")
			expect(t, "elapsed", o.Elapsed, time.Minute)
		})
	})
	t.Run("it refuses a decision that is too late, repeated or about nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := inbox.NewDesk()
			refused := func(id string) {
				t.Helper()
				problem, ok := errors.AsType[*strategies.InterventionError](desk.Resolve(id, retryNow))
				if !ok || problem.Incident != id {
					t.Errorf("refusal = %v, want an InterventionError about %s", problem, id)
				}
			}
			g := asking(t, middleware.Intervention{Ask: desk, Deadline: time.Second})
			refused("agent-1")
			expired := make(chan string, 1)
			go func() { expired <- (<-desk.Incidents()).ID }()
			failing(t, g)
			refused(<-expired)
			done := make(chan error)
			go func() { _, err := g.Run(t.Context(), "hello"); done <- err }()
			id := (<-desk.Incidents()).ID
			expect(t, "first decision", desk.Resolve(id, answer("hi")), nil)
			refused(id)
			expect(t, "call", <-done, nil)
			refused(id)
		})
	})
	t.Run("an incident that nobody reads goes when its question expires", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk, start := inbox.NewDesk(), time.Now()
			g := asking(t, middleware.Intervention{Ask: desk, Deadline: time.Second})
			failing(t, g)
			expect(t, "elapsed", time.Since(start), time.Second)
			select {
			case i := <-desk.Incidents():
				t.Errorf("an expired incident was handed over: %s", i)
			default:
			}
		})
	})
	t.Run("it ends with its context, with the cause", func(t *testing.T) {
		hangUp := errors.New("hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(hangUp)
		_, err := inbox.NewDesk().Decide(ctx, strategies.Incident{ID: "x"})
		expectIs(t, err, hangUp)
	})
	t.Run("it keeps incidents of one name apart by refusing the second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := inbox.NewDesk()
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = desk.Decide(ctx, strategies.Incident{ID: "x"}) }()
			synctest.Wait()
			_, err := desk.Decide(t.Context(), strategies.Incident{ID: "x"})
			expectRefused(t, err, "x", "open already")
			cancel()
			synctest.Wait()
			expect(t, "open", len(desk.Open()), 0)
		})
	})
	t.Run("it puts nothing on the desk for a caller who has gone before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // a select would choose at random
			desk := inbox.NewDesk()
			_, err := desk.Decide(ctx, strategies.Incident{ID: "x"})
			expectIs(t, err, context.Canceled)
			expect(t, "incidents", len(desk.Open()), 0)
		}
	})
	t.Run("it lists what is open, and tells the second who was first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := inbox.NewDesk()
			g := asking(t, middleware.Intervention{Ask: desk, Deadline: time.Minute})
			for range 3 {
				go func() { _, _ = g.Run(t.Context(), "hello") }()
				time.Sleep(time.Second)
			}
			open := desk.Open()
			expect(t, "open", len(open), 3)
			expect(t, "in order", open[0].ID < open[1].ID && open[1].ID < open[2].ID, true)
			expect(t, "request", open[0].Request, any("hello"))
			expect(t, "decision", desk.Resolve(open[1].ID, answer("hi")), nil)
			expectRefused(t, desk.Resolve(open[1].ID, retryNow), open[1].ID, "was decided before: the first decision counts (by Ada at "+time.Now().Format(time.TimeOnly)+")")
			expect(t, "open then", len(desk.Open()), 2)
			time.Sleep(time.Hour)
			expect(t, "open in the end", len(desk.Open()), 0)
		})
	})
	t.Run("it refuses what cannot be carried out, and the question stays open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := inbox.NewDesk()
			done := make(chan error)
			g := asking(t, middleware.Intervention{Ask: desk, Rounds: 1})
			go func() { _, err := g.Run(t.Context(), "hello"); done <- err }()
			id := (<-desk.Incidents()).ID
			expectRefused(t, desk.Resolve(id, answer(42)), id, "answers with a int where a string is wanted")
			expectRefused(t, desk.Resolve(id, answer(nil)), id, "answers with a <nil>")
			expectRefused(t, desk.Resolve(id, strategies.Decision{Action: strategies.ActionUseAgent, Agent: "ghost"}), id, "names an unknown agent")
			expectRefused(t, desk.Resolve(id, strategies.Decision{Action: 99}), id, "knows no action 99")
			expect(t, "waiting", desk.Waiting(id), true)
			expect(t, "decision", desk.Resolve(id, answer("hi")), nil)
			expect(t, "call", <-done, nil)
		})
	})
}

// Ids begin anew in no process, so an answer of yesterday reaches nobody of today.
func TestALateAnswerReachesNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := inbox.NewDesk()
		ctx, crash := context.WithCancel(t.Context())
		yesterday := asking(t, middleware.Intervention{Ask: first})
		go func() { _, _ = yesterday.Run(ctx, "Alice: may I have a refund?") }()
		old := (<-first.Incidents()).ID
		crash()
		synctest.Wait()

		second := inbox.NewDesk() // after a restart
		today := asking(t, middleware.Intervention{Ask: second, Deadline: time.Minute})
		done := make(chan error)
		go func() { _, err := today.Run(t.Context(), "Bob: may I have a refund?"); done <- err }()
		fresh := (<-second.Incidents()).ID
		expectRefused(t, second.Resolve(old, answer("yes, Alice")), old, "is not known")
		expect(t, "waiting", second.Waiting(fresh), true)
		expectIs(t, <-done, context.DeadlineExceeded)
	})
}

// What cannot be decided is refused in words: a decision is never taken and lost.
func TestDeskRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(desk *inbox.Desk, cancel func())
		says string
	}{
		{"it names a question that has expired", func(*inbox.Desk, func()) { time.Sleep(time.Minute) }, "has expired"},
		{"it names a question whose caller has gone", func(_ *inbox.Desk, cancel func()) { cancel() }, "was withdrawn"},
		{"it names a question that was decided", func(desk *inbox.Desk, _ func()) { _ = desk.Resolve("x-1", retryNow) }, "was decided before"},
	} {
		for place, read := range map[string]bool{"on the desk": false, "in somebody's hands": true} {
			t.Run(tc.name+", "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					desk := inbox.NewDesk()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					go func() { _, _ = desk.Decide(ctx, strategies.Incident{ID: "x-1"}) }()
					if synctest.Wait(); read {
						<-desk.Incidents()
					}
					expect(t, "waiting before", desk.Waiting("x-1"), true)
					tc.end(desk, cancel)
					expect(t, "waiting at once after", desk.Waiting("x-1"), false)
					expectRefused(t, desk.Resolve("x-1", retryNow), "x-1", tc.says)
					synctest.Wait()
					expect(t, "waiting later", desk.Waiting("x-1"), false)
					expectRefused(t, desk.Resolve("x-1", retryNow), "x-1", tc.says)
					expect(t, "open", len(desk.Open()), 0)
					select {
					case left := <-desk.Incidents():
						t.Errorf("%s stays on the desk", left.ID)
					default:
					}
				})
			})
		}
	}
	t.Run("it knows nothing of a question that never was", func(t *testing.T) {
		expectRefused(t, inbox.NewDesk().Resolve("x-1", retryNow), "x-1", "is not known")
	})
	t.Run("a refusal is about the last question of that name", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := inbox.NewDesk()
			ask := func(ctx context.Context) { _, _ = desk.Decide(ctx, strategies.Incident{ID: "x-1"}) }
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ask(short)
			go ask(t.Context()) // a chain that was built anew counts from 1 again
			synctest.Wait()
			expect(t, "decided", desk.Resolve("x-1", retryNow), nil)
			synctest.Wait()
			expectRefused(t, desk.Resolve("x-1", retryNow), "x-1", "was decided before")
		})
	})
	t.Run("it remembers the ends of a thousand questions, and not of all", func(t *testing.T) {
		desk := inbox.NewDesk()
		ask := func(n int) {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
			defer cancel()
			id := fmt.Sprint("x-", n)
			done := make(chan struct{})
			go func() { defer close(done); _, _ = desk.Decide(ctx, strategies.Incident{ID: id}) }()
			<-desk.Incidents()
			if err := desk.Resolve(id, retryNow); err != nil {
				t.Error(err)
			}
			<-done
		}
		for n := range 1500 {
			ask(n)
		}
		expectRefused(t, desk.Resolve("x-1499", retryNow), "x-1499", "was decided before")
		expectRefused(t, desk.Resolve("x-476", retryNow), "x-476", "was decided before")
		expectRefused(t, desk.Resolve("x-475", retryNow), "x-475", "is not known")
	})
	for name, desk := range map[string]*inbox.Desk{"the zero desk": {}, "no desk at all": nil} {
		t.Run(name+" fails the question, not the process", func(t *testing.T) {
			_, err := desk.Decide(t.Context(), strategies.Incident{ID: "x-1"})
			expectIs(t, err, strategies.ErrConfig)
			err = desk.Resolve("x-1", retryNow)
			expectRefused(t, err, "x-1", "inbox.NewDesk()")
			expectIs(t, err, strategies.ErrConfig)
			expect(t, "waiting", desk.Waiting("x-1"), false)
			expect(t, "incidents", len(desk.Open()), 0)
			if desk == nil { // which Build refuses
				return
			}
			err = failing(t, asking(t, middleware.Intervention{Ask: desk}))
			expectIs(t, err, errSick, strategies.ErrConfig)
		})
	}
	t.Run("it wants a context", func(t *testing.T) {
		var none context.Context
		_, err := inbox.NewDesk().Decide(none, strategies.Incident{ID: "x-1"})
		expectIs(t, err, strategies.ErrConfig)
	})
}

// A decision counts also if nobody has read the incident: somebody may know of it
// from an event, or from the list.
func TestDeskDecidesWhatNobodyHasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := inbox.NewDesk()
		g := asking(t, middleware.Intervention{Ask: desk, Deadline: time.Minute})
		type reply struct {
			text string
			err  error
		}
		replies := make(chan reply, 2)
		for range 2 {
			go func() { text, err := g.Run(t.Context(), "hello"); replies <- reply{text, err} }()
			time.Sleep(time.Second)
		}
		open := desk.Open()
		expect(t, "decision about the second", desk.Resolve(open[1].ID, answer("of the second")), nil)
		expect(t, "its call", <-replies, reply{text: "of the second"})
		expect(t, "what is left to be read", (<-desk.Incidents()).ID, open[0].ID)
		expect(t, "decision about the first", desk.Resolve(open[0].ID, answer("of the first")), nil)
		expect(t, "its call", <-replies, reply{text: "of the first"})
	})
}

// However questions expire, callers leave and people decide at the same moments:
// each decision that Resolve takes is the call's answer, and each answer was
// taken by one Resolve.
func TestDeskLosesNoDecision(t *testing.T) {
	t.Run("through the layer, in virtual time, with many things at one moment", func(t *testing.T) {
		taken, refused := 0, 0
		for seed := range uint64(300) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				ticks := func(n int) time.Duration { return time.Duration(1+random.IntN(n)) * time.Millisecond }
				desk := inbox.NewDesk()
				g := asking(t, middleware.Intervention{Ask: desk, Deadline: 4 * time.Millisecond})
				const calls = 6
				accepted := map[string][]string{} // by the incident
				var (
					known []string
					mu    sync.Mutex
					all   sync.WaitGroup
					runs  = make(chan string, calls)
				)
				for range calls {
					// A caller who leaves in the very moment after a decision gets no
					// answer, whoever was told what: so nobody leaves on the tick.
					wait, stay := ticks(4), ticks(8)+time.Microsecond
					all.Go(func() {
						time.Sleep(wait)
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						time.AfterFunc(stay, cancel)
						text, _ := g.Run(ctx, "hello")
						runs <- text
					})
				}
				for n := range 4 * calls {
					wait, number := ticks(10), random.IntN(calls)
					all.Go(func() {
						time.Sleep(wait)
						text := fmt.Sprint("decision ", n)
						mu.Lock()
						for _, i := range desk.Open() {
							if !slices.Contains(known, i.ID) {
								known = append(known, i.ID)
							}
						}
						id := "none"
						if number < len(known) { // open, or of old
							id = known[number]
						}
						mu.Unlock()
						err := desk.Resolve(id, answer(text))
						mu.Lock()
						defer mu.Unlock()
						if err == nil {
							accepted[id] = append(accepted[id], text)
							taken++
						} else {
							refused++
						}
					})
				}
				all.Go(func() {
					for range random.IntN(calls) {
						select {
						case <-desk.Incidents():
						case <-time.After(10 * time.Millisecond):
						}
					}
				})
				all.Wait()
				close(runs)
				var got, want []string
				for text := range runs {
					if text != "" {
						got = append(got, text)
					}
				}
				for id, texts := range accepted {
					if want = append(want, texts...); len(texts) > 1 {
						t.Errorf("seed %d: incident %s was decided %d times", seed, id, len(texts))
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				expect(t, fmt.Sprint("seed ", seed, ": answers, and decisions taken"), got, want)
			})
		}
		t.Logf("%d decisions taken, %d refused", taken, refused)
		if taken < 100 || refused < 100 {
			t.Errorf("%d decisions taken, %d refused: both should be common", taken, refused)
		}
	})
	t.Run("between threads, when a caller leaves while somebody decides", func(t *testing.T) {
		desk := inbox.NewDesk()
		taken := 0
		for n := range 2000 {
			ctx, cancel := context.WithCancel(t.Context())
			id := fmt.Sprint("x-", n)
			var (
				all      sync.WaitGroup
				decision strategies.Decision
				err      error
				refusal  error
			)
			all.Go(func() { decision, err = desk.Decide(ctx, strategies.Incident{ID: id}) })
			<-desk.Incidents()
			all.Go(cancel)
			all.Go(func() { refusal = desk.Resolve(id, retryNow) })
			all.Wait()
			if was := refusal == nil; was != (err == nil) || was != (decision == retryNow) {
				t.Fatalf("Resolve said %v, Decide %v, %v", refusal, decision, err)
			} else if was {
				taken++
			}
		}
		t.Logf("%d of 2000 decisions taken, the others refused", taken)
	})
}

func expectRefused(t *testing.T, err error, id, says string) {
	t.Helper()
	var problem *strategies.InterventionError
	if !errors.As(err, &problem) || problem.Incident != id || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want an InterventionError about %s that says %q", err, id, says)
	}
}
