// Overhead measures what the layers cost a call, beside other libraries, and
// writes overhead.csv and overhead.svg. See internal/bench/overhead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/understudy-go/understudy/internal/bench/overhead"
)

func main() {
	out := flag.String("out", "../../bench-results", "`folder` for overhead.csv and overhead.svg")
	short := flag.Bool("short", false, "a few ms a system: to see that it works, not what it costs")
	config := flag.Bool("config", false, "print how each system is configured, and end")
	only := flag.String("case", "", "measure the cases whose name holds this `text`, and write no file")
	flag.Parse()
	if *config {
		for _, s := range overhead.Systems() {
			fmt.Printf("%s\n%s\n\n", s.Name, s.Config)
		}
		return
	}
	if err := run(*out, *short, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string, short bool, only string) error {
	var pace overhead.Pace
	if short {
		pace = overhead.Short
	}
	cases := slices.DeleteFunc(overhead.Cases(), func(c overhead.Case) bool { return !strings.Contains(c.Name, only) })
	rows, err := overhead.Run(context.Background(), cases, pace, os.Stderr)
	if err != nil {
		return err
	}
	if only == "" {
		err = errors.Join(write(filepath.Join(folder, "overhead.csv"), rows, overhead.WriteCSV), write(filepath.Join(folder, "overhead.svg"), rows, overhead.WriteSVG))
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	overhead.Print(os.Stdout, cases, rows)
	return nil
}

func write(file string, rows []overhead.Row, how func(io.Writer, []overhead.Row) error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(how(f, rows), f.Close())
}
