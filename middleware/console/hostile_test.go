package console_test

import (
	"bytes"
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
)

type hostileBoard struct {
	*console.Console
	br   *strategies.Breaker
	desk *inbox.Desk
	g    *middleware.Guarded[string, string]
}

const evil = `</script><script>alert(1)</script><img src=x onerror=alert(1)>` + "\u2028\x1b[31m"

func newHostile(t *testing.T, who func(r *http.Request) (console.Person, error), more func(*console.Settings)) *hostileBoard {
	t.Helper()
	z := &hostileBoard{br: &strategies.Breaker{Failures: 100}, desk: inbox.NewDesk()}
	var owners []*middleware.Owner
	s := console.Settings{
		Agents: func() []*middleware.Owner { return owners },
		Inbox:  console.Desk(z.desk, func(i strategies.Incident) string { return fmt.Sprint(i.Request) }),
		Who:    who,
	}
	if more != nil {
		more(&s)
	}
	c, err := console.New(s)
	if err != nil {
		t.Fatal(err)
	}
	z.Console = c
	z.g, err = middleware.WrapFunc(func(_ context.Context, q string) (string, error) {
		return "", errors.New("key sk-proj-4fGhAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA is bad " + evil)
	}).Named("nar<b>rator").CircuitBreaker(z.br).
		Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, string) (string, error) { return "", errors.New("x") })).
		Intervene(middleware.Intervention{Ask: z.desk, Deadline: time.Minute}).Observe(c).Build()
	if err != nil {
		t.Fatal(err)
	}
	owners = append(owners, z.g.Owner())
	return z
}

func (z *hostileBoard) do(method, path, body string, edit func(r *http.Request)) *httptest.ResponseRecorder {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, rd)
	if method == "POST" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(console.Intent, "yes")
	}
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	z.ServeHTTP(w, r)
	return w
}

func ada(*http.Request) (console.Person, error) {
	return console.Person{Name: "ada", Look: true, Decide: true, Control: true}, nil
}

func (z *hostileBoard) id(t *testing.T) string {
	t.Helper()
	var body any
	w := z.do("GET", "/console/api/v1/agents", "", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err, w.Body)
	}
	s := w.Body.String()
	i := strings.Index(s, `"id":"`)
	if i < 0 {
		t.Fatal(s)
	}
	s = s[i+6:]
	return s[:strings.Index(s, `"`)]
}

func TestHostileConsoleWritesNeedRights(t *testing.T) {
	posts := func(id string) map[string]string {
		return map[string]string{
			"agents/" + id + "/isolate": `{"reason":"x"}`,
			"agents/" + id + "/reset":   `{"reason":"x"}`,
			"agents/" + id + "/pin":     `{"level":"reduced","reason":"x"}`,
			"agents/" + id + "/unpin":   `{"reason":"x"}`,
		}
	}
	for name, c := range map[string]struct {
		who  func(r *http.Request) (console.Person, error)
		code int
	}{
		"nil": {nil, 403},
		"err": {func(*http.Request) (console.Person, error) {
			return console.Person{Name: "a", Look: true, Control: true}, errors.New("secret reason")
		}, 401},
		"zero": {func(*http.Request) (console.Person, error) { return console.Person{}, nil }, 403},
		"look": {func(*http.Request) (console.Person, error) { return console.Person{Name: "a", Look: true}, nil }, 403},
		"decide": {func(*http.Request) (console.Person, error) {
			return console.Person{Name: "a", Look: true, Decide: true}, nil
		}, 403},
		"no name": {func(*http.Request) (console.Person, error) {
			return console.Person{Look: true, Control: true, Decide: true}, nil
		}, 403},
		"blank": {func(*http.Request) (console.Person, error) {
			return console.Person{Name: "  ", Look: true, Control: true, Decide: true}, nil
		}, 403},
		"panic": {func(*http.Request) (console.Person, error) { panic("who") }, 0},
	} {
		z := newHostile(t, c.who, nil)
		for p, b := range posts("nar%3Cb%3Erator") {
			func() {
				defer func() {
					if v := recover(); v != nil {
						t.Errorf("%s %s: panics %v", name, p, v)
					}
				}()
				w := z.do("POST", "/console/api/v1/"+p, b, nil)
				if c.code != 0 && w.Code != c.code || w.Code < 400 {
					t.Errorf("%s %s: %d %s", name, p, w.Code, w.Body)
				}
				if strings.Contains(w.Body.String(), "secret") {
					t.Error(w.Body)
				}
			}()
		}
		if z.br.State() != strategies.StateClosed {
			t.Error(name, z.br.State())
		}
	}
}

