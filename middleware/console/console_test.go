package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

var errSick = errors.New("the agent is sick")

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%s:\n got  %+v\n want %+v", what, got, want)
	}
}

// newDesk is a desk on which questions wait.
func newDesk() *inbox.Desk { return inbox.NewDesk() }

// ada may do all, bob nothing but look, eve not even that; nobody else is known.
func who(r *http.Request) (console.Person, error) {
	switch name, _, _ := r.BasicAuth(); name {
	case "ada", "ann":
		return console.Person{Name: name, Look: true, Decide: true, Control: true}, nil
	case "bob":
		return console.Person{Name: "bob", Look: true}, nil
	case "eve":
		return console.Person{Name: "eve", Decide: true, Control: true}, nil
	case "nameless":
		return console.Person{Look: true, Decide: true, Control: true}, nil
	case "panic":
		panic("who?")
	}
	return console.Person{}, errors.New("the secret of the session store")
}

// house is a console with agents and a desk behind it.
type house struct {
	*console.Console
	desk    *inbox.Desk
	ladder  *strategies.Ladder
	breaker *strategies.Breaker
	sick    *middleware.Guarded[string, string]
	mu      sync.Mutex
	entries []console.Entry
}

func open(t *testing.T, change func(*console.Settings)) *house {
	t.Helper()
	return openDesk(t, newDesk(), change)
}

// showing is a desk that shows what was asked.
func showing(d *inbox.Desk) func(*console.Settings) {
	return func(s *console.Settings) {
		s.Inbox = console.Desk(d, func(i strategies.Incident) string { return "asked: " + fmt.Sprint(i.Request) })
	}
}

func openDesk(t *testing.T, d *inbox.Desk, change func(*console.Settings)) *house {
	t.Helper()
	h := &house{desk: d, ladder: &strategies.Ladder{}, breaker: &strategies.Breaker{Failures: 2, NoJitter: true}}
	var owners []*middleware.Owner
	s := console.Settings{
		Agents: func() []*middleware.Owner { return owners },
		Inbox:  console.Desk(h.desk, nil),
		Who:    who,
		Record: func(e console.Entry) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.entries = append(h.entries, e)
		},
	}
	if change != nil {
		change(&s)
	}
	var err error
	if h.Console, err = console.New(s); err != nil {
		t.Fatal(err)
	}
	fails := func(context.Context, string) (string, error) { return "", errSick }
	h.sick, err = middleware.WrapFunc(fails).Named("bard").Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
		CircuitBreaker(h.breaker).Ladder(h.ladder).Degrade(strategies.LevelReduced, middleware.Func(fails)).
		Intervene(middleware.Intervention{Ask: h.desk, Deadline: time.Minute}).Observe(h).Build()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := middleware.WrapFunc(fails).Named("sage").CircuitBreaker(h.breaker).Observe(h).Build()
	if err != nil {
		t.Fatal(err)
	}
	bare, err := middleware.WrapFunc(fails).Named("page").Observe(h).Build()
	if err != nil {
		t.Fatal(err)
	}
	owners = []*middleware.Owner{h.sick.Owner(), plain.Owner(), bare.Owner()}
	return h
}

