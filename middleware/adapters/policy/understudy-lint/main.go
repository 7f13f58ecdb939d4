// Command understudy-lint says what is wrong with policy files, each with its line and
// column, or what the chains of their agents will do.
//
//	understudy-lint [-q] file ...
//
// It exits with 1 if a file is wrong, and with 2 if it was called wrongly.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/understudy-go/understudy/middleware/adapters/policy"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, problems io.Writer) int {
	flags := flag.NewFlagSet("understudy-lint", flag.ContinueOnError)
	flags.SetOutput(problems)
	quiet := flags.Bool("q", false, "say only what is wrong")
	schema := flags.String("schema", "", "write the JSON schema of policy files to this file")
	if flags.Parse(args) != nil || flags.NArg() == 0 && *schema == "" {
		fmt.Fprintln(problems, "usage: understudy-lint [-q] file ...")
		return 2
	}
	if *schema != "" {
		if err := os.WriteFile(*schema, policy.Schema(), 0o644); err != nil {
			fmt.Fprintln(problems, err)
			return 1
		}
	}
	code := 0
	for _, file := range flags.Args() {
		if err := lint(file, *quiet, out); err != nil {
			fmt.Fprintln(problems, err)
			code = 1
		}
	}
	return code
}

func lint(file string, quiet bool, out io.Writer) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p, err := policy.Parse(file, data)
	if err != nil || quiet {
		return err
	}
	for _, agent := range p.Agents() {
		e, err := p.Explain(agent)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, e)
	}
	return nil
}
