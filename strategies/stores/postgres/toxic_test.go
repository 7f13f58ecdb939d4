package postgres_test

import (
	"context"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/understudy-go/understudy/internal/fleettest"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/postgres"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

// proxied is a toxiproxy before a server.
func proxied(t *testing.T, server string) (at string, p fleettest.Proxy) {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // its toxics have a logger of their own
	l := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()), "store", "127.0.0.1:0", server)
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l.Listen, fleettest.Proxy{
		Up: l.Start, Down: l.Stop,
		Toxic: func(json string) error { _, err := l.Toxics.AddToxicJson(strings.NewReader(json)); return err },
		Clean: func() { l.Toxics.ResetToxics(context.Background()) },
	}
}

func TestUnderToxics(t *testing.T) {
	t.Parallel()
	s := install(t)
	s.start()
	server := "127.0.0.1:" + s.port
	at, proxy := proxied(t, server)
	opens := func(at string) func(t *testing.T) strategies.Store {
		return func(t *testing.T) strategies.Store {
			t.Helper()
			return open(t, strings.ReplaceAll(s.url(), server, at), postgres.Table("", "toxic"))
		}
	}
	t.Run("counting", func(t *testing.T) {
		t.Parallel()
		fleettest.Toxics(t, fleettest.Line{Proxy: proxy, Through: opens(at), Straight: opens(server)})
	})
	t.Run("conformance", func(t *testing.T) {
		if testing.Short() {
			t.Skip("it takes its time")
		}
		t.Parallel()
		at, proxy := proxied(t, server)
		fleettest.Slow(t, proxy)
		storetest.Run(t, func(t testing.TB) strategies.Store { return open(t, strings.ReplaceAll(s.url(), server, at)) })
	})
}