// ask asks the console, as somebody, in a way that nothing is wrong with.
func (h *house) ask(method, path, as, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if as != "" {
		r.SetBasicAuth(as, "")
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(console.Intent, "1")
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (h *house) get(t *testing.T, path string) map[string]any {
	t.Helper()
	w := h.ask("GET", path, "ada", "")
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return v
}

// question asks one of the desk, and returns its id.
func (h *house) question(t *testing.T, request string) (id string, answer <-chan string) {
	t.Helper()
	said := make(chan string, 1)
	before := len(h.desk.Open())
	go func() {
		resp, err := h.sick.Run(context.Background(), request)
		if err != nil {
			resp = err.Error()
		}
		said <- resp
	}()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if all := h.desk.Open(); len(all) > before {
			tick.Stop()
			for _, i := range all {
				if i.Request == request {
					return i.ID, said
				}
			}
		}
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	_, err := console.New(console.Settings{Calls: -1, Watchers: 20_000, Hosts: []string{""}})
	if !errors.Is(err, strategies.ErrConfig) {
		t.Fatalf("got %v", err)
	}
	for _, name := range []string{"Agents", "Calls", "Watchers", "Hosts"} {
		if !strings.Contains(err.Error(), "console.Settings."+name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	w := httptest.NewRecorder()
	var none *console.Console
	none.Observe(t.Context(), middleware.Event{})
	none.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	new(console.Console).Observe(t.Context(), middleware.Event{})
	expect(t, "status", w.Code, http.StatusInternalServerError)
}

// Whatever is served, wherever the console is mounted.
func TestItIsMountedAnywhere(t *testing.T) {
	h := open(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("/deep/console/", h)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", h))
	mux.Handle("/bare/", http.StripPrefix("/bare/", h))
	for _, prefix := range []string{"/", "/deep/console/", "/stripped/", "/bare/"} {
		for path, kind := range map[string]string{
			"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "draw.js": "text/javascript; charset=utf-8",
			"views.js": "text/javascript; charset=utf-8", "questions.js": "text/javascript; charset=utf-8", "fleet.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
			"api/v1/me": "application/json", "api/v1/agents": "application/json",
		} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", prefix+path, nil)
			r.SetBasicAuth("ada", "")
			mux.ServeHTTP(w, r)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 {
				t.Errorf("%s%s: %d %s, %d bytes", prefix, path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
			}
		}
	}
	for _, page := range []string{"/", "/deep/console/", "/stripped/"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", page, nil))
		expect(t, page, fmt.Sprint(w.Code, strings.Contains(w.Body.String(), "<title>Understudy</title>")), "200 true")
	}
	w := httptest.NewRecorder()
	http.StripPrefix("/console", h).ServeHTTP(w, httptest.NewRequest("GET", "/console", nil))
	expect(t, "a page without its slash", fmt.Sprintf("%d %s", w.Code, w.Header().Get("Location")), "301 /console/")
}

// A browser that follows these rules runs no script but ours, and shows us in no frame.
func TestEverythingIsServedUnderAStrictPolicy(t *testing.T) {
	h := open(t, nil)
	for _, path := range []string{"/", "/console.js", "/api/v1/me", "/nothing", "/api/v1/nothing", "/api/v1/stream?"} {
		head := h.ask("GET", path, map[bool]string{true: "", false: "ada"}[strings.Contains(path, "stream")], "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			expect(t, path+" "+name, head.Get(name), want)
		}
		csp := head.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			expect(t, path+" has "+want, strings.Contains(csp, want), true)
		}
		expect(t, path+" allows nothing inline", strings.Contains(csp, "unsafe"), false)
	}
	page := h.ask("GET", "/", "", "").Body.String()
	for _, inline := range []string{"<style", "style=", "onclick", "onload", "javascript:", "http://", "https://", "//"} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %q in it", inline)
		}
	}
}

// Nothing in the scripts makes markup of text.
func TestTheScriptsMakeNoMarkupOfText(t *testing.T) {
	h := open(t, nil)
	for _, file := range []string{"console.js", "draw.js", "views.js", "questions.js", "fleet.js"} {
		text := h.ask("GET", "/"+file, "", "").Body.String()
		for _, way := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "createContextualFragment", "DOMParser", "srcdoc"} {
			if strings.Contains(text, way) {
				t.Errorf("%s uses %s", file, way)
			}
		}
		if lines := strings.Count(text, "\n"); lines > 450 {
			t.Errorf("%s has %d lines", file, lines)
		}
	}
}

// Each kind of event has a sentence on the page.
func TestEveryEventCanBeTold(t *testing.T) {
	text := open(t, nil).ask("GET", "/draw.js", "", "").Body.String()
	for kind := middleware.EventAttemptFailed; ; kind++ {
		word, err := kind.MarshalText()
		if err != nil {
			expect(t, "kinds that were looked at", kind > 20, true)
			return
		}
		if !strings.Contains(text, fmt.Sprintf("\n  %s: (", word)) {
			t.Errorf("the page does not know %s: add it to kinds in draw.js", word)
		}
	}
}

func TestWhoMayLook(t *testing.T) {
	h := open(t, nil)
	for as, want := range map[string]int{"ada": 200, "bob": 200, "nameless": 200, "eve": 403, "": 401, "panic": 401} {
		for _, path := range []string{"me", "agents", "agents/bard", "calls", "changes", "questions", "record"} {
			w := h.ask("GET", "/api/v1/"+path, as, "")
			expect(t, path+" as "+as, w.Code, want)
			expect(t, "nothing of what Who said", strings.Contains(w.Body.String(), "secret"), false)
		}
	}
	open := open(t, func(s *console.Settings) { s.Who = nil })
	expect(t, "without Who everybody may look", open.ask("GET", "/api/v1/agents", "", "").Code, 200)
	for _, path := range []string{"agents/bard/isolate", "agents/bard/reset", "agents/bard/pin", "questions/x/claim", "questions/x/decide"} {
		expect(t, "and nobody may do anything: "+path, open.ask("POST", "/api/v1/"+path, "", `{"level":"reduced","action":"abort"}`).Code, 403)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	h := open(t, nil)
	for _, path := range []string{"agents/bard/isolate", "agents/bard/reset", "agents/bard/pin", "agents/bard/unpin", "questions/x/claim", "questions/x/release", "questions/x/decide"} {
		for as, want := range map[string]int{"bob": 403, "nameless": 403, "eve": 403, "": 401} {
			expect(t, path+" as "+as, h.ask("POST", "/api/v1/"+path, as, `{"level":"reduced","action":"abort"}`).Code, want)
		}
	}
	expect(t, "breaker", h.breaker.State(), strategies.StateClosed)
	expect(t, "entries", len(h.entries), 0)
}

// No other site can make a browser of somebody who may decide, decide.
func TestNoOtherSiteCanDoAnything(t *testing.T) {
	h := open(t, nil)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for what, change := range map[string]func(*http.Request){
		"from another site":             set("Sec-Fetch-Site", "cross-site"),
		"from a sister site":            set("Sec-Fetch-Site", "same-site"),
		"from another origin":           set("Origin", "https://evil.example"),
		"from an opaque origin":         set("Origin", "null"),
		"from a sibling's port":         set("Origin", "http://example.com:81"),
		"as a form":                     set("Content-Type", "application/x-www-form-urlencoded"),
		"as text":                       set("Content-Type", "text/plain"),
		"as a form that looks like us":  set("Content-Type", "text/plain; x=application/json"),
		"without a type":                func(r *http.Request) { r.Header.Del("Content-Type") },
		"without the header of our own": func(r *http.Request) { r.Header.Del(console.Intent) },
	} {
		expect(t, what, h.ask("POST", "/api/v1/agents/bard/isolate", "ada", "{}", change).Code, 403)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD"} {
		expect(t, method, h.ask(method, "/api/v1/agents/bard/isolate", "ada", "{}").Code, 405)
	}
	expect(t, "breaker", h.breaker.State(), strategies.StateClosed)
	for what, change := range map[string]func(*http.Request){
		"a program": func(*http.Request) {},
		"our own page": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Origin", "http://example.com")
		},
		"with charset":  set("Content-Type", "application/json; charset=utf-8"),
		"typed by hand": set("Sec-Fetch-Site", "none"),
	} {
		expect(t, what, h.ask("POST", "/api/v1/agents/bard/isolate", "ada", "{}", change).Code, 200)
	}
}

func TestItAnswersByItsOwnNamesOnly(t *testing.T) {
	h := open(t, func(s *console.Settings) { s.Hosts = []string{"localhost:7070", "127.0.0.1:7070"} })
	for host, want := range map[string]int{"localhost:7070": 200, "LOCALHOST:7070": 200, "127.0.0.1:7070": 200, "evil.example:7070": 421, "localhost": 421, "": 421} {
		for _, path := range []string{"/", "/api/v1/me"} {
			expect(t, host+path, h.ask("GET", path, "ada", "", func(r *http.Request) { r.Host = host }).Code, want)
		}
	}
}

func TestAPersonsHandOnAnAgent(t *testing.T) {
	h := open(t, nil)
	post := func(path, body string, want int) {
		t.Helper()
		if w := h.ask("POST", "/api/v1/agents/"+path, "ada", body); w.Code != want {
			t.Errorf("%s %s: %d %s, want %d", path, body, w.Code, w.Body, want)
		}
	}
	post("bard/isolate", `{"reason":"it lies"}`, 200)
	expect(t, "breaker", h.breaker.State(), strategies.StateIsolated)
	post("bard/reset", `{}`, 200)
	expect(t, "breaker", h.breaker.State(), strategies.StateClosed)
	post("a1/pin", `{"level":"reduced","reason":"calm"}`, 200)
	level, pinned := h.ladder.State()
	expect(t, "level", fmt.Sprint(level, pinned), "reduced true")
	expect(t, "the ladder's reason", h.ladder.Reasons()[0].Text, "pinned by ada: calm")
	post("a1/unpin", `{}`, 200)
	level, pinned = h.ladder.State()
	expect(t, "level", fmt.Sprint(level, pinned), "full false")

	post("bard/pin", `{}`, 400) // nothing that was left out is a level
	post("bard/pin", `{"level":"odd"}`, 400)
	post("bard/pin", `{"level":2}`, 400)
	post("bard/explode", `{}`, 404)
	post("nobody/reset", `{}`, 404)
	post("page/isolate", `{}`, 409)
	post("page/pin", `{"level":"minimal"}`, 409)
	post("page/unpin", `{}`, 409)
	post("page/reset", `{}`, 200)
	post("bard/reset", `{"unknown":1}`, 400)
	post("bard/reset", `{} {}`, 400)
	post("bard/reset", ``, 400)
	post("bard/reset", `{"reason":"`+strings.Repeat("x", 70_000)+`"}`, 413)

	var did []string
	for _, e := range h.entries {
		expect(t, "by", e.By, "ada")
		did = append(did, fmt.Sprintf("%s %s %s (%s)%s", e.Did, e.Agent, e.What, e.Reason, map[bool]string{true: "", false: "!"}[e.Problem == ""]))
	}
	expect(t, "record", strings.Join(did, "; "), "isolate bard  (it lies); reset bard  (); pin bard reduced (calm); unpin bard  (); "+
		"pin bard  ()!; isolate page  ()!; pin page  ()!; unpin page  ()!; reset page  ()")
	kept := h.get(t, "/api/v1/record")["record"].([]any)
	expect(t, "the newest first", kept[0].(map[string]any)["agent"], "page")
	expect(t, "entries", len(kept), len(h.entries))
}

func TestAgentsAndTheirChains(t *testing.T) {
	h := open(t, func(s *console.Settings) { s.Role = func(string) string { return "SINGER" } })
	id, _ := h.question(t, "sing")
	agents := h.get(t, "/api/v1/agents")["agents"].([]any)
	bard := agents[0].(map[string]any)
	expect(t, "agents", len(agents), 3)
	for key, want := range map[string]any{"id": "a1", "name": "bard", "role": "SINGER", "mood": "out", "breaker": "open", "level": "full", "last_class": "transient", "last_error": "the agent is sick", "budget_size": 500.0} {
		expect(t, key, bard[key], want)
	}
	expect(t, "shared", fmt.Sprint(bard["shared_with"]), "[bard sage]")
	expect(t, "no breaker", agents[2].(map[string]any)["breaker"], nil)
	one := h.get(t, "/api/v1/agents/bard")
	var stages []string
	for _, l := range one["chain"].(map[string]any)["layers"].([]any) {
		stages = append(stages, l.(map[string]any)["stage"].(string))
	}
	expect(t, "chain", strings.Join(stages, " "), "observe intervene degrade retry breaker recover agent")

	calls := h.get(t, "/api/v1/calls")["calls"].([]any)
	expect(t, "calls", len(calls), 1)
	call := calls[0].(map[string]any)
	var kinds []string
	for _, s := range call["steps"].([]any) {
		kinds = append(kinds, s.(map[string]any)["kind"].(string))
	}
	expect(t, "steps", strings.Join(kinds, " "), "attempt_failed retry_scheduled attempt_failed retries_ended rung_failed person_asked")
	expect(t, "under way", call["end"], "")
	expect(t, "the same by its id", h.get(t, "/api/v1/calls/"+call["id"].(string))["id"], call["id"])
	expect(t, "of another agent", len(h.get(t, "/api/v1/calls?agent=sage")["calls"].([]any)), 0)
	changes := h.get(t, "/api/v1/changes")["changes"].([]any)
	expect(t, "changes", fmt.Sprint(len(changes), " ", changes[0].(map[string]any)["to"]), "1 open")
	expect(t, "unknown", h.ask("GET", "/api/v1/calls/x", "ada", "").Code, 404)
	_ = h.desk.Resolve(id, strategies.Decision{})
}

func TestSomebodyDecides(t *testing.T) {
	d := newDesk()
	h := openDesk(t, d, showing(d))
	id, said := h.question(t, "sing")
	page := h.get(t, "/api/v1/questions")
	expect(t, "total", page["total"], 1)
	q := page["entries"].([]any)[0].(map[string]any)
	expect(t, "request", q["request"], "asked: sing")
	expect(t, "class", q["class"], "transient")
	expect(t, "tried", len(h.get(t, "/api/v1/questions/"+id)["attempts"].([]any)), 3)

	post := func(as, what, body string, want int) string {
		t.Helper()
		w := h.ask("POST", "/api/v1/questions/"+id+"/"+what, as, body)
		if w.Code != want {
			t.Errorf("%s %s %s: %d %s, want %d", as, what, body, w.Code, w.Body, want)
		}
		return w.Body.String()
	}
	post("ada", "claim", `{}`, 200)
	post("ada", "claim", `{}`, 200) // again
	if text := post("ann", "decide", `{"action":"abort"}`, 409); !strings.Contains(text, "claimed by ada") {
		t.Error(text)
	}
	post("ann", "claim", `{}`, 409)
	post("ann", "claim", `{"from":"ada"}`, 200) // taken over, knowingly
	post("ada", "release", `{}`, 409)
	post("ada", "decide", `{}`, 400)
	post("ann", "decide", `{}`, 400) // nothing that was left out is a decision
	post("ann", "decide", `{"action":"agree"}`, 400)
	post("ann", "decide", `{"action":"answer","answer":"la la","reason":"it was time"}`, 200)
	expect(t, "the caller gets", <-said, "la la")
	if text := post("ada", "decide", `{"action":"abort"}`, 409); !strings.Contains(text, "was decided before, by ann at ") {
		t.Error(text)
	}
	post("ada", "claim", `{}`, 409)
	over := h.get(t, "/api/v1/questions/"+id)
	expect(t, "over", over["state"], "decided")
	how := over["decision"].(map[string]any)
	expect(t, "decided", fmt.Sprint(how["action"], how["by"], how["reason"]), "answerannit was time")
	closed := h.get(t, "/api/v1/questions?closed=1")
	expect(t, "kept", fmt.Sprint(closed["total"], closed["entries"].([]any)[0].(map[string]any)["id"] == id), "1 true")
	expect(t, "an unknown one", h.ask("GET", "/api/v1/questions/x", "ada", "").Code, 404)
}

// What a person types becomes what the agent answers with, or is refused while the
// question stays open.
func TestAnAnswerOfTheRightType(t *testing.T) {
	h := open(t, func(s *console.Settings) {
		s.Answer = func(agent, text string) (any, error) {
			switch text {
			case "panic":
				panic(agent)
			case "":
				return nil, errors.New("say something")
			}
			return agent + " says " + text, nil
		}
	})
	id, said := h.question(t, "sing")
	for _, text := range []string{"", "panic"} {
		w := h.ask("POST", "/api/v1/questions/"+id+"/decide", "ada", fmt.Sprintf(`{"action":"answer","answer":%q}`, text))
		expect(t, text, w.Code, 422)
	}
	expect(t, "open", h.desk.Waiting(id), true)
	expect(t, "decided", h.ask("POST", "/api/v1/questions/"+id+"/decide", "ada", `{"action":"answer","answer":"la"}`).Code, 200)
	expect(t, "the caller gets", <-said, "bard says la")
}

// An agent that answers with something else than a text gets what JSON makes of it.
func TestAnAnswerIsReadAsTheTypeThatIsWanted(t *testing.T) {
	h := open(t, nil)
	type verdict struct{ Guilty bool }
	judge, err := middleware.WrapFunc(func(context.Context, string) (verdict, error) { return verdict{}, errSick }).Named("judge").
		Intervene(middleware.Intervention{Ask: h.desk, Deadline: time.Minute}).Build()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan verdict, 1)
	go func() { v, _ := judge.Run(context.Background(), "is he?"); said <- v }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(h.desk.Open()) == 0 {
		<-tick.C
	}
	path := "/api/v1/questions/" + h.desk.Open()[0].ID + "/decide"
	expect(t, "no JSON", h.ask("POST", path, "ada", `{"action":"answer","answer":"guilty"}`).Code, 422)
	expect(t, "JSON", h.ask("POST", path, "ada", `{"action":"answer","answer":"{\"Guilty\":true}"}`).Code, 200)
	expect(t, "verdict", (<-said).Guilty, true)
}

