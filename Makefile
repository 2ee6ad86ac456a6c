# `make` or `make help` lists the targets. Everything runs in .venv, which `make setup` makes from
# requirements/dev.lock with plain pip; nothing else needs to be installed first but Python 3.11.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$name; break; fi; done)
UV ?= uv
ARGS ?=
# Tests wait more than they compute: one process more than there are cores.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check format reference bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything in it; again only when the lock changed

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

demo: $(READY) ## the whole engine on 1,000 triggers, in about ten seconds (ARGS=--keep leaves it on)
	$(BIN)/delivery demo $(ARGS)

test: $(READY) ## all tests, side by side (ARGS="-k word" for some of them, JOBS=0 for one process)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

fuzz: $(READY) ## the properties of parsers and policies for a minute (ARGS="--seconds 3600" for longer)
	$(BIN)/python -m tests.property.fuzz $(ARGS)

check: $(READY) ## formatting, lint, types, direction of the imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(READY) ## format the code, and mend what the linter can mend by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

reference: $(READY) ## update docs/cli.md and docs/library.md from help and docstrings
	$(BIN)/python -m delivery.cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	$(BIN)/python -m tests.support.library_reference > docs/library.md.new
	mv docs/library.md.new docs/library.md

bench: $(READY) ## all benchmarks, half an hour, into docs/benchmarks.md (ARGS="latency wal" for some)
	$(BIN)/python -m bench.report $(ARGS)

lock: ## write requirements/*.lock anew (needs uv on the PATH, or UV=/path/to/uv)
	@command -v $(UV) >/dev/null || { echo "make: uv is missing: pip install uv" >&2; exit 1; }
	$(UV) pip compile pyproject.toml --extra all --group dev $(LOCKING) -o requirements/dev.lock
	$(UV) pip compile pyproject.toml --extra all $(LOCKING) -o requirements/runtime.lock

LOCKING := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

clean: ## remove .venv and everything that tools leave behind
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
