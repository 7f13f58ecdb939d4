package inbox

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// typed is the input of a terminal, read by one goroutine for as long as it has
// anything. What comes while no question is open is for none: it is thrown away, and
// told of when the next one is asked.
type typed struct {
	mu      sync.Mutex
	heard   time.Time // when something came last, or reading began
	partial []byte    // of a line
	stale   bool      // partial began before the question
	lines   chan string
	open    bool
	ignored []string // typed for no question; the last ones
	dropped int      // and how many more
	ended   chan struct{}
	err     error // why it has ended
}

const (
	// settles is how long nothing may have come before a question is put: what was
	// typed before is in some buffer, and comes at once.
	settles = 50 * time.Millisecond
	// mostAhead is how many lines of an open question wait, and how many of those that
	// were for none are shown.
	mostAhead, mostIgnored = 64, 5
	// longestLine is how much of one line is kept.
	longestLine = 64 << 10
)

func newTyped(in io.Reader) *typed {
	t := &typed{heard: time.Now(), ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		defer t.last()
		defer panicked("In", &t.err)
		buf := make([]byte, 4096)
		for empty := 0; empty < 100; empty++ {
			n, err := in.Read(buf)
			t.take(buf[:n])
			if err != nil {
				t.err = err
				return
			}
			if n > 0 {
				empty = 0
			}
		}
		t.err = io.ErrNoProgress
	}()
	return t
}

func (t *typed) take(chunk []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = time.Now()
	for {
		line, rest, whole := bytes.Cut(chunk, []byte("\n"))
		if len(t.partial) == 0 {
			t.stale = !t.open
		}
		t.partial = append(t.partial, line[:min(len(line), longestLine-len(t.partial))]...)
		if !whole {
			return
		}
		t.line()
		chunk = rest
	}
}

// line ends a line; the lock is held.
func (t *typed) line() {
	text := strings.TrimSuffix(string(t.partial), "\r")
	t.partial = t.partial[:0]
	if t.open && !t.stale {
		select {
		case t.lines <- text:
			return
		default:
		}
	}
	t.ignore(text)
}

func (t *typed) ignore(text string) {
	if t.ignored = append(t.ignored, text); len(t.ignored) > mostIgnored {
		t.ignored = t.ignored[1:]
		t.dropped++
	}
}

// last makes a line of what had no end.
func (t *typed) last() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.partial) > 0 {
		t.line()
	}
}

// settle waits until all has come that was typed before. It says false when the input
// has ended, or ends first.
func (t *typed) settle(done <-chan struct{}) bool {
	for {
		t.mu.Lock()
		wait := settles - time.Since(t.heard)
		t.mu.Unlock()
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-t.ended:
			timer.Stop()
			return true
		case <-done:
			timer.Stop()
			return false
		}
	}
}

// begin opens a question: from now on lines are for it. tell is told of those that
// were for none.
func (t *typed) begin(tell func(line string)) <-chan string {
	t.mu.Lock()
	ignored, dropped := t.ignored, t.dropped
	t.ignored, t.dropped = nil, 0
	t.stale = t.stale || len(t.partial) > 0
	t.lines, t.open = make(chan string, mostAhead), true
	lines := t.lines
	t.mu.Unlock()
	if dropped > 0 {
		tell(fmt.Sprintf("%d lines, and", dropped))
	}
	for _, line := range ignored {
		tell(line)
	}
	return lines
}

// end closes a question: what was typed ahead is for none.
func (t *typed) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = false
	for {
		select {
		case text := <-t.lines:
			t.ignore(text)
		default:
			return
		}
	}
}