// A secret in an error is not shown, where nobody has said that it may be.
func TestSecretsAreNotShown(t *testing.T) {
	h := open(t, nil)
	h.Observe(t.Context(), middleware.Event{Kind: middleware.EventFailed, Agent: "bard", Call: "c", Err: errors.New("Incorrect API key provided: sk-proj-4fGh0123456789abcdef0123456789")})
	text := h.ask("GET", "/api/v1/calls", "ada", "").Body.String()
	expect(t, "the key in "+text, strings.Contains(text, "4fGh"), false)
	expect(t, "the rest in "+text, strings.Contains(text, "Incorrect API key provided"), true)
}

// Requests and answers are not shown, unless the user says how; errors may be held back.
func TestNothingIsShownThatNobodySaidHowToShow(t *testing.T) {
	h := open(t, func(s *console.Settings) { s.ShowError = func(error) string { return "(an error)" } })
	id, _ := h.question(t, "the password")
	defer func() { _ = h.desk.Resolve(id, strategies.Decision{}) }()
	for _, path := range []string{"questions", "questions/" + id, "calls", "agents", "agents/bard", "changes", "record", "me"} {
		text := h.ask("GET", "/api/v1/"+path, "ada", "").Body.String()
		if strings.Contains(text, "password") || strings.Contains(text, "sick") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// What is hostile is text: cut, legible, and in one piece of JSON.
func TestHostileTextStaysText(t *testing.T) {
	hostile := "<script>alert(1)</script>\u202e\x00\x1b[2J\xff" + strings.Repeat("long ", 100_000)
	d := newDesk()
	h := openDesk(t, d, func(s *console.Settings) {
		showing(d)(s)
		s.Role = func(string) string { panic("no role") }
	})
	h.Observe(t.Context(), middleware.Event{
		Kind: middleware.EventFailed, Agent: hostile, Call: hostile, Parent: hostile, ServedBy: hostile, Stop: strategies.Stop(hostile), From: hostile, To: hostile,
		Incident: hostile, Decision: hostile, By: hostile, Detail: hostile, Err: errors.New(hostile), Class: 200, Strategy: 99, Level: 77, Attempt: -1,
	})
	h.Observe(t.Context(), middleware.Event{Kind: 200, Agent: hostile, Call: "x"})
	h.Observe(t.Context(), middleware.Event{Kind: middleware.EventBreakerChanged, Agent: hostile, Err: panics{}})
	id, _ := h.question(t, hostile)
	defer func() { _ = h.desk.Resolve(id, strategies.Decision{}) }()
	for _, path := range []string{"questions", "questions/" + id, "calls", "agents", "changes"} {
		w := h.ask("GET", "/api/v1/"+path, "ada", "")
		text := w.Body.String()
		if w.Code != 200 || !json.Valid(w.Body.Bytes()) || len(text) > 20_000 || strings.Contains(text, "<script") || strings.ContainsAny(text, "\u202e\x00\x1b") {
			t.Errorf("%s: %d, %d bytes: %.300s", path, w.Code, len(text), text)
		}
	}
}

type panics struct{}

func (panics) Error() string { panic("no text") }

// However many calls fail, however many steps each has: what is kept is bounded.
func TestMemoryIsBounded(t *testing.T) {
	h := open(t, func(s *console.Settings) { s.Calls = 10 })
	for n := range 1000 {
		kind := middleware.EventAttemptFailed
		for range 1 + n%200 {
			h.Observe(t.Context(), middleware.Event{Kind: kind, Agent: "bard", Call: fmt.Sprint("call", n), Time: time.Now()})
		}
		if n != 3 { // one stays open
			h.Observe(t.Context(), middleware.Event{Kind: middleware.EventRecovered, Agent: "bard", Call: fmt.Sprint("call", n), Time: time.Now()})
		}
		h.Observe(t.Context(), middleware.Event{Kind: middleware.EventLevelChanged, Agent: "bard", Time: time.Now()})
		h.ask("POST", "/api/v1/agents/bard/reset", "ada", `{}`)
	}
	calls := h.get(t, "/api/v1/calls")["calls"].([]any)
	expect(t, "calls", len(calls), 10)
	first, last := calls[0].(map[string]any), calls[9].(map[string]any)
	expect(t, "the newest", first["id"], "call999")
	expect(t, "the one that is under way is kept", last["id"], "call3")
	expect(t, "steps, and what was dropped", fmt.Sprint(len(first["steps"].([]any)), first["dropped"]), "64 137")
	expect(t, "changes", len(h.get(t, "/api/v1/changes")["changes"].([]any)), 100)
	expect(t, "record", len(h.get(t, "/api/v1/record")["record"].([]any)), 200)
	before := fmt.Sprint("/api/v1/calls?limit=3&before=", calls[3].(map[string]any)["id"])
	expect(t, "a page", h.get(t, before)["calls"].([]any)[0].(map[string]any)["id"], calls[4].(map[string]any)["id"])
}

// events reads a stream.
func events(t *testing.T, body io.Reader) <-chan [2]string {
	t.Helper()
	out := make(chan [2]string, 100)
	go func() {
		defer close(out)
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<22)
		what := ""
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				what = name
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				out <- [2]string{what, data}
			}
		}
	}()
	return out
}

