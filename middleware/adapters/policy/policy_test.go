package policy_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware/adapters/policy"
)

var update = flag.Bool("update", false, "write what is said now into testdata")

// Every file under testdata, right and wrong, with what is said of it, word for word.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want") {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			p, err := policy.Parse(filepath.Base(file), data)
			if err != nil {
				said = err.Error() + "\n"
			} else {
				for _, agent := range p.Agents() {
					e, err := p.Explain(agent)
					if err != nil {
						t.Fatal(err)
					}
					said += fmt.Sprintln(e)
				}
			}
			if wrong := strings.Contains(file, "wrong"); wrong != (err != nil) {
				t.Errorf("error %v", err)
			}
			if *update {
				if err := os.WriteFile(file+".want", []byte(said), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if said != string(want) {
				t.Errorf("it says\n%s\nand not\n%s", said, want)
			}
		})
	}
	if seen < 60 {
		t.Errorf("%d files", seen)
	}
}

func TestSchemaIsUpToDate(t *testing.T) {
	published, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(published, policy.Schema()) {
		t.Error("schema.json is not what the settings are now: run go generate")
	}
}

// Whatever the bytes are: no panic, and an error that says where.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, ".want") {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		hangs := time.AfterFunc(20*time.Second, func() { panic(fmt.Sprintf("it hangs on %q", data)) })
		defer hangs.Stop()
		p, err := policy.Parse("fuzz", data)
		if err != nil {
			if e, ok := err.(*policy.Error); !ok || len(e.Problems) == 0 || !strings.HasPrefix(err.Error(), "fuzz") {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, agent := range append(p.Agents(), "somebody else") {
			if _, err := p.Explain(agent); err != nil {
				t.Fatalf("%q was taken, and Build says %v", data, err)
			}
		}
	})
}
