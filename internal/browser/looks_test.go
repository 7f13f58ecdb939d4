package browser_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/strategies"
)

type httpListen struct{}

func (*httpListen) listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// evening is a house in which something of everything has happened.
func evening(t *testing.T) (*page, string) {
	t.Helper()
	h := open(t, func(s *console.Settings) {
		s.Role = func(agent string) string {
			return map[string]string{"hamlet": "PRINCE", "polonius": "COUNSELLOR", "ophelia": "DAUGHTER", "gertrude": "QUEEN", "claudius": "KING"}[agent]
		}
	})
	g, a := hamlet(h, t)
	other, b := polonius(h, t)
	for _, name := range []string{"ophelia", "gertrude", "claudius"} {
		h.add(t, middleware.Wrap(&actor{}).Named(name).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).Timeout(time.Second))
	}
	b.play(errIll)
	_, _ = other.Run(t.Context(), "More matter, with less art.")
	a.play(errIll)
	id, _ := h.question(t, g, "The air bites shrewdly; it is very cold. Who is there?")
	b.play(nil)
	p := visit(t, browser(t), h.url, "ada")
	p.shows(".chain", "hamlet")
	p.press(".card a", "ophelia")
	p.shows(".detail h2", "ophelia")
	p.press(".acts button", "Reset")
	p.press("dialog button", "Reset")
	return p, id
}

func views(id string) map[string]string {
	return map[string]string{"stage": "#/stage", "agent": "#/agent/a1", "questions": "#/questions", "question": "#/question/" + id, "calls": "#/calls", "record": "#/record"}
}

func (p *page) view(hash string) {
	p.t.Helper()
	p.goTo(hash)
	p.until(fmt.Sprintf(`document.querySelector("main").dataset.shown === %q`, hash))
	switch {
	case strings.HasPrefix(hash, "#/question/"):
		p.shows(".choice", "Ask again")
	case strings.HasPrefix(hash, "#/agent/"):
		p.shows(".chain", "hamlet")
	case hash == "#/calls":
		p.shows(".calls", "reynaldo")
	case hash == "#/record":
		p.shows(".entries", "ophelia")
	}
	p.until(`[...document.querySelectorAll("main h2")].some((e) => e.checkVisibility())`)
}

// Whoever does not see the page is told what everything is.
func TestEverythingHasAnAccessibleName(t *testing.T) {
	p, id := evening(t)
	named := map[string]bool{"button": true, "link": true, "textbox": true, "searchbox": true, "combobox": true, "radio": true, "meter": true, "heading": true,
		"dialog": true, "navigation": true, "region": true, "DisclosureTriangle": true, "img": true, "image": true}
	seen := map[string]int{}
	check := func(where string) {
		t.Helper()
		tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range tree.Nodes {
			if n.Ignored || n.Role == nil {
				continue
			}
			role := string(n.Role.Value)
			if len(role) > 2 {
				role = role[1 : len(role)-1]
			}
			if !named[role] {
				continue
			}
			seen[role]++
			if n.Name == nil || len(n.Name.Value) <= 2 {
				t.Errorf("%s: a %s has no name (%+v)", where, role, n.BackendDOMNodeID)
			}
		}
	}
	for name, hash := range views(id) {
		p.view(hash)
		check(name)
	}
	p.goTo("#/agent/a1")
	p.press(".acts button", "Pin a level")
	p.until(`document.querySelector("dialog").open`)
	check("dialog")
	for _, role := range []string{"button", "link", "radio", "heading", "navigation", "dialog", "combobox", "textbox", "searchbox"} {
		if seen[role] == 0 {
			t.Errorf("no %s was looked at", role)
		}
	}
	if lang := read[string](p, `document.documentElement.lang`); lang != "en" {
		t.Errorf("the page is in %q", lang)
	}
	if n := read[int](p, `document.querySelectorAll("h1").length * 100 + document.querySelectorAll("main").length * 10 + document.querySelectorAll("header").length`); n != 111 {
		t.Errorf("one h1, one main and one header are wanted: %d", n)
	}
	t.Logf("looked at %v", seen)
}

// contrast is the least of all texts that are seen, as WCAG computes it, and whose.
const contrast = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return c.startsWith("color(srgb") ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
	const over = (top, under) => { const a = top[3]; return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)).concat(1); };
	const lum = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (el) => { const all = []; for (let e = el; e; e = e.parentElement) all.push(parse(getComputedStyle(e).backgroundColor)); return all.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]); };
	let least = 99, whose = "";
	for (const el of document.querySelectorAll("main *")) {
		if (![...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !el.checkVisibility() || el.closest(":disabled, .unseen, option")) continue;
		const s = getComputedStyle(el), bg = behind(el);
		let opacity = 1;
		for (let e = el; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
		const fg = parse(s.color); fg[3] *= opacity;
		const a = lum(over(fg, bg)), b = lum(bg), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const large = parseFloat(s.fontSize) >= 24 || parseFloat(s.fontSize) >= 18.66 && Number(s.fontWeight) >= 700;
		const score = large ? ratio * 1.5 : ratio;
		if (score < least) { least = score; whose = el.className + " " + el.innerText.slice(0, 60); }
	}
	return [String(least.toFixed(2)), whose];
})()`

// In light and in dark, from a phone to a wide screen: all text can be read, and nothing
// has to be scrolled sideways.
func TestItCanBeReadEverywhere(t *testing.T) {
	p, id := evening(t)
	for _, scheme := range []string{"light", "dark"} {
		p.colours(scheme)
		for _, width := range []int64{320, 390, 768, 1280, 1920} {
			p.size(width, 844)
			for name, hash := range views(id) {
				p.view(hash)
				if wide := read[int](p, `document.documentElement.scrollWidth`); int64(wide) > width {
					t.Errorf("%s at %d: %d wide", name, width, wide)
				}
				if width != 390 && width != 1280 {
					continue
				}
				got := read[[]string](p, contrast)
				var least float64
				if _, err := fmt.Sscan(got[0], &least); err != nil || least < 4.5 {
					t.Errorf("%s at %d, %s: a contrast of %s, want 4.5: %s", name, width, scheme, got[0], got[1])
				}
			}
		}
	}
	p.colours("dark")
	p.size(1280, 1010)
	p.view("#/agent/a1")
	p.shot("console")
	p.colours("light")
	p.size(1280, 1010)
	p.view("#/question/" + id)
	p.shot("console-light")
	p.size(390, 844)
	p.view("#/calls")
	p.shot("console-phone")
}
