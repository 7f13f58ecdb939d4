// Command forward writes middleware/forwarders.go: the methods of
// middleware.Settings once more for Builder and StreamBuilder, so that both list
// every setting in their documentation and calls can be chained on them. It is
// run by go generate; a test compares what it would write with what is there.
//
//	go generate ./middleware
package main

import (
	"fmt"
	"os"
)

func main() {
	src, err := Source(".")
	if err == nil {
		err = os.WriteFile("forwarders.go", src, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}
