package lab

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Scenario is a day to be lived through; see the package's documentation.
type Scenario struct {
	Name     string   `json:"name"`
	About    string   `json:"about"`
	Seed     uint64   `json:"seed"`
	Length   Duration `json:"length"`
	Rate     float64  `json:"rate"`
	Surges   []Surge  `json:"surges"`
	Patience Duration `json:"patience"`
	Timeout  Duration `json:"timeout"`
	Poison   float64  `json:"poison"`
	Refusal  int      `json:"poison_status"`
	Primary  Agent    `json:"primary"`
	StandIn  *Agent   `json:"stand_in"`
	Faults   []Fault  `json:"faults"`
	Tokens   *Tokens  `json:"tokens"`
	Tricky   *Tricky  `json:"tricky"`
	Nested   *Nested  `json:"nested"`
	Means    Means    `json:"means"`
}

// Surge is a time of more requests.
type Surge struct {
	From  Duration `json:"from"`
	For   Duration `json:"for"`
	Times float64  `json:"times"`
}

// Agent is how an agent answers when nothing is wrong.
type Agent struct {
	Median   Duration `json:"median"`
	Sigma    float64  `json:"sigma"`
	Servers  int      `json:"servers"`
	Queue    int      `json:"queue"`
	Slowdown float64  `json:"slowdown"`
	Cold     *Cold    `json:"cold"`
	Tail     *Tail    `json:"tail"`
	Thrash   *Thrash  `json:"thrash"`
	Plan     *Plan    `json:"plan"`
}

// Cold is an agent that falls over if many come at once after an outage: its
// caches fill with each answer.
type Cold struct {
	Calls int `json:"calls"`
	Warm  int `json:"warm"`
}

// Fault is what is wrong with an agent for a time.
type Fault struct {
	On     string   `json:"on"`
	From   Duration `json:"from"`
	For    Duration `json:"for"`
	Every  Duration `json:"every"`
	Times  int      `json:"times"`
	Errors float64  `json:"errors"`
	Status int      `json:"status"`
	Code   string   `json:"code"`
	Hangs  float64  `json:"hangs"`
	Bad    float64  `json:"bad"`
	Slow   float64  `json:"slow"`
	Limit  *Limit   `json:"limit"`
}

// Limit lets so many calls through in each period.
type Limit struct {
	Calls int      `json:"calls"`
	Per   Duration `json:"per"`
	Mute  bool     `json:"mute"`
}

// The names of the two agents.
const (
	Primary = "primary"
	StandIn = "stand_in"
)

// Duration reads as "90s" in JSON.
type Duration time.Duration

// UnmarshalJSON reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return fmt.Errorf("%s is no duration: write it in quotes with a unit, such as \"90s\" or \"1h13m\"", text)
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration: give it a unit, such as \"90s\" or \"1h13m\"", s)
	}
	*d = Duration(parsed)
	return nil
}

// D is the duration as the standard library has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Load reads every *.json file of a folder, in the order of their names.
func Load(folder string) ([]Scenario, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no scenario: a scenario is a *.json file, described in the documentation of internal/bench/lab", folder)
	}
	slices.Sort(files)
	var all []Scenario
	var errs []error
	from := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := Parse(filepath.Base(file), text)
		if err == nil && from[s.Name] != "" {
			err = fmt.Errorf("%s: name: %q is taken by %s: names appear in results, give it another", filepath.Base(file), s.Name, from[s.Name])
		}
		from[s.Name] = filepath.Base(file)
		errs = append(errs, err)
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// Parse reads one scenario. An error names the file, the field and a remedy.
func Parse(file string, text []byte) (Scenario, error) {
	s := Scenario{Patience: Duration(2 * time.Minute), Timeout: Duration(30 * time.Second)}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %s", file, explain(err, text, in.InputOffset()))
	}
	if _, err := in.Token(); err != io.EOF {
		return s, fmt.Errorf("%s: goes on after the scenario: one file, one scenario", file)
	}
	s.Refusal = cmp.Or(s.Refusal, 400)
	s.Primary.defaults()
	if s.StandIn != nil {
		s.StandIn.defaults()
	}
	for i := range s.Faults {
		s.Faults[i].defaults()
	}
	var errs []error
	s.check(func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", file, field, fmt.Sprintf(format, args...)))
	})
	return s, errors.Join(errs...)
}

var unknownField = regexp.MustCompile(`unknown field "(.*)"`)

func explain(err error, text []byte, at int64) string {
	line := 1 + bytes.Count(text[:min(int(at), len(text))], []byte("\n"))
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf("%s: no such field: look at the spelling, or at the format in internal/bench/lab/doc.go", m[1])
	}
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s: is a %s, want a %s", typed.Field, typed.Value, strings.TrimPrefix(typed.Type.String(), "lab."))
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		line = 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
		return fmt.Sprintf("line %d: is not JSON: %v (NaN and infinity are not either; comments neither)", line, err)
	}
	return fmt.Sprintf("line %d or after: %v", line, err)
}

func (a *Agent) defaults() {
	a.Median = cmp.Or(a.Median, Duration(2*time.Second))
	a.Sigma = cmp.Or(a.Sigma, 0.4)
}

func (f *Fault) defaults() {
	f.Status = cmp.Or(f.Status, 503)
	f.Slow = cmp.Or(f.Slow, 1)
	f.Times = cmp.Or(f.Times, 1)
	if f.For == 0 {
		f.For = Duration(math.MaxInt64 / 4)
	}
}

type complaint func(field, format string, args ...any)