func TestHostileConsoleCSRF(t *testing.T) {
	z := newHostile(t, ada, func(s *console.Settings) { s.Hosts = []string{"example.com", "localhost:7070"} })
	id := z.id(t)
	path := "/console/api/v1/agents/" + id + "/isolate"
	for i, e := range []func(r *http.Request){
		func(r *http.Request) { r.Header.Del(console.Intent) },
		func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		func(r *http.Request) { r.Header.Del("Content-Type") },
		func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		func(r *http.Request) { r.Header.Set("Origin", "https://evil.com") },
		func(r *http.Request) { r.Header.Set("Origin", "null") },
		func(r *http.Request) { r.Header.Set("Origin", "http://example.com.evil.com") },
		func(r *http.Request) { r.Header.Set("Origin", "http://example.com:81") },
		func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Origin", "https://evil.com")
		},
		func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "none")
			r.Header.Set("Origin", "https://evil.com")
		},
		func(r *http.Request) { r.Host = "evil.com" },
		func(r *http.Request) {
			r.Host = "evil.com"
			r.Header.Set("Origin", "http://evil.com")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		},
		func(r *http.Request) { r.Method = "PUT" },
		func(r *http.Request) { r.Method = "GET" },
		func(r *http.Request) { r.Method = "DELETE" },
		func(r *http.Request) { r.Method = "HEAD" },
		func(r *http.Request) {
			r.Header.Add("Origin", "http://example.com")
			r.Header.Add("Origin", "http://evil.com")
		},
		func(r *http.Request) {
			r.Header.Add("Sec-Fetch-Site", "same-origin")
			r.Header.Add("Sec-Fetch-Site", "cross-site")
		},
	} {
		w := z.do("POST", path, `{"reason":"x"}`, e)
		if w.Code < 400 || z.br.State() != strategies.StateClosed {
			t.Errorf("case %d: %d %s %v", i, w.Code, w.Body, z.br.State())
			z.br.Reset()
		}
	}
	for _, h := range []string{"evil.com", "127.0.0.1", "example.com:80", ""} {
		if w := z.do("GET", "/console/api/v1/agents", "", func(r *http.Request) { r.Host = h }); w.Code != http.StatusMisdirectedRequest {
			t.Error(h, w.Code)
		}
	}
	w := z.do("POST", path, `{"reason":"x"}`, func(r *http.Request) {
		r.Header.Set("Origin", "http://example.com")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	})
	if w.Code != 200 || z.br.State() == strategies.StateClosed {
		t.Error(w.Code, w.Body)
	}
}

func TestHostileConsoleBodies(t *testing.T) {
	z := newHostile(t, ada, nil)
	id := z.id(t)
	path := "/console/api/v1/agents/" + id + "/pin"
	for i, b := range []string{
		``, `null`, `[]`, `"x"`, `{`, `{"level":"reduced"} trailing`, `{"level":"reduced"}{"level":"minimal"}`, `{"level":"nonsense"}`, `{"level":""}`, `{}`,
		`{"level":1}`, strings.Repeat("[", 1<<20), `{"level":"reduced","reason":"` + strings.Repeat("x", 8<<20) + `"}`,
		`{"levell":"reduced"}`, `{"level":"full"}`,
	} {
		w := z.do("POST", path, b, nil)
		if w.Code >= 500 {
			t.Error(i, w.Code)
		}
		if z.g.Owner().Health().Pinned {
			if i != 14 {
				t.Error("pinned by", i)
			}
			z.g.Owner().Ladder().Restore(strategies.LevelFull)
		}
	}
	for _, p := range []string{"agents/..%2f..", "agents/%00", "agents//isolate", "nope", "agents/" + id + "/nope", "questions/%ff/decide", "questions//decide", "calls/%ff", "agents/zzz/isolate"} {
		for _, m := range []string{"GET", "POST"} {
			w := z.do(m, "/console/api/v1/"+p, `{}`, nil)
			if w.Code >= 500 || w.Code < 400 {
				t.Error(m, p, w.Code, w.Body)
			}
			var e struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" {
				t.Errorf("%s %s: %d %q", m, p, w.Code, w.Body)
			}
		}
	}
	for _, q := range []string{"calls?limit=-1", "calls?limit=99999999999999999999", "calls?limit=x", "calls?before=zz", "questions?limit=-5", "questions?after=%ff", "questions?closed=7", "questions?limit=500000"} {
		w := z.do("GET", "/console/api/v1/"+q, "", nil)
		if w.Code >= 500 {
			t.Error(q)
		}
	}
}

