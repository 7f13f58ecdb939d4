package main

import (
	"bytes"
	"os"
	"testing"
)

func TestForwardersAreUpToDate(t *testing.T) {
	want, err := Source("../../middleware")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../middleware/forwarders.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("middleware/forwarders.go is not what the methods of Settings say: run go generate ./middleware")
	}
}
