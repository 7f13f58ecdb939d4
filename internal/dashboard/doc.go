// Package dashboard checks that the Grafana dashboard of middleware/adapters/prometheus
// asks for what the exporter gives: each query is parsed by Prometheus's own parser, and
// each metric and label in it is looked for in a scrape. Where a prometheus is installed
// the queries are put to it, on a scrape of the exporter.
package dashboard