// heard is what a stream has said so far. What happens together may come in any order,
// so each is looked for in what came since the last call of since.
type heard struct {
	from <-chan [2]string
	all  [][2]string
}

func (h *heard) since() { h.all = nil }

func (h *heard) await(t *testing.T, what, contains string) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for _, e := range h.all {
		if e[0] == what && strings.Contains(e[1], contains) {
			return
		}
	}
	for {
		select {
		case e, ok := <-h.from:
			if !ok {
				t.Fatalf("the stream ended before %s with %s", what, contains)
			}
			if h.all = append(h.all, e); e[0] == what && strings.Contains(e[1], contains) {
				return
			}
		case <-limit.C:
			t.Fatalf("no %s with %s came", what, contains)
		}
	}
}

func TestAWatcherIsToldWhatChanges(t *testing.T) {
	h := open(t, func(s *console.Settings) { s.Watchers = 1 })
	server := httptest.NewServer(h)
	defer server.Close()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/v1/stream", nil)
	r.SetBasicAuth("ada", "")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	expect(t, "type", resp.Header.Get("Content-Type"), "text/event-stream")
	all := &heard{from: events(t, resp.Body)}
	all.await(t, "hello", `"name":"ada"`)
	all.await(t, "agents", `"order":["a1","a2","a3"]`)
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	expect(t, "one too many", h.ask("GET", "/api/v1/stream", "ada", "", func(r *http.Request) { *r = *r.WithContext(soon) }).Code, 503)

	all.since()
	id, _ := h.question(t, "sing")
	all.await(t, "agents", `"breaker":"open"`)
	all.await(t, "calls", `"person_asked"`)
	all.await(t, "questions", `"total":1`)
	all.since()
	h.ask("POST", "/api/v1/questions/"+id+"/decide", "ada", `{"action":"abort","reason":"enough"}`)
	all.await(t, "record", "enough")
	all.await(t, "questions", `"total":0`)
	all.since()
	h.ask("POST", "/api/v1/agents/bard/reset", "ada", `{}`)
	all.await(t, "agents", `"breaker":"closed"`)
}

