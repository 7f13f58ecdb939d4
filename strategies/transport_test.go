package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

// fetched is the error with which a real client fails to fetch an address.
func fetched(t *testing.T, url string) error {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("%s was fetched", url)
	}
	return err
}

// What the network says passes; what the settings say does not.
func TestTheNetworkPassesAndTheSettingsDoNot(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secret := httptest.NewUnstartedServer(http.NotFoundHandler())
	secret.Config.ErrorLog = nil
	secret.StartTLS()
	t.Cleanup(secret.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	dropping := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(dropping.Close)
	dns := func(e net.DNSError) error {
		return fmt.Errorf("asking: %w", &net.OpError{Op: "dial", Net: "tcp", Err: &e})
	}
	for _, tc := range []struct {
		it    string
		err   error
		class strategies.Class
	}{
		{"a certificate that is not trusted", fetched(t, secret.URL), strategies.ClassNotFound},
		{"HTTPS to a server that speaks HTTP", fetched(t, strings.Replace(plain.URL, "http:", "https:", 1)), strategies.ClassNotFound},
		{"a scheme that nobody speaks", fetched(t, "gopher://127.0.0.1"), strategies.ClassNotFound},
		{"an address without a host", fetched(t, "http:///v1"), strategies.ClassNotFound},
		{"a name that nobody has", dns(net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}), strategies.ClassNotFound},
		{"a name server that fails", dns(net.DNSError{Err: "server misbehaving", IsTemporary: true}), strategies.ClassTransient},
		{"a name server that is slow", dns(net.DNSError{Err: "i/o timeout", IsTimeout: true}), strategies.ClassTimeout},
		{"a name that is not there for the moment", dns(net.DNSError{Err: "no such host", IsNotFound: true, IsTemporary: true}), strategies.ClassTransient},
		{"a port that nobody listens on", fetched(t, gone.URL), strategies.ClassTransient},
		{"a connection that was dropped", fetched(t, dropping.URL), strategies.ClassTransient},
		{"a connection that was reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, strategies.ClassTransient},
		{"the end of a re-used connection", io.EOF, strategies.ClassTransient},
		{"HTTP/2 that goes away", errors.New("http2: server sent GOAWAY and closed the connection; LastStreamID=7, ErrCode=NO_ERROR"), strategies.ClassTransient},
		{"a reset stream of HTTP/2", errors.New("stream error: stream ID 5; INTERNAL_ERROR; received from peer"), strategies.ClassTransient},
		{"somebody's deadline", context.DeadlineExceeded, strategies.ClassTimeout},
	} {
		t.Run(tc.it, func(t *testing.T) {
			v := strategies.Classify(fmt.Errorf("agent: %w", tc.err))
			if v.Class != tc.class {
				t.Errorf("got %v, want %v, for %v", v.Class, tc.class, tc.err)
			}
			if settings := tc.class == strategies.ClassNotFound; settings && (v.Retry || !v.Loud || !v.Fallback) {
				t.Errorf("a wrong setting: %+v", v)
			}
		})
	}
}
