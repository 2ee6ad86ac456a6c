# `make` or `make help` lists the targets. Everything runs in .venv, which `make setup` makes from
# requirements/dev.lock with plain pip. The only requirement is Python 3.11 or later.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$name; break; fi; done)
UV ?= uv
ARGS ?=
# Tests wait more than they compute, so use one process more than cores.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check format reference bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with all dependencies, unless it is up to date

$(READY): requirements/dev.lock
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: delivery needs Python 3.11 or later, and none is on the PATH." >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
		echo "or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(PYTHON) is older than Python 3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(PYTHON) cannot make virtual environments." >&2; \
		echo "Debian and Ubuntu keep that apart: apt-get install python3-venv" >&2; exit 1; }
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

demo: $(READY) ## deliver 1,000 triggers and print a report, in about ten seconds (ARGS=--keep: do not stop)
	$(BIN)/delivery demo $(ARGS)

test: $(READY) ## run all tests in parallel (ARGS="-k word" selects, JOBS=0: one process)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

fuzz: $(READY) ## run property tests for a minute (ARGS="--seconds 3600" for longer)
	$(BIN)/python -m tests.property.fuzz $(ARGS)

check: $(READY) ## check formatting, lint, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(READY) ## format the code, and apply automatic fixes of the linter
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

reference: $(READY) ## update docs/cli.md and docs/library.md from help and docstrings
	$(BIN)/python -m delivery.cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	$(BIN)/python -m tests.support.library_reference > docs/library.md.new
	mv docs/library.md.new docs/library.md

bench: $(READY) ## run all benchmarks, half an hour, and update docs/benchmarks.md (ARGS="latency wal" selects)
	$(BIN)/python -m bench.report $(ARGS)

lock: ## update requirements/*.lock (needs uv on the PATH, or UV=/path/to/uv)
	@command -v $(UV) >/dev/null || { echo "make: uv is missing: pip install uv" >&2; exit 1; }
	$(UV) pip compile pyproject.toml --extra all --group dev $(LOCKING) -o requirements/dev.lock
	$(UV) pip compile pyproject.toml --extra all $(LOCKING) -o requirements/runtime.lock

LOCKING := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

clean: ## remove .venv and the caches of all tools
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
