package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"
)

// A wire makes a model on the loopback interface as slow as a real one: it hands on one event
// of a stream at a time, with a gap before the next.
type wire struct {
	next http.RoundTripper
	gap  time.Duration
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &drip{Closer: resp.Body, lines: bufio.NewReader(resp.Body), ctx: req.Context(), gap: w.gap}
	return resp, nil
}

type drip struct {
	io.Closer
	lines *bufio.Reader
	ctx   context.Context
	gap   time.Duration
	rest  []byte
	err   error // after rest
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.rest) == 0 && d.err == nil {
		d.rest, d.err = d.lines.ReadBytes('\n')
		if string(d.rest) == "\n" { // ends an event
			if err := sleep(d.ctx, d.gap); err != nil {
				return 0, err
			}
		}
	}
	n := copy(p, d.rest)
	if d.rest = d.rest[n:]; len(d.rest) > 0 {
		return n, nil
	}
	return n, d.err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
