package browser_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/strategies"
)

// The page shows a breaker open within a second of its opening.
func TestABreakerIsSeenOpenWithinASecond(t *testing.T) {
	h := open(t, nil)
	g, a := hamlet(h, t)
	p := visit(t, browser(t), h.url, "ada")
	p.shows(".card", "in form")
	breaker := g.Owner().Breaker()
	best := time.Hour
	for range 3 {
		read[bool](p, `(() => { window.seen = 0; const look = () => {
			if ([...document.querySelectorAll(".card.out")].some((e) => e.innerText.includes("breaker open"))) window.seen = performance.timeOrigin + performance.now();
			else requestAnimationFrame(look);
		}; look(); return true; })()`)
		opened := make(chan time.Time, 1)
		stop := breaker.Watch(func(c strategies.BreakerChange) {
			if c.To == strategies.StateOpen {
				opened <- time.Now()
			}
		})
		a.play(errIll)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = g.Run(ctx, "to be?") }()
		at := <-opened
		stop()
		p.until(`window.seen > 0`)
		took := time.Duration((read[float64](p, `window.seen`) - float64(at.UnixMicro())/1000) * float64(time.Millisecond))
		t.Logf("seen after %v", took)
		best = min(best, took)
		cancel()
		a.play(nil)
		breaker.Reset()
		g.Owner().Forgive()
		p.until(`!document.querySelector(".card.out")`)
	}
	if best > time.Second {
		t.Errorf("the breaker is seen open %v after it was, want at most 1s", best)
	}
}

