package inbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/understudy-go/understudy/internal/ids"
	"github.com/understudy-go/understudy/internal/units"
	"github.com/understudy-go/understudy/strategies"
)

// Settings of an [Inbox]. The zero value is the default.
type Settings struct {
	// Name keeps several inboxes of one store apart. All processes that serve one
	// inbox give it the same name. "": "inbox". At most 64 bytes, without a slash.
	Name string
	// Process is what this process is called in records, for people. "": the name of
	// its host. It need not be unique.
	Process string
	// Show says what people see of a request, and so what is written into the store
	// of it; at most 4 KiB are kept. nil: nothing. A parked call's request is kept
	// beside that, by Codec, for whoever resumes it.
	Show func(incident strategies.Incident) string
	// Keep is how long a record stays once its question has ended, and the answer of
	// a parked call can be asked for. 0: 30 days.
	Keep time.Duration
	// Quorum is how many people must say the same before it counts. An abort needs
	// one. 0: 1.
	Quorum int
	// Groups are who is asked when: the first from the beginning, each later one
	// after so long without a decision. It says whom to call, not who may decide.
	Groups []Group
	// Codec writes requests and answers into the store. nil: JSON.
	Codec Codec
	// MaxRequest and MaxAnswer are how many bytes of them are kept; what is larger is
	// refused. 0: 64 KiB each. Together at most 256 KiB.
	MaxRequest, MaxAnswer int
	// Heartbeat is how often this process says that it is alive. One that has been
	// silent for three of them is taken for dead: the questions of its callers are
	// orphaned, and its resumed calls taken over. All processes give the same. 0: 10 s.
	Heartbeat time.Duration
	// Patience is how long a question waits for a store that does not answer, before
	// it cannot be asked. 0: 5 s.
	Patience time.Duration
	// Running is how many parked calls this process goes on with at once. 0: 8.
	Running int
	// Trouble is told of what went wrong in the background, such as a store that is
	// away. It is called on the inbox's own goroutines. nil: nobody.
	Trouble func(err error)
}

// Group is a group of people who are asked after so long.
type Group struct {
	Name  string        `json:"name"`
	After time.Duration `json:"after_ns"`
}

// Codec writes values as bytes. It must be safe for concurrent use, and Unmarshal gets
// a pointer. encoding/json's two functions are one.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

const (
	maxShown    = 4 << 10  // bytes of a request as it is shown
	maxText     = 500      // bytes of another text
	maxKept     = 20       // attempts, the first and the last
	maxNames    = 50       // agents that may be named
	maxName     = 200      // bytes of a name
	maxPayload  = 64 << 10 // of a request and of an answer, unless it is said
	maxPayloads = 256 << 10
	maxID       = 200
)

func (s Settings) check() error {
	var errs []error
	wrong := func(setting, fix, problem string, args ...any) {
		errs = append(errs, &strategies.ConfigError{Setting: "inbox.Settings." + setting, Problem: fmt.Sprintf(problem, args...), Fix: fix})
	}
	for _, d := range []struct {
		name string
		d    time.Duration
		zero string
	}{{"Keep", s.Keep, "30 days"}, {"Heartbeat", s.Heartbeat, "10 s"}, {"Patience", s.Patience, "5 s"}} {
		if d.d < 0 {
			wrong(d.name, "leave it 0 for "+d.zero, "is negative (%v)", d.d)
		} else if problem, fix, ok := units.Missing(d.d); !ok {
			wrong(d.name, fix, "%s", problem)
		}
	}
	for _, n := range []struct {
		name string
		n    int
		zero string
	}{{"Quorum", s.Quorum, "1"}, {"MaxRequest", s.MaxRequest, "64 KiB"}, {"MaxAnswer", s.MaxAnswer, "64 KiB"}, {"Running", s.Running, "8"}} {
		if n.n < 0 {
			wrong(n.name, "leave it 0 for "+n.zero, "is negative (%d)", n.n)
		}
	}
	if s.MaxRequest+s.MaxAnswer > maxPayloads {
		wrong("MaxRequest", "keep large things elsewhere, and their address in the request", "and MaxAnswer are %d bytes together, at most %d", s.MaxRequest+s.MaxAnswer, maxPayloads)
	}
	if strings.Contains(s.Name, "/") || len(s.Name) > 64 {
		wrong("Name", "use a short word", "is %q", s.Name)
	}
	for i, g := range s.Groups {
		if i > 0 && g.After <= s.Groups[i-1].After || i == 0 && g.After != 0 {
			wrong("Groups", "the first begins at 0, and each later one after the one before", "has %q after %v", g.Name, g.After)
		}
	}
	return errors.Join(errs...)
}

func (s Settings) withDefaults() Settings {
	s.Name = cmp.Or(s.Name, "inbox")
	if s.Process == "" {
		s.Process, _ = os.Hostname()
	}
	s.Process = short(cmp.Or(s.Process, "process"), 64) + "-" + ids.New()[24:]
	s.Keep = cmp.Or(s.Keep, 30*24*time.Hour)
	s.Quorum = max(s.Quorum, 1)
	if s.Codec == nil {
		s.Codec = jsonCodec{}
	}
	s.MaxRequest, s.MaxAnswer = cmp.Or(s.MaxRequest, maxPayload), cmp.Or(s.MaxAnswer, maxPayload)
	s.Heartbeat = cmp.Or(s.Heartbeat, 10*time.Second)
	s.Patience = cmp.Or(s.Patience, 5*time.Second)
	s.Running = cmp.Or(s.Running, 8)
	return s
}

// short cuts a text to so many bytes.
func short(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
