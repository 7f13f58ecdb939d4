package strategies_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func TestUsage(t *testing.T) {
	a := strategies.Usage{Calls: 1, TokensIn: 10, TokensOut: 5, TokensCached: 3, Money: 1_500_000}
	sum := a.Add(strategies.Usage{Calls: 2, TokensIn: 1, Money: 1})
	if want := (strategies.Usage{Calls: 3, TokensIn: 11, TokensOut: 5, TokensCached: 3, Money: 1_500_001}); sum != want {
		t.Errorf("the sum is %+v", sum)
	}
	for usage, want := range map[strategies.Usage]string{
		{}:                                 "0 calls",
		{Calls: 1}:                         "1 call",
		sum:                                "3 calls, 11 tokens in, 5 out, 1.500001 in money",
		{Calls: 2, Money: 2_000_000}:       "2 calls, 2 in money",
		{TokensOut: 4, Money: -1_250_000}:  "0 calls, 0 tokens in, 4 out, -1.25 in money",
		{TokensIn: math.MaxInt, Money: 10}: fmt.Sprintf("0 calls, %d tokens in, 0 out, 0.00001 in money", math.MaxInt),
	} {
		if got := usage.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	most := strategies.Usage{Calls: math.MaxInt, TokensIn: math.MaxInt, TokensOut: math.MaxInt, TokensCached: math.MaxInt, Money: math.MaxInt64}
	if got := most.Add(most); got != most || most.Tokens() != math.MaxInt {
		t.Errorf("an overflow: %+v, %d tokens", got, most.Tokens())
	}
	least := strategies.Usage{Money: -math.MaxInt64}
	if got := least.Add(least); got != least {
		t.Errorf("an overflow: %+v", got)
	}
}

func TestUsageLimits(t *testing.T) {
	all := strategies.UsageLimits{Calls: 20, TokensIn: 1, TokensOut: 2, Tokens: 3, Money: 500_000, Time: time.Minute}
	for _, tc := range []struct {
		name   string
		limits strategies.UsageLimits
		want   string
		text   string
	}{
		{"all of them", all, "", "20 calls, 1 tokens in, 2 tokens out, 3 tokens, 0.5 in money, 1m0s"},
		{"none", strategies.UsageLimits{}, "limits nothing", "no limits"},
		{"a negative number", strategies.UsageLimits{Calls: 1, Tokens: -1}, "UsageLimits.Tokens is negative (-1)", "1 call, -1 tokens"},
		{"a time without a unit", strategies.UsageLimits{Time: 30}, "UsageLimits.Time", "30ns"},
	} {
		err := tc.limits.Validate()
		if got := fmt.Sprint(err); tc.want == "" && err != nil || !strings.Contains(got, tc.want) || err != nil && !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := tc.limits.String(); got != tc.text {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

func TestOver(t *testing.T) {
	for _, tc := range []struct {
		limits strategies.UsageLimits
		spent  strategies.Usage
		took   time.Duration
		want   string // the text of the error
	}{
		{strategies.UsageLimits{Calls: 3}, strategies.Usage{Calls: 2, TokensIn: 1e9}, time.Hour, ""},
		{strategies.UsageLimits{Calls: 3}, strategies.Usage{Calls: 3}, 0, "understudy: the usage limit of this tree of agents is reached: 3 of 3 calls"},
		{strategies.UsageLimits{TokensIn: 100}, strategies.Usage{TokensIn: 99, TokensOut: 99}, 0, ""},
		{strategies.UsageLimits{TokensIn: 100}, strategies.Usage{TokensIn: 120}, 0, "120 of 100 tokens in"},
		{strategies.UsageLimits{TokensOut: 100}, strategies.Usage{TokensOut: 100}, 0, "100 of 100 tokens out"},
		{strategies.UsageLimits{Tokens: 100}, strategies.Usage{TokensIn: 60, TokensOut: 40}, 0, "100 of 100 tokens"},
		{strategies.UsageLimits{Money: 500_000}, strategies.Usage{Money: 499_999}, 0, ""},
		{strategies.UsageLimits{Money: 500_000}, strategies.Usage{Money: 620_000}, 0, "0.62 of 0.5 money"},
		{strategies.UsageLimits{Time: time.Minute}, strategies.Usage{}, 61 * time.Second, "1m1s of 1m0s time"},
	} {
		over := tc.limits.Over(tc.spent, tc.took)
		if (over != nil) != (tc.want != "") || over != nil && !strings.Contains(over.Error(), tc.want) {
			t.Errorf("%s of %s: %v", tc.spent, tc.limits, over)
		}
	}
	over := &strategies.LimitError{Limit: "calls", Max: 3, Spent: 3, By: "bard"}
	if got, want := over.Error(), `understudy: the usage limit of agent "bard" is reached: 3 of 3 calls`; got != want {
		t.Errorf("got %q", got)
	}
	if err := fmt.Errorf("outside: %w", over); !errors.Is(err, strategies.ErrLimit) || !errors.Is(err, strategies.ErrRejected) || errors.Is(err, strategies.ErrRecovery) {
		t.Error("it matches what it should not, or does not match what it should")
	}
	if got := strategies.Classify(over).Class; got != strategies.ClassOverLimit {
		t.Errorf("its class is %s", got)
	}
}

const someprices = "\ufeff# model  in out cached\n\nlarge-1 3 15 0.30\r\nsmall-1\t0.25 1.25 - # cheap\nodd 0.000001 0 0\nlarge-1-2025-01-01 1 1 1\n"

func TestPrices(t *testing.T) {
	p, err := strategies.ReadPrices(strings.NewReader(someprices))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Models()); got != "[large-1 large-1-2025-01-01 odd small-1]" {
		t.Errorf("models: %s", got)
	}
	million := strategies.Usage{TokensIn: 1e6, TokensOut: 1e6, TokensCached: 4e5}
	for _, tc := range []struct {
		model string
		usage strategies.Usage
		money int64
		known bool
	}{
		{"large-1", million, 600_000*3 + 15_000_000 + 400_000*3/10, true},
		{"small-1", million, 1_500_000, true},
		{"large-1-2026-04-14", strategies.Usage{TokensOut: 1}, 15, true},
		{"large-1@20260414", strategies.Usage{TokensOut: 1}, 15, true},
		{"large-1-20260414", strategies.Usage{TokensOut: 1}, 15, true},
		{"large-1-2025-01-01", million, 2_000_000, true}, // it has a price of its own
		{"large-1-mini", million, 0, false},
		{"large-1-2026-04-1x", million, 0, false},
		{"-20260414", million, 0, false},
		{"", million, 0, false},
		{"odd", strategies.Usage{TokensIn: 1}, 1, true}, // rounded up
		{"odd", strategies.Usage{}, 0, true},
		{"large-1", strategies.Usage{TokensIn: 10, TokensCached: 99}, 3, true}, // no more is cached than was read
		{"large-1", strategies.Usage{TokensIn: -10, TokensOut: -1, TokensCached: -5}, 0, true},
		{"large-1", strategies.Usage{TokensIn: math.MaxInt, TokensOut: math.MaxInt}, math.MaxInt64, true},
	} {
		if money, known := p.Of(tc.model, tc.usage); money != tc.money || known != tc.known {
			t.Errorf("%s, %s: %d, %v; want %d, %v", tc.model, tc.usage, money, known, tc.money, tc.known)
		}
	}
	if rest, err := strategies.ReadPrices(strings.NewReader("* 1 2 3")); err != nil {
		t.Error(err)
	} else if money, known := rest.Of("whoever", million); !known || money != 600_000+2_000_000+400_000*3 {
		t.Errorf("any other: %d, %v", money, known)
	}
	var none *strategies.Prices
	if money, known := none.Of("large-1", million); money != 0 || known || none.Models() != nil {
		t.Error("no prices know one")
	}
}

func TestWrongPrices(t *testing.T) {
	for text, want := range map[string]string{
		"a 1 2 3\nb 1 2":                         "line 2, has 3 fields: write a model and three prices: in, out, cached",
		"a 1 2 3 4":                              "line 1, has 5 fields",
		"my model 1 2 3":                         "line 1, has 5 fields",
		"a 1 2 3\n\na 1 2 3":                     `line 3, names "a", as line 1 does`,
		"a -1 2 3":                               `line 1, has "-1" for a price: write a number such as 2.50, with 6 decimals at most`,
		"a 1 - 3":                                `has "-" for a price`,
		"a 1,5 2 3":                              `has "1,5" for a price`,
		"a 1e3 2 3":                              `has "1e3" for a price`,
		"a .5 2 3":                               `has ".5" for a price`,
		"a 5. 2 3":                               `has "5." for a price`,
		"a 1.2.3 2 3":                            `has "1.2.3" for a price`,
		"a 0.0000001 2 3":                        `has "0.0000001" for a price`,
		"a 1234567890 2 3":                       `has "1234567890" for a price`,
		"a $1 2 3":                               `has "$1" for a price`,
		"a 1 2 ١":                                `has "١" for a price`,
		"a 1 2 3\n" + strings.Repeat("x", 1<<17): "line 2: bufio.Scanner: token too long",
	} {
		p, err := strategies.ReadPrices(strings.NewReader(text))
		if p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	_, err := strategies.ReadPrices(strings.NewReader("a x y z\nb 1"))
	if got := strings.Count(fmt.Sprint(err), "line "); got != 4 || !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("all that is wrong: %v", err)
	}
	if _, err := strategies.ReadPrices(iotest.ErrReader(errors.New("no disk"))); err == nil || !strings.Contains(err.Error(), "line 1: no disk") {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

func FuzzReadPrices(f *testing.F) {
	f.Add(someprices, "large-1", 100, 3)
	f.Add("* 1 2 -", "", -1, 1<<60)
	f.Fuzz(func(t *testing.T, text, model string, in, cached int) {
		p, err := strategies.ReadPrices(strings.NewReader(text))
		if (p == nil) != (err != nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if money, known := p.Of(model, strategies.Usage{TokensIn: in, TokensOut: in, TokensCached: cached}); money < 0 || !known && money != 0 {
			t.Errorf("%d, %v", money, known)
		}
	})
}
