package browser_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/farstore"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/strategies"
)

// lost is a fleet about which everything there is has to be said.
type lost struct{}

func (lost) Health() strategies.FleetHealth {
	return strategies.FleetHealth{
		Replica: "elsinore-" + strings.Repeat("0123456789", 4), Replicas: 2, Away: true, Since: time.Now().Add(-time.Hour).Truncate(time.Hour), Unpublished: 2, Skipped: 1,
		Err: errors.New(`dial tcp: <img src=x onerror="window.pwned=1"> ` + strings.Repeat("refused", 30)),
	}
}
func (lost) Watch(func(strategies.FleetChange)) (stop func()) { return func() {} }

// A real fleet of two, whose store goes away and comes back: the page says since when
// and why, in words, on a phone too.
func TestTheFleetIsSeen(t *testing.T) {
	var c farstore.Cloud
	share := func(seed uint64, name string) (*strategies.Fleet, *strategies.Breaker, *farstore.Wire) {
		w := c.Wire(t.Context(), seed, 0, 0)
		f, b := &strategies.Fleet{Store: w, Name: "elsinore", Replica: name}, &strategies.Breaker{Name: "openai"}
		if err := f.Share(b); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f, b, w
	}
	f, breaker, wire := share(1, "<i>east</i>")
	share(2, "west")
	h := open(t, func(s *console.Settings) { s.Fleet = f })
	hamlet(h, t)
	ctx := browser(t)
	p := visit(t, ctx, h.url, "ada")
	p.shows(".fleet", "2 replicas live")
	p.shows(".fleet", "<i>east</i>")
	wire.Cut(true)
	p.shows(".fleet", "The store is away, for ")
	p.shows(".fleet", farstore.ErrCut.Error())
	p.shows(".fleet", "2 replicas live, as far as is known")
	p.until(`document.querySelector("#said").textContent.includes("The store of the fleet is away")`) // to those who do not see
	breaker.Isolate()
	p.shows(".fleet", "1 breaker or ladder has news that the others do not know yet")
	p.size(390, 844)
	p.shows(".fleet", "The store is away")
	if wide := read[int](p, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("%d wide", wide)
	}
	p.shot("fleet-phone")
	wire.Cut(false)
	p.until(`!document.querySelector(".fleet").innerText.includes("away") && !document.querySelector(".fleet").innerText.includes("news")`)
	p.shows(".fleet", "2 replicas live")
	if n := read[int](p, `document.querySelectorAll(".fleet i").length`); n != 0 {
		t.Error("a name became markup")
	}
	worst := visit(t, ctx, open(t, func(s *console.Settings) { s.Fleet = lost{} }).url, "ada")
	worst.shows(".fleet", "1 record could not be read")
	for _, scheme := range []string{"light", "dark"} {
		worst.colours(scheme)
		for _, width := range []int64{320, 1280} {
			worst.size(width, 844)
			if wide := read[int](worst, `document.documentElement.scrollWidth`); int64(wide) > width {
				t.Errorf("at %d: %d wide", width, wide)
			}
			got := read[[]string](worst, contrast)
			var least float64
			if _, err := fmt.Sscan(got[0], &least); err != nil || least < 4.5 {
				t.Errorf("at %d, %s: a contrast of %s, want 4.5: %s", width, scheme, got[0], got[1])
			}
		}
	}
	if read[bool](worst, `"pwned" in window || document.querySelector(".fleet img") !== null`) {
		t.Error("an error became markup")
	}
	without := visit(t, ctx, open(t, nil).url, "ada")
	without.shows(".list", "No agent is on stage yet")
	if read[bool](without, `document.querySelector(".fleet").checkVisibility()`) {
		t.Error("a fleet is seen that nobody gave")
	}
}
