package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A real Prometheus scrapes the exporter and answers each query of the dashboard.
func TestARealPrometheusAnswersEachQuery(t *testing.T) {
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("SKIPPED: THERE IS NO prometheus. The queries are parsed and not asked; install the package prometheus.")
	}
	registry, play := house(t)
	exporter := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer exporter.Close()
	target := strings.TrimPrefix(exporter.URL, "http://")

	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: understudy, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	var log strings.Builder
	server := exec.CommandContext(t.Context(), binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()

	ask := func(query string) (n int, err error) {
		resp, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		var answer struct {
			Status, Error string
			Data          struct {
				Result []struct {
					Value [2]any
				}
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return 0, err
		}
		if answer.Status != "success" {
			return 0, fmt.Errorf("%s", answer.Error)
		}
		for _, r := range answer.Data.Result {
			if r.Value[1] != "NaN" {
				n++
			}
		}
		return n, nil
	}

	_, all := read(t)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	left := map[string]string{}
	for _, q := range all {
		left[plain(q.expr)] = "not asked yet"
	}
	for len(left) > 0 { // a rate needs two scrapes, and something that happens between them
		select {
		case <-tick.C:
		case <-limit.C:
			for expr, why := range left {
				t.Errorf("%s: %s", expr, why)
			}
			t.Fatal(log.String())
		}
		play()
		for expr := range left {
			switch n, err := ask(expr); {
			case err != nil:
				left[expr] = err.Error()
			case n == 0:
				left[expr] = "gives nothing"
			default:
				delete(left, expr)
			}
		}
	}
	t.Logf("%d queries were answered by a real Prometheus", len(all))
}
