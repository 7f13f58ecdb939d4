package strategies

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Prices is what models cost. Read it from a file of your own with [ReadPrices]:
// there are no prices in the code, for they change. It is not written to, and safe
// for concurrent use. nil knows no price.
type Prices struct{ models map[string]price }

// price is in millionths of a currency unit for a million tokens.
type price struct {
	in, out, cached int64
	line            int
}

// ReadPrices reads one model a line: its name and what a million tokens cost that
// are read, written, and read from a cache, in units of one currency. "-" in the
// place of the last says that it is the same as what is read. The model "*" is any
// that is not named. What follows a # is a comment.
//
//	# model     in    out   cached
//	gpt-4.1     2     8     0.50
//	sonnet-4    3     15    0.30
//	*           15    75    -
//
// It is strict, so that no price is misread: the error joins a [ConfigError] for
// each line that is wrong, with its number.
func ReadPrices(from io.Reader) (*Prices, error) {
	p := &Prices{models: map[string]price{}}
	var errs []error
	wrong := func(line int, problem, fix string) {
		errs = append(errs, &ConfigError{Setting: fmt.Sprintf("ReadPrices, line %d,", line), Problem: problem, Fix: fix})
	}
	lines := bufio.NewScanner(from)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\ufeff"), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 4 {
			wrong(n, fmt.Sprintf("has %s", plural(len(fields), "field")), "write a model and three prices: in, out, cached")
			continue
		}
		if before, twice := p.models[fields[0]]; twice {
			wrong(n, fmt.Sprintf("names %q, as line %d does", fields[0], before.line), "drop one of them")
			continue
		}
		one := price{line: n}
		for i, to := range [...]*int64{&one.in, &one.out, &one.cached} {
			if i == 2 && fields[3] == "-" {
				one.cached = one.in
				continue
			}
			var ok bool
			if *to, ok = millionths(fields[i+1]); !ok {
				wrong(n, fmt.Sprintf("has %q for a price", fields[i+1]), "write a number such as 2.50, with 6 decimals at most")
			}
		}
		p.models[fields[0]] = one
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("understudy: ReadPrices, line %d: %w", n+1, err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// millionths reads a decimal number without a sign: at most 9 digits, and 6 after
// the point.
func millionths(text string) (int64, bool) {
	whole, rest, point := strings.Cut(text, ".")
	if len(whole) < 1 || len(whole) > 9 || len(rest) > 6 || point && rest == "" {
		return 0, false
	}
	all := whole + rest + strings.Repeat("0", 6-len(rest))
	if !digits(all) {
		return 0, false
	}
	n, err := strconv.ParseInt(all, 10, 64)
	return n, err == nil
}

// Models returns the names that have a price, sorted.
func (p *Prices) Models() []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.models))
}

// Of returns what a usage of a model costs, in millionths of a currency unit and
// rounded up. A name that ends in a date (model-2025-04-14, model@20250414) is its
// model's, unless it has a price of its own. known is false, and money 0, for a
// model that has no price, where there is none for "*".
func (p *Prices) Of(model string, u Usage) (money int64, known bool) {
	if p == nil {
		return 0, false
	}
	one, ok := p.models[model]
	if !ok {
		one, ok = p.models[undated(model)]
	}
	if !ok {
		if one, ok = p.models["*"]; !ok {
			return 0, false
		}
	}
	cached := min(max(u.TokensCached, 0), max(u.TokensIn, 0))
	var high, low uint64
	for _, each := range [...]struct {
		tokens int
		price  int64
	}{{max(u.TokensIn, 0) - cached, one.in}, {max(u.TokensOut, 0), one.out}, {cached, one.cached}} {
		h, l := bits.Mul64(uint64(each.tokens), uint64(each.price)) // neither is negative
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		high, _ = bits.Add64(high, h, carry)
	}
	const million = 1e6
	if high >= million {
		return math.MaxInt64, true
	}
	sum, rest := bits.Div64(high, low, million)
	if rest > 0 {
		sum++
	}
	return int64(min(sum, math.MaxInt64)), true
}

// undated is the name of a model without the date at its end.
func undated(model string) string {
	at := len(model) - len("2006-01-02")
	if at > 1 && (model[at-1] == '-' || model[at-1] == '@') && model[at+4] == '-' && model[at+7] == '-' && digits(model[at:at+4]+model[at+5:at+7]+model[at+8:]) {
		return model[:at-1]
	}
	at = len(model) - len("20060102")
	if at > 1 && (model[at-1] == '-' || model[at-1] == '@') && digits(model[at:]) {
		return model[:at-1]
	}
	return model
}
