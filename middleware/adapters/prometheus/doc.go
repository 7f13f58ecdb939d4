// Package prometheus exports what happens to agents as metrics for Prometheus, by
// client_golang.
//
//	exporter, err := prometheus.New(prometheus.Options{Agents: cast.Owners})
//	...
//	registry.MustRegister(exporter)
//	b := middleware.Wrap(agent).Named("narrator").Retry(strategies.Retry{})
//	narrator, err := prometheus.Instrument(b, "narrator", exporter).Build()
//
// A program that has OpenTelemetry already takes the otel adapter, and the Prometheus
// exporter of its SDK if it is scraped. This package is for those who have
// client_golang alone: OpenTelemetry's SDK and its bridge are 20 modules more, and a
// bridge cannot read an agent's health when it is scraped.
//
// # Metrics
//
// Written as things happen, by [Instrument]:
//
//	understudy_call_duration_seconds     agent, result   histogram; its count is the number of calls
//	understudy_attempt_duration_seconds  agent, class    histogram; class is "none" if it went well
//	understudy_failures_total            agent, served_by, class
//	understudy_recoveries_total          agent, strategy, level
//	understudy_retry_delay_seconds       agent, class    histogram
//	understudy_questions_total           agent           put before a person
//	understudy_decisions_total           agent, decision
//	understudy_breaker_changes_total     agent, to
//
// result is full, recovered, reduced, failed or interrupted (an interrupt of the
// framework's, a caller who left).
//
// Read when it is scraped, of Options.Agents and Options.Questions:
//
//	understudy_breaker_state             agent, state    1 for the state it is in, 0 for the others
//	understudy_breaker_shut_seconds      agent           until it lets a call through
//	understudy_level                     agent           0 full to 3 emergency
//	understudy_level_pinned              agent           1: held by hand
//	understudy_failed_calls              agent           since the last recovery
//	understudy_retries_spent             agent           1: it gets one attempt a call
//	understudy_retry_budget_ratio        agent           0 to 1: what is left
//	understudy_others_answer             agent           1: others answer for it
//	understudy_in_flight                 agent
//	understudy_waiting                   agent
//	understudy_left_behind               agent
//	understudy_pace_calls_per_minute     agent
//	understudy_pace_tokens_per_minute    agent
//	understudy_questions_open
//
// What an agent does not have (a breaker, a ladder, a pace, retries) has no series.
// Chains of one name are one agent: what they count is added up.
//
// grafana/understudy.json is a dashboard for these metrics: import it, and choose the
// data source.
//
// # What is never written
//
// Requests, answers, the text of errors, and who decided. Labels are names of agents
// and stand-ins, and words of ours: as many series as your configuration has names,
// whatever callers do.
//
// # Price
//
// A healthy call pays for two histograms and one traced context: 0.5 µs and 7 allocations
// (BenchmarkHealthy).
package prometheus
