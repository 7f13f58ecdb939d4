// Package field reads the corpus of failures in strategies/testdata/field: what
// providers, gateways and servers send when they fail, and what it means. Its
// README describes the format. The tests of package strategies read it through
// errors made by hand, those of internal/providers through the real clients.
package field

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// File is one file of the corpus: a provider.
type File struct {
	Provider string  `json:"provider"`
	Kind     string  `json:"kind"`
	Shapes   []Shape `json:"shapes"`
}

// Shape is one failure: what was sent, and what it means.
type Shape struct {
	Name     string            `json:"name"`
	Plain    bool              `json:"plain"`
	Status   int               `json:"status"`
	Stream   bool              `json:"stream"`
	Headers  map[string]string `json:"headers"`
	Body     json.RawMessage   `json:"body"`
	Class    string            `json:"class"`
	Wait     float64           `json:"wait"`
	WaitFrom string            `json:"wait_from"`
	Needs    string            `json:"needs"`
	Source   string            `json:"source"`
}

// Text is the body as it goes over the wire: a JSON string in the corpus is the text itself.
func (s Shape) Text() string {
	var text string
	if json.Unmarshal(s.Body, &text) == nil {
		return text
	}
	return string(s.Body)
}

// Header is what was sent beside the body.
func (s Shape) Header() http.Header {
	h := http.Header{}
	for name, value := range s.Headers {
		h.Set(name, value)
	}
	return h
}

// Hint is the wait that is wanted, to the nanosecond.
func (s Shape) Hint() time.Duration { return time.Duration(math.Round(s.Wait * 1e9)) }

// Read reads all files of a folder.
func Read(dir string) ([]File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("field: no corpus in %q", dir)
	}
	files := make([]File, 0, len(paths))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var file File
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, file)
	}
	return files, nil
}