// Two people at one question: a claim is seen by the other, whoever decides first does,
// and the other is told by whom.
func TestOneDecidesWhileAnotherTriesTheSame(t *testing.T) {
	h := open(t, nil)
	g, a := hamlet(h, t)
	a.play(errIll)
	id, said := h.question(t, g, "Is this a dagger?")
	ctx := browser(t)
	ada, bob := visit(t, ctx, h.url, "ada"), visit(t, ctx, h.url, "bob")
	for _, p := range []*page{ada, bob} {
		p.goTo("#/question/" + id)
		p.shows("pre", "Is this a dagger?")
		p.shows(".detail", "503 Service Unavailable")
	}
	ada.press("button", "I look after this")
	ada.shows(".acts", "You look after it.")
	bob.shows(".acts", "ada looks after it.")

	choose := func(p *page, action string) {
		p.press(".choice", action)
		p.until(`!document.querySelector(".decide button").disabled`)
	}
	choose(bob, "Give up")
	bob.press(".decide button", "Decide")
	bob.shows(".trouble", "is claimed by ada")
	read[bool](bob, `(() => { window.later = performance.now() + 1500; return true; })()`)
	bob.until(`performance.now() > window.later`)
	bob.shows(".trouble", "is claimed by ada") // it stays, to be read
	if !h.desk.Waiting(id) {
		t.Fatal("it was decided all the same")
	}
	bob.press("button", "Take over from ada")
	bob.shows(".acts", "You look after it.")
	ada.shows(".acts", "bob looks after it.")

	// Both at a time; the claim is given back first, so that it is a race.
	bob.press("button", "Give it back")
	ada.shows("button", "I look after this")
	for p, answer := range map[*page]string{ada: "a dagger of the mind", bob: "no dagger"} {
		choose(p, "Answer yourself")
		p.do(chromedp.SetValue(chromedp.CSS("#answer"), answer), chromedp.SetValue(chromedp.CSS("#reason"), "because "+answer))
	}
	both := make(chan error, 2)
	for _, p := range []*page{ada, bob} {
		go func() {
			both <- chromedp.Do(p.ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector(".decide button").click()`))
		}()
	}
	for range 2 {
		if err := <-both; err != nil {
			t.Fatal(err)
		}
	}
	got := <-said
	first, second := ada, bob
	winner := "ada"
	if got == "no dagger" {
		first, second, winner = bob, ada, "bob"
	}
	second.shows(".trouble", "by "+winner)
	for _, p := range []*page{first, second} {
		p.goTo("#/record")
		p.shows(".entries", winner+" decided")
		p.shows(".entries", "because "+got)
	}
	if !strings.Contains(got, "dagger") {
		t.Errorf("the caller gets %q", got)
	}
}

// With the keyboard alone: to the agent, isolate it with a reason, reset it.
func TestIsolateAndResetByKeyboard(t *testing.T) {
	h := open(t, nil)
	g, _ := hamlet(h, t)
	p := visit(t, browser(t), h.url, "ada")
	p.shows(".layer.breaker", "closed")

	tabTo := func(what string) {
		t.Helper()
		for range 60 {
			p.do(chromedp.KeyEvent(kb.Tab))
			if read[bool](p, fmt.Sprintf(`(document.activeElement.getAttribute("aria-label") ?? document.activeElement.innerText ?? "").includes(%q)`, what)) {
				if !read[bool](p, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2; })()`) {
					t.Errorf("%s has the focus, and nobody can see it", what)
				}
				return
			}
		}
		t.Fatalf("no key leads to %s", what)
	}
	tabTo("Skip to the content")
	tabTo("hamlet")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until(`location.hash.startsWith("#/agent/")`)
	tabTo("Isolate hamlet")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector("dialog").open`)
	p.until(`document.querySelector("dialog").contains(document.activeElement)`)
	p.do(chromedp.KeyEvent("it lies"), chromedp.KeyEvent(kb.Enter))
	p.shows(".layer.breaker.shut", "isolated by hand")
	if state := g.Owner().Breaker().State(); state != strategies.StateIsolated {
		t.Fatalf("the breaker is %v", state)
	}
	tabTo("Reset hamlet")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector("dialog").open`)
	p.do(chromedp.KeyEvent(kb.Escape)) // on second thoughts
	p.until(`!document.querySelector("dialog").open`)
	if state := g.Owner().Breaker().State(); state != strategies.StateIsolated {
		t.Fatalf("the breaker is %v, and nobody has said so", state)
	}
	tabTo("Reset hamlet")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector("dialog").open`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.shows(".layer.breaker", "closed")

	p.press(".acts button", "Pin a level")
	p.until(`document.querySelector("dialog").open`)
	p.do(chromedp.SetValue(chromedp.CSS("#level"), "minimal"))
	p.press("dialog button", "Pin a level")
	p.shows(".facts", "minimal, pinned")
	p.press(".acts button", "Restore")
	p.press("dialog button", "Restore")
	p.shows(".facts", "full")
	p.goTo("#/record")
	p.shows(".entries", "it lies")
	p.shows(".entries", "ada restored hamlet")
}

// Who may only look finds no button.
func TestAGuestFindsNothingToPress(t *testing.T) {
	h := open(t, nil)
	g, a := hamlet(h, t)
	a.play(errIll)
	id, _ := h.question(t, g, "Who's there?")
	p := visit(t, browser(t), h.url, "guest")
	p.shows(".chain", "hamlet")
	if n := read[int](p, `document.querySelectorAll(".acts button").length`); n != 0 {
		t.Errorf("%d buttons", n)
	}
	p.goTo("#/question/" + id)
	p.shows("pre", "Who's there?")
	if read[bool](p, `[...document.querySelectorAll(".acts button, .decide")].some((e) => e.checkVisibility())`) {
		t.Error("a guest can decide")
	}
}

// When the server goes and comes back, the page does too, without a reload.
func TestThePageComesBackByItself(t *testing.T) {
	h := open(t, nil)
	g, _ := hamlet(h, t)
	var server *httptest.Server
	first := httptest.NewServer(h)
	address := first.Listener.Addr().String()
	p := visit(t, browser(t), first.URL+"/", "ada")
	p.shows(".layer.breaker", "closed")
	first.CloseClientConnections()
	first.Close()
	p.shows("#line", "Reconnecting")
	g.Owner().Breaker().Isolate()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for server == nil {
		<-tick.C
		if listener, err := (&httpListen{}).listen(address); err == nil {
			server = httptest.NewUnstartedServer(h)
			server.Listener.Close()
			server.Listener = listener
			server.Start()
		}
	}
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	p.shows("#line", "Live")
	p.shows(".card", "isolated by hand")
}

// 200 agents, 1,000 questions and a stream of failures: the document stays small, and
// the page answers.
func TestAFullHouse(t *testing.T) {
	h := open(t, nil)
	for i := range 200 {
		name := fmt.Sprintf("agent %03d", i)
		g := h.add(t, middleware.WrapFunc(func(context.Context, string) (string, error) { return "", errIll }).Named(name).
			CircuitBreaker(&strategies.Breaker{Failures: 1000}).Intervene(middleware.Intervention{Ask: h.desk, Deadline: time.Hour}))
		for n := range 5 {
			go func() { _, _ = g.Run(t.Context(), fmt.Sprintf("question %d", n)) }()
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(h.desk.Open()) < 1000 {
		<-tick.C
	}
	p := visit(t, browser(t), h.url, "ada")
	p.shows("nav", "1000")
	p.shows(".card", "agent 059")
	for i, hash := range []string{"#/stage", "#/questions", "#/calls", "#/record"} {
		p.goTo(hash)
		p.until(fmt.Sprintf(`document.querySelector("nav a[aria-current]").hash === %q`, hash))
		p.until(`document.querySelectorAll("main li").length > 10 || location.hash === "#/record"`)
		if i == 1 {
			p.shows(".sum", "1 to 50 of 1000")
			p.press(".pager button", "Later")
			p.shows(".sum", "51 to 100 of 1000")
		}
		// While 100 events a tick rain down for a while, how long is the page busy at a time?
		read[bool](p, `(() => { window.busy = []; window.watching ??= new PerformanceObserver((l) => { for (const e of l.getEntries()) window.busy.push(e.duration); });
			window.watching.observe({ type: "longtask" }); return true; })()`)
		for n := range 50 {
			<-tick.C
			for k := range 100 {
				h.Observe(t.Context(), middleware.Event{Kind: middleware.EventAttemptFailed, Agent: fmt.Sprintf("agent %03d", k), Call: fmt.Sprintf("c%d", n*100+k), Time: time.Now(), Err: errIll})
			}
		}
		// A pause of our own must be seen, or the measure measures nothing.
		read[bool](p, `(() => { window.rest = performance.now() + 1500; setTimeout(() => { const end = performance.now() + 120; while (performance.now() < end); window.own = true; }, 0); return true; })()`)
		p.until(`performance.now() > window.rest && window.busy.some((b) => b > 100)`)
		nodes, busy := read[int](p, `document.querySelectorAll("*").length`), read[[]float64](p, `window.busy`)
		most := 0.0
		for _, b := range busy {
			most = max(most, b)
		}
		t.Logf("%s: %d elements, %d tasks over 50 ms, the longest %.0f ms; one of 120 ms is our own", hash, nodes, len(busy), most)
		if nodes > 3000 {
			t.Errorf("%s: %d elements, want at most 3000", hash, nodes)
		}
		if most > 1000 {
			t.Errorf("%s: the page was busy for %.0f ms", hash, most)
		}
	}
	p.goTo("#/stage")
	p.do(chromedp.SetValue(chromedp.CSS("#filter"), "agent 19"))
	read[bool](p, `document.querySelector("#filter").dispatchEvent(new Event("input"))`)
	p.until(`document.querySelectorAll(".cast .card").length === 10`)
}

// Markup in every text that may come from outside stays text.
func TestHostileTextStaysText(t *testing.T) {
	n := 0
	evil := func() string {
		n++
		return fmt.Sprintf(`<img src=x onerror="window.pwned=%d">"><svg/onload=window.pwned=%d>'+window.pwned+'</script><script>window.pwned=%d</script>{{7*7}}${7*7}javascript:window.pwned=1 evil%d`, n, n, n, n)
	}
	h := open(t, func(s *console.Settings) {
		s.Role = func(string) string { return "role " + evil() }
	})
	name := "agent " + evil()
	g := h.add(t, middleware.WrapFunc(func(context.Context, string) (string, error) { return "", errors.New("error " + evil()) }).Named(name).
		CircuitBreaker(&strategies.Breaker{Name: "breaker " + evil(), Failures: 1}).
		Fallback("stand-in "+evil(), middleware.Func(func(context.Context, string) (string, error) { return "", errors.New(evil()) })).
		Ladder(&strategies.Ladder{}).Degrade(strategies.LevelMinimal, middleware.Func(func(context.Context, string) (string, error) { return "", errors.New(evil()) })).
		Intervene(middleware.Intervention{Ask: h.desk, Deadline: time.Hour}))
	id, _ := h.question(t, g, "request "+evil())
	for _, kind := range []middleware.EventKind{middleware.EventAttemptFailed, middleware.EventStandInCalled, middleware.EventPersonAsked, middleware.EventPersonDecided, middleware.EventEffect,
		middleware.EventBreakerChanged, middleware.EventLevelChanged, middleware.EventRetriesEnded, middleware.EventHedged, middleware.EventRecovered, middleware.EventFailed} {
		h.Observe(t.Context(), middleware.Event{Kind: kind, Agent: name, Call: evil(), Parent: evil(), ServedBy: evil(), Stop: strategies.Stop(evil()), From: evil(), To: evil(),
			Incident: evil(), Decision: evil(), By: evil(), Detail: evil(), Err: errors.New(evil()), Time: time.Now()})
	}
	p := visit(t, browser(t), h.url, "eve")
	look := func(where string) {
		t.Helper()
		p.until(`document.readyState === "complete"`)
		read[bool](p, `(() => { for (const d of document.querySelectorAll("details")) d.open = true; return true; })()`)
		p.until(`document.body.innerText.includes("evil")`)
		if v := read[bool](p, `"pwned" in window`); v {
			t.Errorf("%s: a script of the attacker's ran", where)
		}
		if odd := read[[]string](p, `[...document.querySelectorAll("img:not(h1 img), script:not([src='console.js']), iframe, object, embed, style, b[onclick], [onerror], [onload], a[href^='javascript']")].map((e) => e.outerHTML)`); len(odd) > 0 {
			t.Errorf("%s: text became %q", where, odd)
		}
	}
	look("stage")
	p.press(".acts button", "Isolate")
	p.until(`document.querySelector("dialog").open`)
	p.do(chromedp.SetValue(chromedp.CSS("#why"), "reason "+evil()))
	look("dialog")
	p.press("dialog button", "Isolate")
	p.shows(".layer.shut", "isolated")
	p.goTo("#/question/" + url.PathEscape(id))
	p.shows("pre", "request")
	p.press(".choice", "Answer yourself")
	p.do(chromedp.SetValue(chromedp.CSS("#answer"), "answer "+evil()), chromedp.SetValue(chromedp.CSS("#reason"), evil()))
	look("question")
	p.press(".decide button", "Decide")
	p.shows(".verdict", "decided")
	look("decided")
	for _, hash := range []string{"#/calls", "#/record", "#/agent/" + strings.ReplaceAll(evil(), "/", ""), "#/question/<img src=x onerror=window.pwned=1> evil", "#/<script>"} {
		p.goTo(hash)
		p.until(`document.querySelector("main").innerText.length > 10`)
		look(hash)
	}
}

var _ http.Handler = (*console.Console)(nil)
