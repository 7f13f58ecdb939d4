package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const (
	pageSize = 50
	mostPage = 200
)

// request is one to the API, by somebody who may look.
type request struct {
	c *Console
	w http.ResponseWriter
	*http.Request
	by   Person
	path []string
}

// api is everything below api/v1/.
func (c *Console) api(w http.ResponseWriter, r *http.Request, rest string) {
	by, err := c.who(r)
	switch {
	case err != nil:
		fail(w, http.StatusUnauthorized, "the console does not know who you are")
		return
	case !by.Look:
		fail(w, http.StatusForbidden, "you may not look at the console")
		return
	}
	q := &request{c, w, r, by, strings.Split(strings.TrimSuffix(rest, "/"), "/")}
	for i, escaped := range q.path {
		if q.path[i], err = url.PathUnescape(escaped); err != nil {
			q.missing("page")
			return
		}
	}
	write := len(q.path) == 3 && (q.path[0] == "agents" || q.path[0] == "questions")
	switch {
	case write && r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		fail(w, http.StatusMethodNotAllowed, "this is done by POST")
	case write:
		if why := forged(r); why != "" {
			fail(w, http.StatusForbidden, "the request "+why)
			return
		}
		q.change()
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "this is read by GET")
	default:
		q.get()
	}
}

func (q *request) get() {
	what, one := q.path[0], len(q.path) == 2
	switch {
	case len(q.path) > 2:
		q.missing("page")
	case what == "me" && !one:
		answer(q.w, http.StatusOK, q.me())
	case what == "agents":
		q.agents(one)
	case what == "calls" && one:
		if found, ok := q.c.oneCall(q.path[1]); ok {
			answer(q.w, http.StatusOK, found)
			return
		}
		q.missing("call")
	case what == "calls":
		form := q.URL.Query()
		answer(q.w, http.StatusOK, map[string]any{"calls": q.c.pageOfCalls(form.Get("before"), form.Get("agent"), q.number("limit", pageSize))})
	case what == "changes" && !one:
		answer(q.w, http.StatusOK, map[string]any{"changes": q.c.since(0).changes})
	case what == "questions":
		q.questions(one)
	case what == "record" && !one:
		answer(q.w, http.StatusOK, map[string]any{"record": q.c.since(0).record})
	case what == "fleet" && !one:
		q.fleet()
	case what == "stream" && !one:
		q.stream()
	default:
		q.missing("page")
	}
}

// me is who asks, and what there is for them.
func (q *request) me() map[string]any {
	return map[string]any{
		"name": q.by.Name, "decide": q.by.Decide && q.c.set.Inbox != nil, "control": q.by.Control,
		"inbox": q.c.set.Inbox != nil, "fleet": q.c.set.Fleet != nil, "now": time.Now().UTC(),
	}
}

func (q *request) missing(what string) {
	fail(q.w, http.StatusNotFound, "there is no such "+what)
}

// number is a number of the query, from 1 to 200.
func (q *request) number(name string, otherwise int) int {
	n, err := strconv.Atoi(q.URL.Query().Get(name))
	if err != nil || n < 1 {
		return otherwise
	}
	return min(n, mostPage)
}

func (q *request) agents(one bool) {
	seen, err := q.c.look(q.Context())
	if err != nil {
		return // they have gone
	}
	if !one {
		all := make([]agent, len(seen.agents))
		for i, a := range seen.agents {
			all[i] = a.agent
		}
		answer(q.w, http.StatusOK, map[string]any{"agents": all})
		return
	}
	found, ok := seen.find(q.path[1])
	if !ok {
		q.missing("agent")
		return
	}
	answer(q.w, http.StatusOK, struct {
		agent
		Chain chain `json:"chain"`
	}{found.agent, chainOf(found.owner)})
}

// change does what a person wants.
func (q *request) change() {
	if q.path[0] == "questions" {
		q.decide()
		return
	}
	var body struct {
		Level  *strategies.Level `json:"level"`
		Reason string            `json:"reason"`
	}
	if !q.by.Control {
		fail(q.w, http.StatusForbidden, "you may not do this")
		return
	}
	if status, problem := read(q.w, q.Request, &body); problem != "" {
		fail(q.w, status, problem)
		return
	}
	seen, err := q.c.look(q.Context())
	if err != nil {
		return
	}
	found, ok := seen.find(q.path[1])
	if !ok {
		q.missing("agent")
		return
	}
	e := Entry{By: q.by.Name, Did: q.path[2], Agent: found.Name, Reason: clip(body.Reason, reasonWidth)}
	status, problem := control(found.owner, &e, body.Level)
	if status == http.StatusNotFound {
		q.missing("action")
		return
	}
	e.Problem = problem
	q.c.note(e)
	q.done(status, problem)
}

// control acts on an agent.
func control(o *middleware.Owner, e *Entry, level *strategies.Level) (status int, problem string) {
	breaker, ladder := o.Breaker(), o.Ladder()
	why := fmt.Sprintf("%s: %s", e.By, e.Reason)
	if e.Reason == "" {
		why = e.By
	}
	switch e.Did {
	case "isolate":
		if breaker == nil {
			return http.StatusConflict, "the agent has no breaker"
		}
		breaker.Isolate()
	case "reset":
		if breaker != nil {
			breaker.Reset()
		}
		o.Forgive()
	case "pin":
		if ladder == nil {
			return http.StatusConflict, "the agent has no ladder"
		}
		if level == nil { // nothing that was left out is a level
			return http.StatusBadRequest, "the body has no level: say full, reduced, minimal or emergency"
		}
		e.What = level.String()
		ladder.Pin(*level, "pinned by "+why)
	case "unpin":
		if ladder == nil {
			return http.StatusConflict, "the agent has no ladder"
		}
		ladder.Restore(strategies.LevelFull)
	default:
		return http.StatusNotFound, "there is no such action"
	}
	return http.StatusOK, ""
}

func (q *request) done(status int, problem string) {
	if problem != "" {
		fail(q.w, status, problem)
		return
	}
	answer(q.w, status, map[string]bool{"done": true})
}
