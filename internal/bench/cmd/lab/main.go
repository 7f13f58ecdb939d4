// Lab lives through the scenarios of a folder with every system, and writes
// what was measured to lab.csv and lab.svg. See internal/bench/lab.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/understudy-go/understudy/internal/bench/lab"
)

func main() {
	scenarios := flag.String("scenarios", "lab/scenarios", "`folder` of scenarios")
	out := flag.String("out", "../../bench-results", "`folder` for lab.csv and lab.svg")
	seed := flag.Uint64("seed", 0, "`number` added to every scenario's seed: other days of the same kind")
	config := flag.Bool("config", false, "print how each system is configured, and end")
	flag.Parse()
	if *config {
		for _, s := range lab.Systems() {
			fmt.Printf("%s\n%s\n\n", s.Name, s.Config)
		}
		return
	}
	days, err := lab.Load(*scenarios)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range days {
		days[i].Seed += *seed
	}
	// Virtual time belongs to tests, so the lab is one: testing.Main exists for
	// programs that are.
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "Lab",
		F: func(t *testing.T) {
			rows := lab.Run(t, days, lab.Systems(), os.Stderr)
			if err := write(*out, rows); err != nil {
				t.Fatal(err)
			}
			lab.Print(os.Stdout, rows)
		},
	}}, nil, nil)
}

func write(folder string, rows []lab.Row) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return errors.Join(
		create(filepath.Join(folder, "lab.csv"), rows, lab.WriteCSV),
		create(filepath.Join(folder, "lab.svg"), rows, lab.WriteSVG),
	)
}

func create(file string, rows []lab.Row, write func(io.Writer, []lab.Row) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(write(f, rows), f.Close())
}