// stuck takes nothing any more after a while.
type stuck struct {
	*httptest.ResponseRecorder
	left     int
	deadline time.Time
}

func (s *stuck) SetWriteDeadline(at time.Time) error { s.deadline = at; return nil }
func (s *stuck) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		time.Sleep(time.Until(s.deadline)) // in a bubble
		return 0, errors.New("i/o timeout")
	}
	return len(p), nil
}

// Who does not read is let go, and their place is free again; who watches for long is
// asked again who they are.
func TestWatchersAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(s *console.Settings) { s.Watchers = 1 })
		for what, tc := range map[string]struct {
			room int
			want time.Duration
		}{"a slow one": {200, 5 * time.Second}, "a patient one": {1 << 30, 10 * time.Minute}} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/stream", nil)
			r.SetBasicAuth("ada", "")
			w := &stuck{ResponseRecorder: httptest.NewRecorder(), left: tc.room}
			began := time.Now()
			h.ServeHTTP(w, r)
			expect(t, what, time.Since(began), tc.want)
			expect(t, "a deadline that is left behind", w.deadline.IsZero(), true)
		}
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/stream", nil)
		r.SetBasicAuth("ada", "")
		time.AfterFunc(time.Second+time.Millisecond, leave)
		began := time.Now()
		h.ServeHTTP(&stuck{ResponseRecorder: httptest.NewRecorder(), left: 1 << 30}, r)
		expect(t, "one who leaves", time.Since(began), time.Second+time.Millisecond)
	})
}

