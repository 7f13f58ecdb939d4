// Package golden compares what a program printed with what it is known to print.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what was printed to testdata, to be read before it is committed")

// Check compares got with testdata/name in the folder of the test.
func Check(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A checkout may have turned line ends.
	if want := strings.ReplaceAll(string(want), "\r\n", "\n"); got != want {
		t.Errorf("printed:\n%s\nwant, from %s:\n%s", got, file, want)
	}
}
