package conformance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// The moments at which something goes wrong with an effect.
const (
	Never      = "never"
	Unwritten  = "before it is written down"
	Refused    = "the destination refuses it"
	Lost       = "on the way to the destination"
	Unanswered = "after it has acted, before its answer"
	Leaves     = "the caller leaves before its answer"
	Panics     = "the tool panics after the answer"
	Unrecorded = "after the answer, before the record"
	Later      = "after the record"
)

// Moment is one at which something goes wrong, and what comes of it.
type Moment struct {
	At   string
	Paid int  // at the destination
	Open bool // it is uncertain, and so nobody asks again
}

// Moments are all of them.
func Moments() []Moment {
	return []Moment{
		{Never, 1, false}, {Unwritten, 1, false}, {Refused, 1, false}, {Lost, 0, true}, {Unanswered, 1, true},
		{Leaves, 1, true}, {Panics, 1, true}, {Unrecorded, 1, false}, {Later, 1, false},
	}
}

// Bank is where a tool acts over HTTP: it counts what it did, and its first request ends
// as it is told.
type Bank struct {
	http  *httptest.Server
	first string

	mu       sync.Mutex
	requests int
	paid     int
	keys     map[string]bool
	during   func()
}

// OpenBank opens one at which a moment comes with the first request.
func OpenBank(t *testing.T, first string) *Bank {
	t.Helper()
	b := &Bank{first: first, keys: map[string]bool{}}
	b.http = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.http.Close)
	return b
}

func (b *Bank) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.requests++
	first := b.first
	if b.requests > 1 {
		first = ""
	}
	b.keys[r.Header.Get(httphint.IdempotencyKey)] = true
	if first != Refused && first != Lost {
		b.paid++
	}
	during := b.during
	b.mu.Unlock()
	switch first {
	case Refused:
		w.WriteHeader(http.StatusTooManyRequests)
	case Lost, Unanswered:
		panic(http.ErrAbortHandler)
	case Leaves:
		during()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, "receipt")
}

// During is called by the first request of [Leaves], when it has acted.
func (b *Bank) During(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.during = do
}

// Received is how many payments were made so far.
func (b *Bank) Received() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paid
}

// Asked is how many requests came so far.
func (b *Bank) Asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// Pay asks the bank, once.
func (b *Bank) Pay(ctx context.Context) (string, error) {
	client := &http.Client{Transport: httphint.Idempotent{Base: &http.Transport{DisableKeepAlives: true}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.http.URL, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", strategies.WithClass(strategies.ClassRateLimited, errors.New(resp.Status))
	}
	if b.first == Panics {
		panic("out of paper")
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// Settled checks what came of a call of the tool "pay", whose agent says Hello, against
// what the moment promises.
func (b *Bank) Settled(t *testing.T, out middleware.Outcome[string], m Moment) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paid != m.Paid {
		t.Errorf("paid %d times, want %d", b.paid, m.Paid)
	}
	if b.keys[""] || len(b.keys) > 1 {
		t.Errorf("it was sent the keys %v", b.keys)
	}
	uncertain := false
	for _, e := range out.Effects {
		uncertain = uncertain || e.State == strategies.EffectUncertain && e.Tool == "pay"
	}
	if uncertain != m.Open {
		t.Errorf("the effects are %+v", out.Effects)
	}
	if m.Open == (out.Err == nil) || !m.Open && strings.Count(out.Value, "Hello") != 1 {
		t.Errorf("got %q, %v", out.Value, out.Err)
	}
	if m.Open && b.requests != 1 {
		t.Errorf("the bank was asked %d times", b.requests)
	}
}

// ErrWritten is what a [Ledger] says that could not be written.
var ErrWritten = errors.New("the journal is out of ink")

// Ledger is a journal that cannot be written the first time at a moment.
type Ledger struct {
	strategies.MemoryJournal
	mu    sync.Mutex
	fails string
}

// NewLedger makes one.
func NewLedger(fails string) *Ledger { return &Ledger{fails: fails} }

func (l *Ledger) once(at string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails != at {
		return false
	}
	l.fails = ""
	return true
}

// Begin fails for [Unwritten].
func (l *Ledger) Begin(ctx context.Context, r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
	if l.once(Unwritten) {
		return strategies.EffectRecord{}, false, ErrWritten
	}
	return l.MemoryJournal.Begin(ctx, r)
}

// End fails for [Unrecorded].
func (l *Ledger) End(ctx context.Context, r strategies.EffectRecord) error {
	if r.State == strategies.EffectDone && l.once(Unrecorded) {
		return ErrWritten
	}
	return l.MemoryJournal.End(ctx, r)
}
