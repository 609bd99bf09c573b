# tenon: `make help` says what there is to say.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PYTHON ?= python3.11
export PYTHON

VENV := var/venv
# A process for each core. What people's pipelines warn of is no matter here.
PYTEST = $(VENV)/bin/pytest -n auto --disable-warnings
VENV_STAMP := $(VENV)/.made
LINT := bin/tools/golangci-lint

# C and what needs it is vetted where it is built; everything else on the other
# platforms too, where nothing is linked against ONNX Runtime.
PORTABLE = $(shell go list -f '{{.ImportPath}} {{join .Deps " "}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... \
	| grep -v -e /runtime/ort -e /tenon/cmd/ | cut -d ' ' -f 1)

.PHONY: help build run check test format clean
help: ## print this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

build: go kit ## bin/tenon, and var/venv with the Python kit

run: build ## train the examples, serve them on 127.0.0.1:8080, say what to try
	@scripts/run

check: ## lint, vet, layers, Go tests with the race detector
	@scripts/phases tools build lint vet cross tidy race

test: ## check, then the Python tests and end to end; what CI runs
	@scripts/phases tools build lint vet cross tidy race python e2e

.PHONY: test-torch
test-torch: # the long form for torch and Keras, in an environment of its own (5 GB)
	@scripts/test-torch

format: $(LINT) ## write Go and Python files as the linters want them
	$(LINT) fmt
	$(VENV)/bin/ruff format --exclude '*.md' --config python/pyproject.toml python models scripts

clean: ## remove what was built, but not the registry
	rm -rf bin $(VENV) var/bundles

# The phases, one by one.

.PHONY: go kit tools lint vet cross tidy race python e2e
go:
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/tenon ./cmd/tenon

kit: $(VENV_STAMP)

$(VENV_STAMP): python/requirements.lock python/pyproject.toml scripts/venv
	@scripts/venv
	@touch $@

tools: $(LINT)

$(LINT): tools/go.mod tools/go.sum
	go -C tools build -o ../bin/tools/ tool

lint: $(LINT)
	$(LINT) run

vet:
	go vet ./...

# Nothing of it is run, so dependencies are compiled without optimising: half the time.
cross:
	@for os in darwin linux; do \
		echo "go vet for $$os/arm64"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=arm64 go vet -gcflags=all='-N -l' $(PORTABLE); \
	done

tidy:
	go mod tidy -diff

race: kit
	go test -race ./...
	@# Allocations are counted without the race detector, which drops pooled memory at random.
	go test -run Alloc ./api/v1 ./internal/tensor
	@# All streams of canaries; with the detector, which takes ten times as long, it was a few.
	go test -run Canaries ./internal/rollout

python: kit
	$(VENV)/bin/ruff check --config python/pyproject.toml python models scripts
	$(VENV)/bin/ruff format --check --exclude '*.md' --config python/pyproject.toml python models scripts
	cd python && ../$(VENV)/bin/mypy
	$(PYTEST) python/tests --ignore python/tests/e2e

e2e: build
	$(PYTEST) python/tests/e2e

# The long forms, not part of `make test`; docs/proof.md has what they said.
.PHONY: parity
parity: build
	TENON_LONG=1 $(VENV)/bin/pytest -s --disable-warnings python/tests/test_vectors.py python/tests/test_fuzz.py
	TENON_LONG=1 $(PYTEST) python/tests/e2e/test_corpus.py

# One after the other, since times are held to their limits: hours.
.PHONY: soak
soak: build
	TENON_LONG=1 go test -count 1 -v -run PowerCuts ./registry
	TENON_LONG=1 $(VENV)/bin/pytest -s --disable-warnings $(addprefix python/tests/e2e/test_,canary.py cost.py crash.py servers.py swap.py)

# The long form, not part of `make test`: the kit's own tests of columns with pandas 2.3 laid over the environment.
.PHONY: test-pandas2
PANDAS2 := var/pandas2
$(PANDAS2): | kit
	$(VENV)/bin/python -m pip install -q --no-deps --target $@ 'pandas==2.3.3' pytz tzdata

test-pandas2: $(PANDAS2)
	PYTHONPATH=$(PANDAS2) $(VENV)/bin/pytest $(addprefix python/tests/test_,dtypes.py check.py refusals.py exact.py)