// broken is an inbox that is out of reach, and one that panics.
type broken struct{ panics bool }

func (b broken) fail() error {
	if b.panics {
		panic("no inbox")
	}
	return errors.New("the store is away")
}
func (b broken) List(context.Context, inbox.Query) (inbox.Page, error) { return inbox.Page{}, b.fail() }
func (b broken) Get(context.Context, string) (inbox.Entry, error)      { return inbox.Entry{}, b.fail() }
func (b broken) Claim(context.Context, string, string, time.Duration) (inbox.Entry, error) {
	return inbox.Entry{}, b.fail()
}
func (b broken) Release(context.Context, string, string) (inbox.Entry, error) {
	return inbox.Entry{}, b.fail()
}
func (b broken) Resolve(context.Context, string, strategies.Decision) (inbox.Entry, error) {
	return inbox.Entry{}, b.fail()
}

func TestAnInboxThatIsAwayTakesNothingElseAlong(t *testing.T) {
	for _, in := range []broken{{false}, {true}} {
		h := open(t, func(s *console.Settings) { s.Inbox = in })
		expect(t, "agents", h.ask("GET", "/api/v1/agents", "ada", "").Code, 200)
		expect(t, "questions", h.ask("GET", "/api/v1/questions", "ada", "").Code, 502)
		expect(t, "question", h.ask("GET", "/api/v1/questions/x", "ada", "").Code, 502)
		expect(t, "claim", h.ask("POST", "/api/v1/questions/x/claim", "ada", "{}").Code, 502)
		expect(t, "decide", h.ask("POST", "/api/v1/questions/x/decide", "ada", `{"action":"abort"}`).Code, 502)
	}
	h := open(t, func(s *console.Settings) { s.Inbox = nil })
	expect(t, "no inbox", h.ask("GET", "/api/v1/questions", "ada", "").Code, 404)
	expect(t, "no inbox", h.ask("POST", "/api/v1/questions/x/decide", "ada", `{"action":"abort"}`).Code, 404)
	expect(t, "no inbox to decide in", h.get(t, "/api/v1/me")["decide"], false)
}

