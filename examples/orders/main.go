// Orders is an order desk whose tools act on a real server, at the worst moments that a
// day can have: first with a journal of what they did, and then without one.
//
//	go run ./orders
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// newDesk is the order desk of one life of the process. The journal outlives it.
func newDesk(shop *shop, journal strategies.Journal, s *story) (desk, error) {
	look := middleware.WrapTool("look up", strategies.EffectReadOnly, shop.price)
	reserve := middleware.WrapTool("reserve", strategies.EffectIdempotent, shop.reserve) // sends CallOf(ctx).IdempotencyKey()
	pay := middleware.WrapTool("pay", strategies.EffectOnce, shop.pay).
		Key(payment.reference). // what makes two payments the same one
		Verify(shop.find)       // asked when nobody has heard whether it was made

	return middleware.WrapFunc(s.clerk(look, reserve, pay)).Named("clerk").
		Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
		Fallback("night clerk", middleware.Func(s.nightClerk(pay))). // plans in another way
		Effects(middleware.Effects{Journal: journal}).
		Build()
}

// newForgetful is the same desk without a journal, and so with bare tools.
func newForgetful(shop *shop, s *story) (desk, error) {
	look, reserve, pay := middleware.Func(shop.price), middleware.Func(shop.reserve), middleware.Func(shop.pay)
	return middleware.WrapFunc(s.clerk(look, reserve, pay)).Named("clerk").
		Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
		Fallback("night clerk", middleware.Func(s.nightClerk(pay))).
		Build()
}

// serve answers one order. Its number is the id of the call: whoever brings the same
// order again, after a crash or because a queue delivered it twice, finds what was done.
func serve(ctx context.Context, d desk, order string) middleware.Outcome[string] {
	return d.Outcome(middleware.WithCallID(ctx, "order "+order), order)
}

type (
	desk   = *middleware.Guarded[string, string]
	lookUp = middleware.Runner[string, int]
	book   = middleware.Runner[string, string]
	payer  = middleware.Runner[payment, string]
)

// story is what goes wrong. An order whose letter the model cannot write fails after
// it was paid for.
type story struct {
	mute map[string]int // order: how many letters fail
	dies map[string]context.CancelFunc
}

// clerk is the agent: a model that uses three tools, and then writes to the customer.
func (s *story) clerk(look lookUp, reserve book, pay payer) func(context.Context, string) (string, error) {
	return func(ctx context.Context, order string) (string, error) {
		price, err := look.Run(ctx, order)
		if err != nil {
			return "", err
		}
		if _, err := reserve.Run(ctx, order); err != nil {
			return "", err
		}
		receipt, err := pay.Run(ctx, payment{order, price})
		if err != nil {
			return "", err
		}
		return s.letter(ctx, order, receipt)
	}
}

// nightClerk stands in, and does not know what was done by day: it pays in two halves.
func (s *story) nightClerk(pay payer) func(context.Context, string) (string, error) {
	return func(ctx context.Context, order string) (string, error) {
		for range 2 {
			if _, err := pay.Run(ctx, payment{order, 350}); err != nil {
				return "", err
			}
		}
		return "paid in two halves", nil
	}
}

func (s *story) letter(ctx context.Context, order, receipt string) (string, error) {
	if die := s.dies[order]; die != nil {
		delete(s.dies, order)
		die()
		return "", context.Cause(ctx)
	}
	if s.mute[order] > 0 {
		s.mute[order]--
		return "", &statusError{503}
	}
	return receipt, nil
}

// mortal is a journal of a process that dies between its two words about an effect:
// the second is never written.
type mortal struct {
	strategies.Journal
	call string
}

func (j *mortal) End(ctx context.Context, r strategies.EffectRecord) error {
	if r.Call == j.call {
		return errors.New("the process is gone")
	}
	return j.Journal.End(ctx, r)
}

var day = []struct{ order, fault string }{
	{"A1", "a calm day"},
	{"B2", "the model fails after the payment, and is asked again"},
	{"C3", "the answer to the payment is lost"},
	{"D4", "the same, and the shop cannot say whether it was paid"},
	{"E5", "the clerk fails for good, and its stand-in has another plan"},
	{"F6", "the process dies after the payment, and another one gets the order"},
}

// play is the day with one kind of desk: hire makes it, for a process whose journal
// is the one given.
func play(ctx context.Context, out io.Writer, hire func(*shop, strategies.Journal, *story) (desk, error)) error {
	shop, err := open()
	if err != nil {
		return err
	}
	defer shop.close()
	life, die := context.WithCancel(ctx)
	defer die()
	s := &story{mute: map[string]int{"B2": 1, "E5": 2}, dies: map[string]context.CancelFunc{"F6": die}}
	shop.hangUp["C3"], shop.hangUp["D4"], shop.blind["D4"] = true, true, true
	journal := &strategies.MemoryJournal{} // yours is a table of a database
	first, err := hire(shop, &mortal{journal, "order F6"}, s)
	if err != nil {
		return err
	}
	second, err := hire(shop, journal, s)
	if err != nil {
		return err
	}
	for _, o := range day {
		result := serve(life, first, o.order)
		if life.Err() != nil && ctx.Err() == nil {
			result = serve(ctx, second, o.order) // nobody has heard of the first life
		}
		fmt.Fprintf(out, "%s  %s\n", o.order, o.fault)
		shop.report(out, o.order, result)
	}
	return ctx.Err()
}

// report is one order of the ledger: what its customer was told, what really happened,
// and what the call knows of it.
func (s *shop) report(out io.Writer, order string, o middleware.Outcome[string]) {
	told := o.Value
	if failed, ok := errors.AsType[*strategies.RecoveryError](o.Err); ok {
		told = fmt.Sprintf("none: %s, required is %s", failed.Class, failed.Strategy)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(out, "    answer    %s\n", told)
	fmt.Fprintf(out, "    the shop  reserved %d, was paid %d (%s)", s.goods[order], len(s.paid[order]), strings.Join(s.paid[order], ", "))
	if n := s.asked[order]; n > 0 {
		fmt.Fprintf(out, ", was asked about it %d", n)
	}
	fmt.Fprintln(out)
	for _, e := range o.Effects {
		fmt.Fprintf(out, "    journal   %s %s: %s\n", e.Tool, e.Key, e.State)
	}
	if drift, ok := errors.AsType[*strategies.DriftError](o.Err); ok {
		fmt.Fprintf(out, "    refused   %s, for %s is done already\n", drift.Key, strings.Join(drift.Done, ", "))
	}
}

func run(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "With a journal:\n\n")
	if err := play(ctx, out, newDesk); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe same day without one:\n\n")
	return play(ctx, out, func(shop *shop, _ strategies.Journal, s *story) (desk, error) { return newForgetful(shop, s) })
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
