package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
)

// A provider is where the models are. Without a model it is the loopback interface.
type provider struct{ url, key, model, note string }

// providerOf reads the environment: either all three are set or none is. A key alone is none,
// for many people have one set for other programs; the play says that it is not used.
func providerOf(getenv func(string) string) (provider, error) {
	p := provider{url: getenv("OPENAI_BASE_URL"), key: getenv("OPENAI_API_KEY"), model: getenv("TAVERN_MODEL")}
	var set, missing []string
	for _, v := range []struct{ name, value string }{
		{"OPENAI_BASE_URL", p.url}, {"OPENAI_API_KEY", p.key}, {"TAVERN_MODEL", p.model},
	} {
		if v.value == "" {
			missing = append(missing, v.name)
		} else {
			set = append(set, v.name)
		}
	}
	switch {
	case len(set) == 0:
		return provider{}, nil
	case p.url == "" && p.model == "":
		return provider{note: " OPENAI_API_KEY is set, and not used: a real provider needs OPENAI_BASE_URL and TAVERN_MODEL too."}, nil
	case len(missing) > 0:
		return provider{}, fmt.Errorf("to play with a real provider set all three of the environment: there is %s, but no %s",
			strings.Join(set, " and "), strings.Join(missing, " and "))
	}
	if u, err := url.Parse(p.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return provider{}, fmt.Errorf("OPENAI_BASE_URL is %q; use an address such as https://host/v1", p.url)
	}
	return p, nil
}

func (p provider) loopback() bool { return p.model == "" }

// modelOf gives each agent a model of its own on the loopback interface, so that each can have
// failures of its own.
func (p provider) modelOf(agent string) string {
	if p.loopback() {
		return agent
	}
	return p.model
}

func (p provider) describe(seed uint64, pace float64) string {
	if !p.loopback() {
		return fmt.Sprintf("The provider: %s, model %s, pace %v. Its failures, if any, are its own.", printable(p.url), printable(p.model), pace)
	}
	return fmt.Sprintf("The provider: a server on the loopback interface, which fails by plan (seed %d). "+
		"Every delay is %v of what it would be in real life (-pace).%s", seed, pace, p.note)
}

// isScreen says whether somebody watches a file.
func isScreen(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
