package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

const (
	mostAttempts = 50
	mostOffered  = 200
	mostVotes    = 50
)

// shown is a question as people may see it: what is foreign in it is cut.
func (c *Console) shown(e inbox.Entry, whole bool) inbox.Entry {
	width := textWidth
	if whole {
		width = requestWidth
	}
	name := func(s string) string { return clip(s, nameWidth) }
	e.Agent, e.Call, e.Process, e.Ticket = name(e.Agent), clip(e.Call, 200), name(e.Process), clip(e.Ticket, 200)
	e.Request, e.Class, e.Reason = clip(e.Request, width), known(e.Class), clip(e.Reason, reasonWidth)
	e.State, e.Stage, e.Failure = inbox.State(name(string(e.State))), inbox.Stage(name(string(e.Stage))), c.saysText(e.Failure)
	attempts := e.Attempts
	if most := mostAttempts; len(attempts) > most || !whole {
		if !whole {
			most = 1 // the last one
		}
		attempts = attempts[max(0, len(attempts)-most):]
		e.More += len(e.Attempts) - len(attempts)
	}
	e.Attempts = slices.Clone(attempts)
	for i, a := range e.Attempts {
		e.Attempts[i] = inbox.Attempt{Agent: name(a.Agent), Class: known(a.Class), Error: c.saysText(a.Error)}
	}
	e.Agents = slices.Clone(e.Agents[:min(len(e.Agents), mostOffered)]) // as they are: a decision names one of them
	e.Answers = slices.Clone(e.Answers[:min(len(e.Answers), mostVotes)])
	for i, t := range e.Answers {
		e.Answers[i] = name(t)
	}
	e.Groups = slices.Clone(e.Groups[:min(len(e.Groups), mostVotes)])
	for i, g := range e.Groups {
		e.Groups[i].Name = name(g.Name)
	}
	vote := func(v inbox.Vote) inbox.Vote {
		return inbox.Vote{By: name(v.By), At: v.At, Action: name(v.Action), Agent: name(v.Agent), Reason: clip(v.Reason, reasonWidth)}
	}
	for _, votes := range []*[]inbox.Vote{&e.Votes, &e.Earlier} {
		*votes = slices.Clone((*votes)[:min(len(*votes), mostVotes)])
		for i, v := range *votes {
			(*votes)[i] = vote(v)
		}
	}
	if e.Decision != nil {
		v := vote(*e.Decision)
		e.Decision = &v
	}
	if e.Claim != nil {
		e.Claim = &inbox.Claim{By: name(e.Claim.By), At: e.Claim.At, Until: e.Claim.Until}
	}
	return e
}

