# Backstitch: what can be run here. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
GO ?= go
LINT_VERSION := v2.15.0
LINT := build/bin/golangci-lint

.PHONY: help demo test test-newest mutants test-unit race bench lint build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build ./build/backstitch
	$(GO) build -o build/backstitch .

demo: build ## watch a legacy system move into Stytch while people keep using it
	./build/backstitch demo $(DEMO_FLAGS)

test: ## run all tests on real servers, which it starts itself
	$(GO) run ./integration/testrun $(GO) test -count=1 -timeout 30m ./...

test-newest: ## run the producers' tests on the newest PostgreSQL, those of routes on 16 to 18
	$(GO) run ./integration/testrun -newest $(GO) test -count=1 -timeout 20m ./producers/...
	for major in 16 17 18; do \
	  $(GO) run ./integration/testrun -postgres $$major $(GO) test -count=1 -timeout 20m -run 'TestCompile|TestDerived|TestFollowingDerived' ./consumers/transform || exit 1; \
	done

mutants: ## break the derivation of routes in every listed way: the tests must notice (up to an hour)
	BACKSTITCH_MUTANTS=1 $(GO) run ./integration/testrun $(GO) test -count=1 -timeout 2h -parallel 2 -run TestMutants ./consumers/transform/derive

test-unit: ## run the tests that need no servers
	$(GO) test -short ./schemas/... ./internal/... ./pipeline/config/... ./pipeline/sandbox/stytch/... ./consumers/stytch/...

race: ## run the unit tests under the race detector
	$(GO) test -race -count=1 -short ./schemas/... ./internal/... ./consumers/stytch/... ./pipeline/config/... ./pipeline/sandbox/stytch/... ./pipeline/lag
	$(GO) test -race -count=1 -run TestAPollBesideAFill ./consumers/transform

bench: ## measure, print a table and write build/bench.json
	@mkdir -p build
	$(GO) run ./integration/testrun $(GO) run ./integration/bench -out build/bench.json $(BENCH_FLAGS)

lint: $(LINT) ## vet and lint
	$(GO) vet ./...
	$(LINT) run --allow-parallel-runners ./...

$(LINT):
	GOBIN=$(CURDIR)/build/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

clean: ## remove what was built
	rm -rf build
