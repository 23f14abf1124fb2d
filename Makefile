# Two commands matter on a fresh machine: `make demo` and `make test`. Each sets up what it needs in
# .venv, once: the stamp file below is newer than pyproject.toml when the environment is complete.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
AXE := axe-core@4.14.1
# A process for each core and one more, because tests wait for servers; one that has run its share takes over
# tests of another.
CORES := $(shell getconf _NPROCESSORS_ONLN)
IN_PARALLEL := -n $$(( $(CORES) + 1 )) --dist worksteal
FAST := rag_pipelines_tests/unit rag_pipelines_tests/integration/test_ingest.py

export DAGSTER_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests start many processes: their modules are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast test-matrix dev lint axe schema clients release-check sbom docs bench clean

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(STAMP)  ## Ingest a demo corpus, build and promote its index, answer sample questions.
	@$(BIN)/rag-pipelines demo

test: $(STAMP)  ## Run every test. RAG_DATA_DIR names the folder of the real corpora.
	@$(BIN)/python -m pytest $(IN_PARALLEL) --durations=20 $(ARGS)

test-fast: $(STAMP)  ## Run the tests of the inner loop: nothing marked as slow, two minutes on two cores.
	@$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow" $(FAST) $(ARGS)

test-matrix: $(STAMP)  ## Run the tests on other Pythons, the oldest libraries and other Postgres.
	@$(BIN)/python -m pip install --quiet uv
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/test_matrix.py $(ARGS)

# Dagster warns of a dagster.yaml in the current folder that is not in its home, though the home has a link to it.
dev: export DAGSTER_HOME := $(CURDIR)/.dagster
dev: $(STAMP) .dagster/dagster.yaml  ## Open the Dagster UI and daemon on RAG_CONFIG, or on the demo.
	@cd .dagster && $(abspath $(BIN))/dagster instance info > /dev/null
	@config="$${RAG_CONFIG:-$$(ls rag.yaml 2> /dev/null || true)}"; \
	if [ -n "$$config" ]; then RAG_CONFIG="$$(realpath "$$config")"; export RAG_CONFIG; \
	else export RAG_HOME="$${RAG_HOME:-$(CURDIR)/.rag}"; \
	  $(BIN)/rag-pipelines demo --serve & trap "kill $$! 2> /dev/null || true" EXIT; fi; \
	cd .dagster && $(abspath $(BIN))/dg dev --workspace ../workspace.yaml $(ARGS)

lint: $(STAMP)  ## Check style and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@for example in examples/*/*.py; do $(BIN)/mypy "$$example"; done

axe: node_modules/axe-core/axe.min.js  ## Fetch the checker of accessibility from npm, for the tests of the pages.

node_modules/axe-core/axe.min.js:
	@npm install --no-save --no-package-lock --no-audit --no-fund --fetch-retries=0 --silent $(AXE)

schema: $(STAMP)  ## Write sql/schema.sql anew, after a change of migrations or objects.
	@$(BIN)/python -m tools.dump_schema

clients: $(STAMP)  ## Write the clients of the service from its description; JavaScript into build/javascript (needs npx).
	@$(BIN)/python -m tools.build_clients
	@$(BIN)/python -m tools.build_clients --javascript build/javascript

release-check: $(STAMP)  ## Say whether this commit can be tagged.
	@$(BIN)/python -m tools.release_check

sbom: $(STAMP)  ## Write build/sbom.json (CycloneDX) of this environment, and build/licences.md.
	@mkdir -p build
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json $(BIN)/python
	@$(BIN)/python -m tools.licences --md $(EXTRAS) > build/licences.md
	@echo "build/sbom.json and build/licences.md"

docs: $(STAMP)  ## Build the documentation into build/site, with its links checked.
	@$(BIN)/python -m tools.build_docs

bench: $(STAMP)  ## Print the figures of every benchmark.
	@for program in benchmarks/*.py; do echo "== $$program"; $(BIN)/python "$$program" $(ARGS); done

clean:  ## Stop the embedded Postgres; remove the environment, the demo's data and all caches.
	@if [ -x $(BIN)/rag-pipelines ]; then RAG_DATABASE_URL= $(BIN)/rag-pipelines db stop || true; fi
	rm -rf $(VENV) .rag .dagster .matrix build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The model's library asks for any torch; the exact one is installed first so that no other is chosen.
$(STAMP): pyproject.toml
	@python=; for name in python3 python3.13 python3.12 python3.11; do \
	  if "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "error: needs Python 3.11, 3.12 or 3.13 as python3 or python3.X" >&2; exit 2; fi; \
	echo "Installing into $(VENV) with $$("$$python" --version); once, takes a few minutes ..."; \
	"$$python" -m venv $(VENV) || { echo "error: Debian and Ubuntu need: apt install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=24'
	@$(BIN)/python -m pip install --quiet '$(TORCH)'
	@$(BIN)/python -m pip install --quiet --editable '.[demo,dev]'
	@touch $@

# An empty Dagster home must be initialised by one process before the UI and the daemon open it together;
# `dev` does so with `dagster instance info`.
.dagster/dagster.yaml: dagster.yaml
	@mkdir -p .dagster
	@ln -sfn ../dagster.yaml $@
