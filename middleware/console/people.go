package console

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Person is who a request comes from, and what they may do. The zero Person may do
// nothing.
type Person struct {
	// Name goes into the record, and to the incident as who decided. Without one
	// nothing can be changed.
	Name string
	// Look lets them see the agents, the calls, the questions and the record.
	Look bool
	// Decide lets them claim and decide questions.
	Decide bool
	// Control lets them isolate and reset breakers, and pin levels.
	Control bool
}

// who asks Settings.Who.
func (c *Console) who(r *http.Request) (p Person, err error) {
	if c.set.Who == nil {
		return Person{Look: true}, nil
	}
	if problem := safely(func() { p, err = c.set.Who(r) }); problem != nil {
		return Person{}, problem
	}
	if err != nil {
		return Person{}, err
	}
	p.Name = clip(p.Name, nameWidth)
	if strings.TrimSpace(p.Name) == "" {
		p.Decide, p.Control = false, false
	}
	return p, nil
}

// Intent is the header that every request which changes something must carry, with
// any value: no page of another site can make a browser send it.
const Intent = "Understudy-Console"

// forged says why a request that changes something may not come from our own page,
// nor from a program; "": it does. A browser tells where a request comes from, and
// lets no other site send a type or a header of its own choice.
func forged(r *http.Request) string {
	if len(r.Header["Origin"]) > 1 || len(r.Header["Sec-Fetch-Site"]) > 1 { // no browser says it twice
		return "comes from two origins"
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
	default:
		return "comes from another site"
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return "comes from another origin"
		}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "is not of Content-Type application/json"
	}
	if r.Header.Get(Intent) == "" {
		return "lacks the header " + Intent
	}
	return ""
}

// stranger says whether the console is called by a name that is not its own.
func (c *Console) stranger(r *http.Request) bool {
	return len(c.set.Hosts) > 0 && !slices.ContainsFunc(c.set.Hosts, func(h string) bool { return strings.EqualFold(h, r.Host) })
}

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
