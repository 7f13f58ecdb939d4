package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// question is one as the page shows it.
type question struct {
	ID       string           `json:"id"`
	Agent    string           `json:"agent"`
	Call     string           `json:"call,omitempty"`
	Class    strategies.Class `json:"class,omitzero"`
	Error    string           `json:"error,omitempty"` // what was said last
	Request  string           `json:"request,omitempty"`
	Round    int              `json:"round,omitempty"`
	Deadline time.Time        `json:"deadline,omitzero"`
	ShutMS   int64            `json:"shut_for_ms,omitempty"`
	Claimed  string           `json:"claimed,omitempty"`
	Over     string           `json:"over,omitempty"`
	Closed   time.Time        `json:"closed,omitzero"`
	Decided  *decided         `json:"decided,omitempty"`
	// Of one question, not in a list.
	Agents   []string          `json:"agents,omitempty"` // who can be asked instead
	Requests map[string]string `json:"requests,omitempty"`
	Attempts []attempt         `json:"attempts,omitempty"`
	Tried    int               `json:"tried"` // attempts in all
}

type decided struct {
	Action strategies.Action `json:"action"`
	Agent  string            `json:"agent,omitempty"`
	By     string            `json:"by"`
	Reason string            `json:"reason,omitempty"`
}

type attempt struct {
	Agent string           `json:"agent"`
	Class strategies.Class `json:"class,omitzero"`
	Error string           `json:"error,omitempty"`
}

const (
	mostAttempts = 50
	mostOffered  = 200
)

// shown is a question as people may see it.
func (c *Console) shown(q Question, whole bool) question {
	width := textWidth
	if whole {
		width = requestWidth
	}
	s := question{
		ID: q.ID, Agent: clip(q.Agent, nameWidth), Call: clip(q.Call, 200), Request: c.asked(q.Request, width), Round: q.Round,
		Deadline: q.Deadline.UTC(), ShutMS: q.ShutFor.Milliseconds(), Claimed: clip(q.Claimed, nameWidth), Over: clip(q.Over, nameWidth), Closed: q.Closed.UTC(),
	}
	if q.Deadline.IsZero() {
		s.Deadline = time.Time{}
	}
	if q.Closed.IsZero() {
		s.Closed = time.Time{}
	}
	if q.Err != nil {
		s.Class, s.Tried = known(q.Err.Class), len(q.Err.Attempts)
		s.Error = c.says(q.Err.Last())
	}
	if q.Over != "" && q.Decision.By != "" {
		s.Decided = &decided{known(q.Decision.Action), clip(q.Decision.Agent, nameWidth), clip(q.Decision.By, nameWidth), clip(q.Decision.Reason, reasonWidth)}
	}
	if !whole {
		return s
	}
	for _, name := range q.Agents[:min(len(q.Agents), mostOffered)] {
		s.Agents = append(s.Agents, name)
		if other, ok := q.Requests[name]; ok && c.set.ShowRequest != nil {
			if s.Requests == nil {
				s.Requests = map[string]string{}
			}
			s.Requests[name] = c.asked(other, width)
		}
	}
	if q.Err != nil {
		for _, a := range q.Err.Attempts[max(0, len(q.Err.Attempts)-mostAttempts):] {
			s.Attempts = append(s.Attempts, attempt{clip(a.Agent, nameWidth), known(a.Class), c.says(a.Err)})
		}
	}
	return s
}

// questions reads them: a page of those that are open, or one.
func (q *request) questions(one bool) {
	in := q.c.set.Inbox
	if in == nil {
		fail(q.w, http.StatusNotFound, "the console has no inbox")
		return
	}
	if one {
		var found Question
		err := q.ask(func() (err error) { found, err = in.Question(q.Context(), q.path[1]); return err })
		switch {
		case refused(err):
			fail(q.w, http.StatusNotFound, clip(errtree.Text(err), errorWidth))
		case err != nil:
			q.away(err)
		default:
			answer(q.w, http.StatusOK, q.c.shown(found, true))
		}
		return
	}
	after, err := strconv.Atoi(q.URL.Query().Get("after"))
	if err != nil || after < 0 {
		after = 0
	}
	var page []Question
	total := 0
	if err := q.ask(func() (err error) {
		page, total, err = in.Open(q.Context(), after, q.number("limit", pageSize))
		return err
	}); err != nil {
		q.away(err)
		return
	}
	all := make([]question, len(page))
	for i, one := range page {
		all[i] = q.c.shown(one, false)
	}
	answer(q.w, http.StatusOK, map[string]any{"questions": all, "total": total, "after": after})
}

