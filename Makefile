# Every target is one command that could be typed by hand; `make` alone lists them.

export GOWORK := off

COVER_MIN ?= 92
FUZZTIME  ?= 20s
SCENARIOS ?= lab/scenarios

.DEFAULT_GOAL := help
.PHONY: help demo demo-stream demo-orders demo-console demo-fleet demo-gateway test lint bench lab fuzz cover tidy

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## the story: a game master's agents fail, the players never notice
	@sh .ci/demo tavern

demo-stream: ## the same while the answer is streaming
	@sh .ci/demo streaming

demo-orders: ## an order desk at the worst moments: each order is paid once, and twice without a journal
	@sh .ci/demo orders

demo-gateway: ## an OpenAI endpoint over three providers: one limited, one slow, one dead, and nobody notices
	@sh .ci/demo gateway

demo-console: ## a stream of players, a provider that fails, and a console in the browser: http://127.0.0.1:7070/
	@sh .ci/demo tavern -console 127.0.0.1:7070

demo-fleet: ## three processes share a breaker; one of them is killed, and then the store
	@sh .ci/demo fleet

test: ## everything that must pass, in every module: gofmt, vet, staticcheck, tests; RACE=1 adds the race detector
	@sh .ci/check gofmt vet staticcheck $(if $(RACE),race) plain

lint: ## gofmt, vet, staticcheck and the house rules, without the tests
	@sh .ci/check gofmt vet staticcheck house golangci

bench: ## benchmarks, and the overhead table if internal/bench is there
	go test -run '^$$' -bench . -benchmem ./...
	@if [ -f internal/bench/go.mod ]; then cd internal/bench && go run ./cmd/overhead; fi

lab: ## the outage lab; SCENARIOS=folder, as seen from internal/bench
	cd internal/bench && go run ./cmd/lab -scenarios $(SCENARIOS)

fuzz: ## every fuzz function for FUZZTIME (20s) each
	@FUZZTIME='$(FUZZTIME)' sh .ci/fuzz

cover: ## coverage of the public packages; fails under COVER_MIN (92) percent
	@COVER_MIN='$(COVER_MIN)' sh .ci/cover

tidy: ## go mod tidy in every module
	@sh .ci/tidy
