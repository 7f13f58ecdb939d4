package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/internal/bench/lab"
)

const head = `"name": "x", "seed": 1, "length": "1h", "rate": 2, "primary": {}`

func TestParse(t *testing.T) {
	for _, tc := range []struct{ it, text, want string }{
		{"takes the least there is", `{` + head + `}`, ""},
		{"takes all there is", `{` + head + `, "about": "a", "patience": "1m", "timeout": "5s", "poison": 0.5, "poison_status": 500, "surges": [{"from": "1m", "for": "1m", "times": 2}],
			"stand_in": {"median": "1s", "sigma": 1, "servers": 3, "queue": 4, "slowdown": 2, "cold": {"calls": 2, "warm": 9}},
			"faults": [{"on": "stand_in", "from": "1m", "for": "1m", "every": "2m", "times": 3, "errors": 1, "status": 500, "code": "c", "hangs": 1, "bad": 1, "slow": 2, "limit": {"calls": 0, "per": "1m", "mute": true}}]}`, ""},
		{"refuses a field it does not know", `{` + head + `, "rat": 3}`, `f.json: rat: no such field`},
		{"refuses one within a fault too", `{` + head + `, "faults": [{"on": "primary", "error": 1}]}`, `f.json: error: no such field`},
		{"refuses a second value", `{` + head + `} {}`, "f.json: goes on after the scenario"},
		{"names the line of what is no JSON", "{\n" + head + ",\n\"poison\": NaN}", "f.json: line 3: is not JSON"},
		{"names the field of a wrong type", `{` + head + `, "poison": "much"}`, "f.json: poison: is a string, want a float64"},
		{"refuses a duration without a unit", `{` + head + `, "timeout": 30}`, `30 is no duration: write it in quotes`},
		{"refuses a duration that is none", `{` + head + `, "timeout": "soon"}`, `"soon" is no duration: give it a unit`},
		{"refuses a negative duration", `{` + head + `, "timeout": "-1s"}`, "f.json: timeout: is -1s: give a time above 0"},
		{"refuses a share above 1", `{` + head + `, "poison": 2}`, "f.json: poison: is 2: use a share from 0 to 1"},
		{"refuses a negative share", `{` + head + `, "faults": [{"on": "primary", "errors": -0.1}]}`, "f.json: faults[0].errors: is -0.1: use a share"},
		{"refuses a name that cannot stand in a table", `{"name": "My Day", "seed": 1, "length": "1h", "rate": 2, "primary": {}}`, `f.json: name: is "My Day"`},
		{"refuses no requests", `{"name": "x", "length": "1h", "primary": {}}`, "f.json: rate: is 0"},
		{"refuses too many", `{"name": "x", "length": "1000h", "rate": 1000, "primary": {}}`, "f.json: length: makes 3600000000 requests"},
		{"refuses a queue for nobody", `{"name": "x", "length": "1h", "rate": 1, "primary": {"queue": 3}}`, "f.json: primary.servers: is missing"},
		{"refuses a negative number of servers", `{"name": "x", "length": "1h", "rate": 1, "primary": {"servers": -1}}`, "f.json: primary.servers: is negative (-1)"},
		{"refuses a fault on nobody", `{` + head + `, "faults": [{"on": "primry", "errors": 1}]}`, `f.json: faults[0].on: is "primry": use "primary" or "stand_in"`},
		{"refuses a fault on a stand-in that is not there", `{` + head + `, "faults": [{"on": "stand_in", "errors": 1}]}`, "and there is none"},
		{"refuses a fault that does nothing", `{` + head + `, "faults": [{"on": "primary"}]}`, "f.json: faults[0]: does nothing"},
		{"refuses a status that is no failure", `{` + head + `, "faults": [{"on": "primary", "errors": 1, "status": 200}]}`, "f.json: faults[0].status: is 200"},
		{"refuses repetitions that run into each other", `{` + head + `, "faults": [{"on": "primary", "errors": 1, "for": "2m", "every": "1m", "times": 2}]}`, "f.json: faults[0].times: is 2"},
		{"refuses a poison that is no failure", `{` + head + `, "poison": 0.1, "poison_status": 200}`, "f.json: poison_status: is 200"},
		{"refuses an agent that stays cold", `{"name": "x", "length": "1h", "rate": 1, "primary": {"cold": {"warm": 3}}}`, "f.json: primary.cold: is 0 calls of 3"},
		{"refuses a pace for requests without tokens", `{` + head + `, "means": {"pace": 3}}`, "f.json: means.pace: is 3, and requests have no tokens"},
		{"refuses negative means", `{` + head + `, "means": {"calls": -1}}`, "f.json: means.calls: is negative (-1)"},
		{"refuses requests of no size", `{` + head + `, "tokens": {}}`, "f.json: tokens.median: is 0"},
		{"refuses a nest of one", `{` + head + `, "nested": {"deep": 1, "asks": 1}}`, "f.json: nested.deep: is 1"},
		{"refuses tricky requests beyond all", `{` + head + `, "tricky": {"share": 2}}`, "f.json: tricky.share: is 2"},
		{"refuses a tail that is none", `{"name": "x", "length": "1h", "rate": 1, "primary": {"tail": {"share": 0.1}}}`, "f.json: primary.tail.times: is 0"},
		{"refuses others who leave nothing", `{"name": "x", "length": "1h", "rate": 1, "primary": {"plan": {"per_minute": 1, "others": [{"for": "1m", "share": 1}]}}}`, "f.json: primary.plan.others[0].share: is 1"},
		{"refuses to thrash from nothing on", `{"name": "x", "length": "1h", "rate": 1, "primary": {"thrash": {"power": 1}}}`, "f.json: primary.thrash.over: is 0"},
		{"refuses a limit of no length", `{` + head + `, "faults": [{"on": "primary", "limit": {"calls": 3}}]}`, "f.json: faults[0].limit.per: is 0s"},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			_, err := lab.Parse("f.json", []byte(tc.text))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error is %v, want one that says %q", err, tc.want)
			}
		})
	}
	t.Run("it says everything that is wrong at once", func(t *testing.T) {
		_, err := lab.Parse("f.json", []byte(`{"name": "", "length": "0s", "rate": -1, "primary": {}}`))
		for _, field := range []string{"name", "length", "rate"} {
			if err == nil || !strings.Contains(err.Error(), "f.json: "+field+":") {
				t.Errorf("%s is missing in: %v", field, err)
			}
		}
	})
}

func TestLoad(t *testing.T) {
	t.Run("it reads what is shipped", func(t *testing.T) {
		days, err := lab.Load("scenarios")
		if err != nil || len(days) < 12 {
			t.Errorf("%d scenarios, %v", len(days), err)
		}
	})
	t.Run("it says that a folder is empty", func(t *testing.T) {
		if _, err := lab.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no scenario") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("it refuses two of one name, by both files", func(t *testing.T) {
		folder := t.TempDir()
		for _, file := range []string{"a.json", "b.json"} {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(`{`+head+`}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := lab.Load(folder); err == nil || !strings.Contains(err.Error(), `b.json: name: "x" is taken by a.json`) {
			t.Errorf("error is %v", err)
		}
	})
}