// questions reads them: a page of those that are open, or have ended, or one.
func (q *request) questions(one bool) {
	in := q.c.set.Inbox
	if in == nil {
		fail(q.w, http.StatusNotFound, "the console has no inbox")
		return
	}
	if one {
		var found inbox.Entry
		err := q.ask(func() (err error) { found, err = in.Get(q.Context(), q.path[1]); return err })
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
	form := q.URL.Query()
	query := inbox.Query{After: form.Get("after"), Agent: form.Get("agent"), Limit: q.number("limit", pageSize), Closed: form.Get("closed") != "" && form.Get("closed") != "0"}
	query.Newest = query.Closed
	var page inbox.Page
	if err := q.ask(func() (err error) { page, err = in.List(q.Context(), query); return err }); err != nil {
		q.away(err)
		return
	}
	page.Entries = slices.Clone(page.Entries[:min(len(page.Entries), mostPage)])
	for i, e := range page.Entries {
		page.Entries[i] = q.c.shown(e, false)
	}
	if page.Entries == nil {
		page.Entries = []inbox.Entry{}
	}
	answer(q.w, http.StatusOK, page)
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

// wish is what somebody wants done with a question.
type wish struct {
	From   string             `json:"from"` // claim: who has it now
	Action *strategies.Action `json:"action"`
	Answer *string            `json:"answer"`
	Agent  string             `json:"agent"`
	Reason string             `json:"reason"`
}

// decide claims or decides a question.
func (q *request) decide() {
	in, id, did := q.c.set.Inbox, q.path[1], q.path[2]
	switch {
	case !q.by.Decide:
		fail(q.w, http.StatusForbidden, "you may not do this")
		return
	case in == nil:
		fail(q.w, http.StatusNotFound, "the console has no inbox")
		return
	}
	var body wish
	if status, problem := read(q.w, q.Request, &body); problem != "" {
		fail(q.w, status, problem)
		return
	}
	e := Entry{By: q.by.Name, Did: did, Incident: clip(id, 200), Reason: clip(body.Reason, reasonWidth)}
	var now inbox.Entry
	var act func() error
	switch did {
	case "claim":
		act = func() (err error) {
			if body.From != "" && body.From != q.by.Name { // knowingly taken over
				if now, err = in.Release(q.Context(), id, body.From); err != nil {
					return err
				}
			}
			now, err = in.Claim(q.Context(), id, q.by.Name, 0)
			return err
		}
	case "release":
		act = func() (err error) { now, err = in.Release(q.Context(), id, q.by.Name); return err }
	case "decide":
		if body.Action == nil { // nothing that was left out is a decision
			fail(q.w, http.StatusBadRequest, "the body has no action: say abort, retry, answer or use agent")
			return
		}
		if *body.Action == strategies.ActionAnswer && body.Answer == nil {
			fail(q.w, http.StatusBadRequest, "the body has no answer")
			return
		}
		d := strategies.Decision{Action: *body.Action, By: q.by.Name, Reason: e.Reason}
		if e.What = d.Action.String(); d.Action == strategies.ActionUseAgent {
			d.Agent, e.What = body.Agent, e.What+" "+clip(body.Agent, nameWidth)
		}
		act = func() (err error) {
			if now, err = in.Get(q.Context(), id); err != nil {
				return err
			}
			if by := now.Claimed(time.Now()); by != "" && by != q.by.Name && now.State == inbox.StateOpen {
				return no(id, &inbox.ClaimedError{Entry: now})
			}
			if d.Action == strategies.ActionAnswer {
				if d.Value, err = q.value(now, *body.Answer); err != nil {
					return err
				}
			}
			if now, err = in.Resolve(q.Context(), id, d); refused(err) {
				if e, err2 := in.Get(q.Context(), id); err2 == nil && e.State == inbox.StateOpen {
					return &noAnswerError{err} // nobody was faster: it cannot be carried out
				}
			}
			return err
		}
	default:
		q.missing("action")
		return
	}
	err := q.ask(act)
	if err != nil {
		e.Problem = clip(errtree.Text(err), errorWidth)
	}
	q.c.note(e)
	switch wrong := (*noAnswerError)(nil); {
	case err == nil:
		answer(q.w, http.StatusOK, map[string]any{"done": true, "entry": q.c.shown(now, true)})
	case errtree.Any(err, func(e error) bool { w, ok := e.(*noAnswerError); wrong = w; return ok }):
		fail(q.w, http.StatusUnprocessableEntity, clip(wrong.Error(), errorWidth))
	case refused(err):
		fail(q.w, http.StatusConflict, e.Problem)
	default:
		q.away(err)
	}
}

// noAnswerError says why a decision cannot be carried out, so that the question stays
// open: what a person has typed is no answer, or names nobody.
type noAnswerError struct{ err error }

func (e *noAnswerError) Error() string {
	if refused(e.err) {
		return errtree.Text(e.err)
	}
	return "this is no answer: " + errtree.Text(e.err)
}

func (e *noAnswerError) Unwrap() error { return e.err }

// value makes an answer of what a person has typed.
func (q *request) value(of inbox.Entry, text string) (v any, err error) {
	if q.c.set.Answer != nil {
		if problem := safely(func() { v, err = q.c.set.Answer(of.Agent, text) }); problem != nil {
			err = problem
		}
		if err != nil {
			return nil, &noAnswerError{err}
		}
		return v, nil
	}
	if len(of.Answers) == 0 || slices.Contains(of.Answers, "string") {
		return text, nil
	}
	raw := json.RawMessage(text)
	if !json.Valid(raw) { // a text, for a type that is one by another name
		raw, _ = json.Marshal(text)
	}
	return raw, nil
}
