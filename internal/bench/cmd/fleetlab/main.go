// Fleetlab lives through a bad day with fleets of several sizes, and writes what was
// measured to fleet.csv. See internal/bench/fleetlab.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/internal/bench/fleetlab"
)

func main() {
	out := flag.String("out", "../../bench-results", "`folder` for fleet.csv")
	replicas := flag.String("replicas", "1,10,100,1000", "`sizes` of the fleets")
	flag.Parse()
	var sizes []int
	for _, s := range strings.Split(*replicas, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "-replicas: %q is no number of replicas\n", s)
			os.Exit(1)
		}
		sizes = append(sizes, n)
	}
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "Fleet",
		F: func(t *testing.T) {
			var rows []fleetlab.Row
			fleetlab.Run(t, sizes, func(r fleetlab.Row) {
				fmt.Fprintf(os.Stderr, "%+v\n", r)
				rows = append(rows, r) // written each time: the largest take long
				f, err := os.Create(filepath.Join(*out, "fleet.csv"))
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(fleetlab.WriteCSV(f, rows), f.Close()); err != nil {
					t.Fatal(err)
				}
			})
		},
	}}, nil, nil)
}