var _ console.Inbox = (*inbox.Inbox)(nil)

// The same on an inbox that lasts: in two processes, two people, one decision.
func TestAnInboxThatLasts(t *testing.T) {
	store := &memory.Store{}
	box, err := inbox.Open(store, inbox.Settings{Show: func(i strategies.Incident) string { return "asked: " + fmt.Sprint(i.Request) }})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	elsewhere, err := inbox.Open(store, inbox.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	here := open(t, func(s *console.Settings) { s.Inbox = box })
	there := open(t, func(s *console.Settings) { s.Inbox = elsewhere })
	fails := func(context.Context, string) (string, error) { return "", errSick }
	g, err := middleware.WrapFunc(fails).Named("bard").Intervene(middleware.Intervention{Ask: box, Deadline: time.Minute}).Build()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() { resp, _ := g.Run(context.Background(), "sing"); said <- resp }()
	var q map[string]any
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for q == nil {
		<-tick.C
		if all := there.get(t, "/api/v1/questions")["entries"].([]any); len(all) == 1 {
			q = all[0].(map[string]any)
		}
	}
	expect(t, "request", q["request"], "asked: sing")
	path := "/api/v1/questions/" + q["id"].(string)
	expect(t, "claim", here.ask("POST", path+"/claim", "ada", `{}`).Code, 200)
	expect(t, "claimed by another", there.ask("POST", path+"/claim", "ann", `{}`).Code, 409)
	expect(t, "decided in spite of it", there.ask("POST", path+"/decide", "ann", `{"action":"answer","answer":"la"}`).Code, 409)
	expect(t, "taken over", there.ask("POST", path+"/claim", "ann", `{"from":"ada"}`).Code, 200)
	expect(t, "an agent that there is not", there.ask("POST", path+"/decide", "ann", `{"action":"use agent","agent":"nobody"}`).Code, 422)
	expect(t, "decided", there.ask("POST", path+"/decide", "ann", `{"action":"answer","answer":"la","reason":"time"}`).Code, 200)
	expect(t, "the caller gets", <-said, "la")
	w := here.ask("POST", path+"/decide", "ada", `{"action":"abort"}`)
	expect(t, "too late: "+w.Body.String(), fmt.Sprint(w.Code, strings.Contains(w.Body.String(), "decided before, by ann")), "409 true")
	expect(t, "kept", here.get(t, path)["state"], "decided")
}

// Of many who decide one question at a time exactly one does.
func TestOneOfManyDecides(t *testing.T) {
	h := open(t, nil)
	for range 20 {
		h.breaker.Reset()
		id, said := h.question(t, "sing")
		var all sync.WaitGroup
		codes := make([]int, 8)
		for i := range codes {
			all.Go(func() {
				codes[i] = h.ask("POST", "/api/v1/questions/"+id+"/decide", map[bool]string{true: "ada", false: "ann"}[i%2 == 0], fmt.Sprintf(`{"action":"answer","answer":"%d"}`, i)).Code
			})
		}
		all.Wait()
		got, decided := <-said, 0
		for i, code := range codes {
			if code == 200 {
				decided++
				expect(t, "the caller gets what was decided", got, fmt.Sprint(i))
			} else if code != 409 {
				t.Errorf("status %d", code)
			}
		}
		expect(t, "decided", decided, 1)
	}
}

func FuzzAPI(f *testing.F) {
	for _, seed := range [][3]string{
		{"POST", "agents/bard/isolate", `{"reason":"x"}`}, {"POST", "agents/a1/pin", `{"level":"minimal"}`}, {"POST", "questions/bard-1/decide", `{"action":"answer","answer":"x"}`},
		{"GET", "calls?before=x&limit=-1&agent=%ff", ""}, {"GET", "agents/%2e%2e%2f", ""}, {"GET", "questions?after=999999999999999999999&limit=0", ""}, {"POST", "questions//claim", `{"from":"\u0000"}`},
		{"GET", "agents/%", ""}, {"POST", "agents/bard/reset", `[]`}, {"POST", "agents/bard/reset", `{"reason":null,"level":null}`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // a stream lasts as long
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, "http://example.com/api/v1/"+path, strings.NewReader(body))
		if err != nil {
			t.Skip("no request")
		}
		r.SetBasicAuth("ada", "")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(console.Intent, "1")
		h := open(t, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || r.Method != http.MethodHead && w.Header().Get("Content-Type") != "text/event-stream" && ctx.Err() == nil && strings.Contains(r.URL.Path, "/api/v1/") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q %q: %d %.300s", method, path, body, w.Code, w.Body)
		}
		if r.Method != http.MethodPost && (h.breaker.State() != strategies.StateClosed || len(h.entries) > 0) {
			t.Errorf("%s %q has changed something", method, path)
		}
	})
}
