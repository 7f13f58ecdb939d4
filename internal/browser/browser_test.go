package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

var shots = flag.String("shots", "", "keep the screenshots in this `folder`")

// patience is how long anything may take on a machine that does much besides.
const patience = 30 * time.Second

var chromium = sync.OnceValue(func() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// browser starts one, with nothing from before, for a test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Skip("SKIPPED: THERE IS NO CHROMIUM. The console is not tested in a browser; install the package chromium.")
	}
	// The folder is removed by us: the browser may still write to it when it has ended.
	dir, err := os.MkdirTemp("", "console-browser")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.UserDataDir(dir),
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); stop(); cancel(); _ = os.RemoveAll(dir) })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	return ctx
}

// page is a tab of somebody's.
type page struct {
	t   *testing.T
	ctx context.Context
	url string
}

// visit opens the console as somebody, in a tab of their own, and fails the test if
// the browser complains about anything.
func visit(t *testing.T, ctx context.Context, url, name string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &page{t, ctx, url}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	var mu sync.Mutex
	var said []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type != "log" && m.Type != "info" && m.Type != "debug" {
				mu.Lock()
				said = append(said, fmt.Sprintf("%s: %s", m.Type, m.Text))
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		mu.Lock()
		defer mu.Unlock()
		for _, text := range said {
			// That the API says no is logged by the browser, and is no error of the page's.
			if !strings.Contains(text, "the server responded with a status of 409") && !strings.Contains(text, "net::ERR_") {
				t.Errorf("the browser says to %s: %s", name, text)
			}
		}
	})
	p.size(1280, 900)
	p.do(chromedp.Navigate(strings.Replace(url, "127.0.0.1", name+".localhost", 1))) // who they are
	p.until(`document.querySelector("#line").textContent === "Live"`)
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// read is the value of an expression.
func read[T any](p *page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for a condition, which is looked at as often as the page changes.
func (p *page) until(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("Boolean("+condition+")", chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience))); err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.querySelector("main").innerText.slice(0, 2000)`))
		p.t.Fatalf("%s does not come: %v\n%s", condition, err, text)
	}
}

// shows waits for a text in what matches a selector.
func (p *page) shows(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.innerText.includes(%q))`, selector, text))
}

// press clicks what has an accessible role and these words.
func (p *page) press(selector, text string) {
	p.t.Helper()
	p.shows(selector, text)
	if !read[bool](p, fmt.Sprintf(`(() => { const e = [...document.querySelectorAll(%q)].find((e) => e.checkVisibility() && e.innerText.includes(%q) && !e.disabled); e?.click(); return Boolean(e); })()`, selector, text)) {
		p.t.Fatalf("%s %q cannot be pressed", selector, text)
	}
}

func (p *page) goTo(hash string) {
	p.t.Helper()
	read[string](p, fmt.Sprintf(`location.hash = %q`, hash))
}

func (p *page) size(width, height int64) { p.do(chromedp.EmulateViewport(width, height)) }

func (p *page) colours(scheme string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		p.t.Fatal(err)
	}
}

// shot takes a picture, and keeps it if that was asked for.
func (p *page) shot(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if len(png) < 10_000 {
		p.t.Errorf("%s: a picture of %d bytes shows nothing", name, len(png))
	}
	if *shots != "" {
		if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// house is a console with what is behind it.
type house struct {
	*console.Console
	desk   *inbox.Desk
	url    string
	owners []*middleware.Owner
	mu     sync.Mutex
}

func newDesk() *inbox.Desk { return inbox.NewDesk() }

func open(t *testing.T, change func(*console.Settings)) *house {
	t.Helper()
	h := &house{desk: newDesk()}
	s := console.Settings{
		Agents: func() []*middleware.Owner { h.mu.Lock(); defer h.mu.Unlock(); return h.owners },
		Inbox:  console.Desk(h.desk, func(i strategies.Incident) string { return fmt.Sprint(i.Request) }),
		Who: func(r *http.Request) (console.Person, error) {
			name, _, ok := strings.Cut(r.Host, ".localhost:")
			if !ok {
				return console.Person{}, errors.New("who?")
			}
			if name == "eve" {
				name += " <b onclick=window.pwned=1>evil"
			}
			return console.Person{Name: name, Look: true, Decide: name != "guest", Control: name != "guest"}, nil
		},
	}
	if change != nil {
		change(&s)
	}
	var err error
	if h.Console, err = console.New(s); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/ops", h))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections) // streams last
	h.url = server.URL + "/ops/"
	return h
}

func (h *house) add(t *testing.T, b *middleware.Builder[string, string]) *middleware.Guarded[string, string] {
	t.Helper()
	g, err := b.Observe(h).Build()
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owners = append(h.owners, g.Owner())
	return g
}

// actor fails as it is told.
type actor struct {
	mu  sync.Mutex
	err error
}

func (a *actor) play(err error) { a.mu.Lock(); defer a.mu.Unlock(); a.err = err }
func (a *actor) Run(context.Context, string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return "to be", a.err
}

var errIll = errors.New("503 Service Unavailable")

// polonius has a stand-in who can.
func polonius(h *house, t *testing.T) (*middleware.Guarded[string, string], *actor) {
	t.Helper()
	a := &actor{}
	return h.add(t, middleware.Wrap(a).Named("polonius").Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{40 * time.Millisecond, 80 * time.Millisecond}}).
		CircuitBreaker(&strategies.Breaker{Failures: 5, OpenFor: time.Minute}).Timeout(time.Second).
		Fallback("reynaldo", middleware.Func(func(context.Context, string) (string, error) { return "brevity", nil }))), a
}

// hamlet has all that a chain may have.
func hamlet(h *house, t *testing.T) (*middleware.Guarded[string, string], *actor) {
	t.Helper()
	a := &actor{}
	reduced := func(context.Context, string) (string, error) { return "", errors.New("the prompt book is lost") }
	return h.add(t, middleware.Wrap(a).Named("hamlet").Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{10 * time.Millisecond}}).
		CircuitBreaker(&strategies.Breaker{Failures: 3, OpenFor: time.Minute}).Timeout(time.Second).
		Fallback("horatio", middleware.Func(func(context.Context, string) (string, error) { return "", errIll })).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 4}).Pace(&strategies.Pace{RequestsPerMinute: 6000}).
		Ladder(&strategies.Ladder{}).Degrade(strategies.LevelReduced, middleware.Func(reduced)).
		Intervene(middleware.Intervention{Ask: h.desk, Deadline: time.Hour})), a
}

// question has an agent ask one, and returns its id and what the caller gets.
func (h *house) question(t *testing.T, g *middleware.Guarded[string, string], request string) (id string, answer <-chan string) {
	t.Helper()
	said := make(chan string, 1)
	go func() {
		resp, err := g.Run(context.WithoutCancel(t.Context()), request)
		if err != nil {
			resp = "error: " + err.Error()
		}
		said <- resp
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		for _, i := range h.desk.Open() {
			if i.Request == request {
				t.Cleanup(func() { _ = h.desk.Resolve(i.ID, strategies.Decision{}) })
				return i.ID, said
			}
		}
		if t.Context().Err() != nil {
			t.Fatal("no question comes")
		}
	}
	return "", nil
}