func (s *Scenario) check(say complaint) {
	if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(s.Name) {
		say("name", "is %q: use small letters, digits and dashes", s.Name)
	}
	positive(say, "length", s.Length)
	positive(say, "patience", s.Patience)
	positive(say, "timeout", s.Timeout)
	if !(s.Rate > 0) || s.Rate > 1000 {
		say("rate", "is %v: give requests a second, above 0 and at most 1000", s.Rate)
	}
	if n := s.Rate * s.Length.D().Seconds(); n > 1e6 {
		say("length", "makes %.0f requests: a million is enough", n)
	}
	share(say, "poison", s.Poison)
	if s.Refusal < 400 || s.Refusal > 599 {
		say("poison_status", "is %d: use a status from 400 to 599", s.Refusal)
	}
	for i, surge := range s.Surges {
		at := fmt.Sprintf("surges[%d].", i)
		notNegative(say, at+"from", surge.From)
		positive(say, at+"for", surge.For)
		if !(surge.Times >= 0 && surge.Times <= 100) {
			say(at+"times", "is %v: use a factor from 0 to 100", surge.Times)
		}
	}
	s.Primary.check(say, "primary.")
	if s.StandIn != nil {
		s.StandIn.check(say, "stand_in.")
	}
	for i, f := range s.Faults {
		f.check(say, fmt.Sprintf("faults[%d].", i), s.StandIn != nil)
	}
	s.checkMeans(say)
}

func (a *Agent) check(say complaint, at string) {
	positive(say, at+"median", a.Median)
	if !(a.Sigma >= 0 && a.Sigma <= 3) {
		say(at+"sigma", "is %v: use a number from 0 to 3", a.Sigma)
	}
	if a.Servers < 0 {
		say(at+"servers", "is negative (%d): leave it out for no limit", a.Servers)
	}
	if a.Queue < 0 {
		say(at+"queue", "is negative (%d): leave it out for none", a.Queue)
	}
	if a.Servers == 0 && (a.Queue > 0 || a.Slowdown != 0) {
		say(at+"servers", "is missing: a queue and a slowdown need a number of servers")
	}
	if c := a.Cold; c != nil && (c.Calls < 1 || c.Warm < c.Calls) {
		say(at+"cold", "is %d calls of %d: give at least one, and not more than when it is warm", c.Calls, c.Warm)
	}
	if !(a.Slowdown >= 0 && a.Slowdown <= 100) {
		say(at+"slowdown", "is %v: use a number from 0 to 100", a.Slowdown)
	}
	a.checkTemper(say, at)
}

func (f *Fault) check(say complaint, at string, standIn bool) {
	switch {
	case f.On != Primary && f.On != StandIn:
		say(at+"on", "is %q: use %q or %q", f.On, Primary, StandIn)
	case f.On == StandIn && !standIn:
		say(at+"on", "is %q, and there is none: add \"stand_in\": {}", f.On)
	}
	notNegative(say, at+"from", f.From)
	positive(say, at+"for", f.For)
	notNegative(say, at+"every", f.Every)
	if f.Times < 1 || f.Times > 1 && f.Every <= f.For {
		say(at+"times", "is %d: to repeat a fault give it an \"every\" longer than its \"for\"", f.Times)
	}
	share(say, at+"errors", f.Errors)
	share(say, at+"hangs", f.Hangs)
	share(say, at+"bad", f.Bad)
	if f.Status < 400 || f.Status > 599 {
		say(at+"status", "is %d: use one from 400 to 599", f.Status)
	}
	if !(f.Slow > 0 && f.Slow <= 1000) {
		say(at+"slow", "is %v: use a factor above 0 and up to 1000", f.Slow)
	}
	if f.Limit != nil {
		if f.Limit.Calls < 0 {
			say(at+"limit.calls", "is negative (%d): 0 lets nothing through", f.Limit.Calls)
		}
		positive(say, at+"limit.per", f.Limit.Per)
	}
	if f.Errors == 0 && f.Hangs == 0 && f.Bad == 0 && f.Slow == 1 && f.Limit == nil {
		say(strings.TrimSuffix(at, "."), "does nothing: give it errors, hangs, bad, slow or a limit")
	}
}

func positive(say complaint, field string, d Duration) {
	if d <= 0 {
		say(field, "is %v: give a time above 0, such as \"30m\"", d.D())
	}
}

func notNegative(say complaint, field string, d Duration) {
	if d < 0 {
		say(field, "is negative (%v): count from the start", d.D())
	}
}

func share(say complaint, field string, v float64) {
	if !(v >= 0 && v <= 1) {
		say(field, "is %v: use a share from 0 to 1 (5 %% is 0.05)", v)
	}
}

// end is when the last fault or surge that ends within the scenario is over;
// ok is false if none does.
func (s *Scenario) end() (end time.Duration, ok bool) {
	for _, surge := range s.Surges {
		end = max(end, surge.From.D()+surge.For.D())
	}
	for _, f := range s.Faults {
		last := f.From.D() + time.Duration(f.Times-1)*f.Every.D() + f.For.D()
		if last >= s.Length.D() {
			return 0, false
		}
		end = max(end, last)
	}
	return end, end > 0 && end < s.Length.D()
}

// active says whether the fault is on, and since when.
func (f *Fault) active(at time.Duration) (since time.Duration, on bool) {
	for n := range f.Times {
		if since = f.From.D() + time.Duration(n)*f.Every.D(); at >= since && at-since < f.For.D() {
			return since, true
		}
	}
	return 0, false
}
