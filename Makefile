# `make help` lists the targets. Every target sets up what it needs; on a ready machine that takes no time.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup image demo demo-down test check check-lint check-types check-unit format fuzz generate unit integration e2e cluster-up cluster-down bench bench-issuer bench-operator bench-profile bench-smoke clean

PROVIDER ?= auto
KEEP ?=
TOUR ?=
NODE ?=
TRANSCRIPT ?=
PYTEST_ARGS ?=
IMAGE ?=
BASE_IMAGE ?=
OUTPUT ?=
EXAMPLES ?= 20000
BASE ?=
WORKERS ?= 2
# Marked tests that take long by nature: `make integration` has them, `make check` all others. tests/unit/test_markers.py
# sees to it that no marker is in neither.
APART = cluster or witness or proxy or fuzz
# Python is started hundreds of times: where this is set, each start would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
# Nothing is formatted or generated without being checked in: CI sees what you saw.
RUN = $(UV) run --frozen --quiet
UV = $(shell command -v uv >/dev/null && uv --version >/dev/null 2>&1 && echo uv || echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/mintls/uv/bin/uv")

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: PROVIDER=auto|embedded|kind|existing  KEEP=1 TOUR=1 (demo)  NODE=1 (cluster-up)  PYTEST_ARGS=... (test, unit, integration, fuzz)  WORKERS=$(WORKERS) (test, integration, fuzz)  EXAMPLES=$(EXAMPLES) (fuzz)"

setup: ## Install what the other targets need (uv, the virtual environment)
	@hack/setup >/dev/null

demo: setup ## Show the whole chain on a real Kubernetes API; KEEP=1 leaves it running, TOUR=1 shows more of it
	@$(RUN) hack/demo up --provider $(PROVIDER) $(if $(KEEP),--keep) $(if $(TOUR),--tour)

demo-down: setup ## End a demo that was kept
	@$(RUN) hack/demo down

test: check integration e2e ## Everything: checks, unit tests, real API server, real TLS, the demo

check: setup ## Format, lint, types, layers, generated files, unit tests; under a minute
	@$(MAKE) --no-print-directory -j2 --output-sync=target check-types check-unit check-lint

check-lint:
	@$(RUN) ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(RUN) ruff check --quiet .
	@$(RUN) lint-imports
	@$(RUN) python hack/generate --check

check-types:
	@$(RUN) mypy

check-unit:
	@$(RUN) pytest tests -m "not ($(APART) or e2e)" -q -n auto --dist worksteal $(PYTEST_ARGS)

format: setup ## Format and fix what can be fixed
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

generate: setup ## Write crds/, the API reference and the chart's README anew
	@$(RUN) python hack/generate

unit: setup check-unit ## Unit tests alone

fuzz: setup ## Look for input that the issuer does not survive: EXAMPLES of each kind, new ones each time
	@EXAMPLES=$(EXAMPLES) $(RUN) pytest tests/fuzz --hypothesis-profile=fuzz -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

integration: setup ## Tests that take long: a real Kubernetes API, programs of other languages, proxies, fuzz; WORKERS side by side, each with a cluster of its own
	@MINTLS_CLUSTER_PROVIDER=$(PROVIDER) $(RUN) pytest tests -m "$(APART)" $(if $(filter-out existing,$(PROVIDER)),-n $(WORKERS) --dist loadfile) $(PYTEST_ARGS)

image: ## Build the image with docker, podman or buildah; IMAGE=..., BASE_IMAGE=..., OUTPUT=archive
	@IMAGE=$(IMAGE) BASE_IMAGE=$(BASE_IMAGE) OUTPUT=$(OUTPUT) hack/image

e2e: setup ## Pods on a real node, from helm install to helm uninstall; says so where no node can be had; TRANSCRIPT=1 writes docs/transcript.md
	@MINTLS_CLUSTER_PROVIDER=$(PROVIDER) $(if $(TRANSCRIPT),MINTLS_WRITE_TRANSCRIPT=1) $(RUN) pytest tests/e2e -m e2e -q $(PYTEST_ARGS)

cluster-up: setup ## Start a Kubernetes API for yourself; NODE=1 with a node that runs pods
	@hack/cluster up --provider $(PROVIDER) $(if $(NODE),--node)

cluster-down: setup ## Stop it
	@hack/cluster down

bench: bench-issuer bench-operator ## Measure everything beside a peer; ends with the table of targets, met or not
	@PYTHONPATH=tests:hack $(RUN) python -m bench targets

bench-issuer: setup ## Measure the issuer beside node's oidc-provider; two cores, node, a quarter of an hour; BASE=commit measures that, too
	@PYTHONPATH=tests:hack $(RUN) python -m bench issuer $(if $(BASE),--base $(BASE))

bench-operator: setup ## Measure the operator beside cert-manager, and with 10,000 certificates; Go, half an hour; BASE=commit measures that, too
	@PYTHONPATH=tests:hack $(RUN) python -m bench operator $(if $(BASE),--base $(BASE))

bench-profile: setup ## Show where the issuer's time goes under load
	@PYTHONPATH=tests:hack $(RUN) python -m bench profile

bench-smoke: setup ## A second of each measurement: shows that they work
	@PYTHONPATH=tests:hack $(RUN) python -m bench issuer --smoke
	@PYTHONPATH=tests:hack $(RUN) python -m bench operator --smoke

clean: ## Delete caches inside the tree
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .demo dist
	@find operator hack tests -name __pycache__ -prune -exec rm -rf {} +