func TestHostileConsoleXSS(t *testing.T) {
	z := newHostile(t, ada, nil)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, err := z.g.Run(ctx, "request "+evil); done <- err }()
	i := <-z.desk.Incidents()
	for _, p := range []string{"me", "agents", "agents/" + z.id(t), "calls", "changes", "questions", "questions/" + i.ID, "record"} {
		w := z.do("GET", "/console/api/v1/"+p, "", nil)
		if w.Code != 200 {
			t.Error(p, w.Code, w.Body)
		}
		h := w.Result().Header
		if !strings.HasPrefix(h.Get("Content-Type"), "application/json") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Error(p, h)
		}
		if !strings.Contains(h.Get("Cache-Control"), "no-store") {
			t.Error(p, "cache:", h.Get("Cache-Control"))
		}
		if bytes.Contains(w.Body.Bytes(), []byte("<script")) || bytes.Contains(w.Body.Bytes(), []byte("<b>")) {
			t.Error(p, w.Body)
		}
		if bytes.Contains(w.Body.Bytes(), []byte("sk-proj")) {
			t.Error(p, "secret", w.Body)
		}
	}
	// claims and decisions
	q := "/console/api/v1/questions/" + i.ID
	w := z.do("POST", q+"/decide", `{"action":"answer","answer":"fine","agent":"zz","reason":"`+"<script>"+`"}`, nil)
	if w.Code != 200 || strings.Contains(w.Body.String(), "<script") {
		t.Error(w.Code, w.Body)
	}
	w = z.do("POST", q+"/decide", `{"action":"abort"}`, nil)
	if w.Code != 409 {
		t.Error(w.Code, w.Body)
	}
	w = z.do("POST", q+"/claim", `{}`, nil)
	if w.Code != 409 {
		t.Error(w.Code, w.Body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A desk's questions are listed as an inbox's are: by agent, in pages, the last decided
// ones first, each with the time at which it was asked.
func TestHostileDeskLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := inbox.NewDesk()
		in := console.Desk(desk, nil)
		ctx := t.Context()
		var wg sync.WaitGroup
		defer wg.Wait()
		start := time.Now()
		for i := range 120 {
			g, err := middleware.WrapFunc(func(context.Context, string) (string, error) { return "", errors.New("down") }).
				Named(fmt.Sprint("agent ", i%2)).Intervene(middleware.Intervention{Ask: desk, Deadline: time.Hour}).Build()
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { _, _ = g.Run(ctx, "q") })
			<-desk.Incidents()
			time.Sleep(time.Second)
		}
		all := func(q inbox.Query) (list []inbox.Entry) {
			for range 20 {
				p, err := in.List(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, p.Entries...)
				if q.After = p.Next; p.Next == "" {
					return list
				}
			}
			t.Fatal("pages without an end")
			return nil
		}
		for _, q := range []inbox.Query{{Limit: 7}, {Newest: true, Limit: 7}, {Agent: "agent 1", Limit: 7}, {}} {
			want := 120
			if q.Agent != "" {
				want = 60
			}
			list := all(q)
			if len(list) != want {
				t.Errorf("%+v: %d", q, len(list))
			}
			for i, e := range list {
				if q.Agent != "" && e.Agent != q.Agent || i > 0 && (e.ID > list[i-1].ID) == q.Newest {
					t.Errorf("%+v: %+v", q, e)
				}
			}
		}
		open := all(inbox.Query{})
		if !open[0].Opened.Equal(start) || !open[5].Opened.Equal(start.Add(5*time.Second)) {
			t.Error(open[0].Opened, open[5].Opened)
		}
		for _, e := range open {
			if _, err := in.Resolve(ctx, e.ID, strategies.Decision{By: "ada"}); err != nil {
				t.Fatal(err)
			}
		}
		closed := all(inbox.Query{Closed: true, Newest: true, Limit: 50})
		if len(closed) != 120 || closed[0].ID != open[119].ID || closed[119].ID != open[0].ID {
			t.Error(len(closed))
		}
		if closed = all(inbox.Query{Closed: true, Agent: "agent 0", Limit: 7}); len(closed) != 60 || closed[0].ID != open[0].ID {
			t.Error(len(closed))
		}
	})
}

func TestHostileConsoleClaims(t *testing.T) {
	z := newHostile(t, func(r *http.Request) (console.Person, error) {
		return console.Person{Name: r.Header.Get("X-Who"), Look: true, Decide: true}, nil
	}, nil)
	as := func(n string) func(r *http.Request) { return func(r *http.Request) { r.Header.Set("X-Who", n) } }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan string, 1)
	go func() { v, err := z.g.Run(ctx, "q"); done <- fmt.Sprint(v, err) }()
	defer func() { expect(t, "what the caller gets", <-done, "it is closed<nil>") }()
	i := <-z.desk.Incidents()
	q := "/console/api/v1/questions/" + i.ID
	step := func(want int, who, what, body string) {
		t.Helper()
		w := z.do("POST", q+"/"+what, body, as(who))
		if w.Code != want {
			t.Errorf("%s %s %s: %d %s", who, what, body, w.Code, w.Body)
		}
	}
	step(200, "ada", "claim", `{}`)
	step(409, "bob", "claim", `{}`)
	step(409, "bob", "decide", `{"action":"abort"}`)
	step(409, "bob", "claim", `{"from":"carl"}`)
	step(409, "bob", "release", `{}`)
	step(200, "bob", "claim", `{"from":"ada"}`)
	step(409, "ada", "decide", `{"action":"abort"}`)
	step(422, "bob", "decide", `{"action":"use agent","agent":"nobody"}`)
	step(400, "bob", "decide", `{"action":"answer"}`)
	step(400, "bob", "decide", `{"action":"zzz"}`)
	step(400, "bob", "decide", `{}`)
	step(400, "bob", "decide", `{"action":""}`)
	step(403, "", "decide", `{"action":"abort"}`)
	step(200, "bob", "release", `{}`)
	step(200, "ada", "decide", `{"action":"answer","answer":"it is closed"}`)
	w := z.do("GET", "/console/api/v1/record", "", as("ada"))
	if strings.Contains(w.Body.String(), "it is closed") {
		t.Error("answer shown", w.Body)
	}
}
