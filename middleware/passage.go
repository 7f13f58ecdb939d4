package middleware

import (
	"context"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// onFailure is a layer that hands a call on untouched and acts when it has failed.
type onFailure[Req, Resp any] interface {
	Runner[Req, Resp]
	// after is what becomes of a call that failed with err.
	after(ctx context.Context, req Req, err error) (Resp, error)
	// passes is what the layer does beside that.
	passes() stretch[Req, Resp]
}

// stretch says what a layer stands around, and what it does with a call that goes well.
type stretch[Req, Resp any] struct {
	next    Runner[Req, Resp]
	credit  *credit // booked when next has answered; nil: nothing is
	hurried bool    // it has more to do for a caller who brings a deadline
	always  bool    // or for every caller: it cannot be passed
}

// passage is several such layers that stand directly around each other. A call that
// goes well goes through all of them in one step; one that fails meets each, from the
// inside to the outside, until one of them answers.
type passage[Req, Resp any] struct {
	next    Runner[Req, Resp]
	credit  credit
	hurried bool
	*acting[Req, Resp]
}

// acting is what a passage needs when something has failed, or time is short.
type acting[Req, Resp any] struct {
	layers []onFailure[Req, Resp] // innermost first
	whole  Runner[Req, Resp]      // the same one by one
}

// hot is what a healthy call reads of its chain, side by side: with thousands of
// agents each is far away from the processor, and two lines of its cache come sooner
// than seven. The layers do not change once they are made, so copies of them do.
type hot[Req, Resp any] struct {
	passage passage[Req, Resp]
	recover recoverer[Req, Resp]
	breaker circuitBreaker[Req, Resp]
}

// gather puts what is passed one after the other in a chain side by side.
func (h *hot[Req, Resp]) gather(chain Runner[Req, Resp]) Runner[Req, Resp] {
	p, ok := chain.(*passage[Req, Resp])
	if !ok {
		return chain
	}
	h.passage = *p
	if b, ok := p.next.(*circuitBreaker[Req, Resp]); ok {
		h.breaker, h.passage.next = *b, &h.breaker
		if r, ok := b.next.(*recoverer[Req, Resp]); ok {
			h.recover, h.breaker.next = *r, &h.recover
			if b.plain != nil {
				h.breaker.plain = &h.recover
			}
		}
	}
	return &h.passage
}

// passed makes a passage of a layer and those that it stands around, if it can be
// passed together with them.
func passed[Req, Resp any](layer Runner[Req, Resp]) Runner[Req, Resp] {
	outer, ok := layer.(onFailure[Req, Resp])
	if !ok {
		return layer
	}
	p := outer.passes()
	if p.always || p.credit != nil {
		return layer // who books what went well is the innermost
	}
	switch inner := p.next.(type) {
	case *passage[Req, Resp]:
		return &passage[Req, Resp]{inner.next, inner.credit, inner.hurried || p.hurried, &acting[Req, Resp]{append(slices.Clip(inner.layers), outer), layer}}
	case onFailure[Req, Resp]:
		if in := inner.passes(); !in.always {
			l := &passage[Req, Resp]{next: in.next, hurried: in.hurried || p.hurried, acting: &acting[Req, Resp]{[]onFailure[Req, Resp]{inner, outer}, layer}}
			if in.credit != nil {
				l.credit = *in.credit
			}
			return l
		}
	}
	return layer
}

func (l *passage[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if l.hurried && hurried(ctx) {
		return l.whole.Run(ctx, req)
	}
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		l.credit.book()
		return resp, nil
	}
	return l.failed(ctx, req, err)
}

func (l *passage[Req, Resp]) failed(ctx context.Context, req Req, err error) (resp Resp, _ error) {
	for _, layer := range l.layers {
		if resp, err = layer.after(ctx, req, err); err == nil {
			return resp, nil
		}
	}
	return resp, err
}

// credit is what an agent that has answered itself gets: a clean record, and something
// for its next retries.
type credit struct {
	owner  *Owner // nil: nobody
	budget *strategies.Budget
}

// book costs three atomic loads where there is nothing to be made good.
func (c *credit) book() {
	if c.owner != nil {
		c.owner.answered()
		c.budget.Success()
	}
}