// ask runs code of the inbox.
func (q *request) ask(do func() error) (err error) {
	if problem := safely(func() { err = do() }); problem != nil {
		return problem
	}
	return err
}

// away says that the inbox cannot be had.
func (q *request) away(err error) {
	fail(q.w, http.StatusBadGateway, "the inbox cannot be reached: "+q.c.says(err))
}

// decide claims or decides a question.
func (q *request) decide() {
	var body struct {
		From   string             `json:"from"` // claim: who has it now
		Action *strategies.Action `json:"action"`
		Answer string             `json:"answer"`
		Agent  string             `json:"agent"`
		Reason string             `json:"reason"`
	}
	in, id, did := q.c.set.Inbox, q.path[1], q.path[2]
	switch {
	case !q.by.Decide:
		fail(q.w, http.StatusForbidden, "you may not do this")
		return
	case in == nil:
		fail(q.w, http.StatusNotFound, "the console has no inbox")
		return
	}
	if status, problem := read(q.w, q.Request, &body); problem != "" {
		fail(q.w, status, problem)
		return
	}
	e := Entry{By: q.by.Name, Did: did, Incident: clip(id, 200), Reason: clip(body.Reason, reasonWidth)}
	var act func() error
	switch did {
	case "claim":
		act = func() error { return in.Claim(q.Context(), id, q.by.Name, body.From) }
	case "release":
		act = func() error { return in.Claim(q.Context(), id, "", q.by.Name) }
	case "decide":
		if body.Action == nil { // nothing that was left out is a decision
			fail(q.w, http.StatusBadRequest, "the body has no action: say abort, retry, answer or use agent")
			return
		}
		d := strategies.Decision{Action: *body.Action, By: q.by.Name, Reason: e.Reason}
		e.What = d.Action.String()
		switch d.Action {
		case strategies.ActionUseAgent:
			d.Agent, e.What = body.Agent, e.What+" "+clip(body.Agent, nameWidth)
		case strategies.ActionAnswer:
			value, problem := q.value(in, id, body.Answer)
			if problem != "" {
				fail(q.w, http.StatusUnprocessableEntity, problem)
				return
			}
			d.Value = value
		}
		act = func() error { return in.Decide(q.Context(), id, d) }
	default:
		q.missing("action")
		return
	}
	err := q.ask(act)
	if err != nil {
		e.Problem = clip(errtree.Text(err), errorWidth)
	}
	q.c.note(e)
	switch {
	case err == nil:
		q.done(http.StatusOK, "")
	case refused(err):
		fail(q.w, http.StatusConflict, e.Problem)
	default:
		q.away(err)
	}
}

// value makes an answer of what a person has typed.
func (q *request) value(in Inbox, id, text string) (v any, problem string) {
	var asked Question
	err := q.ask(func() (err error) { asked, err = in.Question(q.Context(), id); return err })
	if err != nil {
		return text, "" // the inbox will say why
	}
	parse := q.c.set.Answer
	if parse == nil {
		parse = func(_, text string) (any, error) { return typed(asked.Answers, text) }
	}
	err = q.ask(func() (err error) { v, err = parse(asked.Agent, text); return err })
	if err != nil {
		return nil, "this is no answer: " + clip(errtree.Text(err), errorWidth)
	}
	return v, ""
}

// typed reads a text as the first type that it can be.
func typed(types []reflect.Type, text string) (any, error) {
	var err error
	for _, t := range types {
		if t.Kind() == reflect.String {
			return reflect.ValueOf(text).Convert(t).Interface(), nil
		}
		if t.Kind() == reflect.Interface {
			break // anything will do
		}
		v := reflect.New(t)
		if err = json.Unmarshal([]byte(text), v.Interface()); err == nil {
			return v.Elem().Interface(), nil
		}
		err = fmt.Errorf("a %v in JSON is wanted: %w", t, err)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}
