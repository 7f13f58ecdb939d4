package mcp

import (
	"runtime"
	"testing"
	"weak"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// This test looks inside: nothing outside shows what is remembered.
func TestItForgetsAServerWithItsSession(t *testing.T) {
	r := &recovery{settings: Defaults, servers: map[weak.Pointer[sdk.ClientSession]]*server{}}
	session := &sdk.ClientSession{}
	if s := r.of(session); s.err != nil || r.of(session) != s {
		t.Fatal("a session has one server")
	}
	runtime.KeepAlive(session)
	for range 1000 {
		runtime.GC() // the clean-up follows on a goroutine of the runtime's
		r.mu.Lock()
		left := len(r.servers)
		r.mu.Unlock()
		if left == 0 {
			return
		}
	}
	t.Error("it remembers a session that is gone")
}
