# The front door: `make` alone lists what there is. Needs Python 3.11 or newer; everything else is installed in .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The prerequisites of a target are steps: first .venv, then the project in it.
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOMS := runllm store gateways worker
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# Two at a time: much of what servers' tests take is waiting. Files stay whole, for what their tests share, and in order.
AT_ONCE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# The platforms' specifications and the proxy that reads them. They are no part of this project.
SPECS ?= ../shared
# A program that brings Docker Compose to a machine without it: `up PORTS`, `run COMMAND`, `down`.
COMPOSE_ENGINE ?= $(abspath $(wildcard $(SPECS)/tools/compose-engine))
# A selection that matches nothing is not a failure here: pytest answers 5 for it.
OR_NONE := || [ $$? -eq 5 ]
COMPILE := $(BIN)/uv pip compile --quiet pyproject.toml --group build --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate
# The engine's lock is a part of the other one, so that a .venv can grow from the one to the other.
SAME_VERSIONS := --constraints requirements/dev.lock

##@ Start

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: dev
dev: install ## start everything on this machine and serve until Ctrl-C
	@exec $(BIN)/runllm dev

.PHONY: install
install: $(VENV)/.engine-stamp $(VENV)/.project-stamp ## make .venv with what the engine needs

.PHONY: install-dev
install-dev: $(VENV)/.dev-stamp $(VENV)/.project-stamp ## make .venv with what the tests and checks need too

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: $(PYTHON) is missing or older than Python 3.11; run make PYTHON=python3.12, say" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "make: $(PYTHON) cannot make .venv; on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }

# The locks, not pyproject.toml, decide what is installed; a stamp is newer than its lock when .venv has all of it.
$(VENV)/.engine-stamp: requirements/engine.lock | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r $<
	@touch $@

$(VENV)/.dev-stamp: requirements/dev.lock | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r $<
	@touch $@ $(VENV)/.engine-stamp

# Editable, so this is needed again only when names in pyproject.toml (version, scripts) change.
$(VENV)/.project-stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

##@ Test

.PHONY: test
test: install-dev ## run the ordinary tests, the quick ones first (browser tests need chromium)
	$(PYTEST) $(AT_ONCE)

.PHONY: test-all
test-all: install-dev ## run the long tests as well: twenty kills of each process, publishing amid conversations
	$(PYTEST) $(AT_ONCE) --also long

.PHONY: test-unit
test-unit: install-dev ## run the tests that need no server, no database and no browser
	$(PYTEST) $(AT_ONCE) -m "not (store or workflow or browser or faults or slow)" $(OR_NONE)

.PHONY: test-store
test-store: install-dev ## run the store's tests on SQLite and PostgreSQL
	$(PYTEST) -m store $(OR_NONE)

.PHONY: test-workflow
test-workflow: install-dev ## run the session's tests on a Temporal dev server
	$(PYTEST) -m "workflow and not faults" $(OR_NONE)

.PHONY: test-replay
test-replay: install-dev ## replay the recorded histories against today's code
	$(PYTEST) tests/replay $(OR_NONE)

.PHONY: test-browser
test-browser: install-dev chromium ## run the widget's and the console's tests in a real browser
	$(PYTEST) -m browser -rs $(OR_NONE)

.PHONY: test-faults
test-faults: install-dev ## kill each process twenty times in the middle of turns (ten minutes)
	$(PYTEST) $(AT_ONCE) -m faults --also long $(OR_NONE)

.PHONY: compose-test
compose-test: install-dev ## build the containers, talk, restart each of them, and count (needs Docker Compose)
	COMPOSE_ENGINE="$(COMPOSE_ENGINE)" $(PYTEST) tests/compose --also compose -rs --capture=no $(OR_NONE)

.PHONY: contract
contract: install-dev ## have the official specifications in ../shared judge the adapters' traffic
	@if [ -d "$(SPECS)/specs" ]; then RUNLLM_SPECS="$(abspath $(SPECS))" $(PYTEST) -m contract --also long $(OR_NONE); \
	else echo "make: $(SPECS)/specs is not there, so nothing judges the adapters' traffic"; fi

.PHONY: slack-burst
slack-burst: install-dev ## 50 events a second from Slack while Temporal stands still: each answered in half a second
	BURST_ACK=0.5 BURST_SECONDS=$${BURST_SECONDS:-10} $(PYTEST) tests/faults/test_slack_live.py -k burst -s -p no:xdist

.PHONY: chromium
chromium: # the browser of the tests, installed only where that needs no question
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else echo "make: chromium is not installed, so the browser tests are skipped; install it to run them" >&2; fi

.PHONY: record-history
record-history: install-dev ## record the example workflows' histories under tests/replay/histories
	$(BIN)/python -m tests.replay.record

.PHONY: pages
pages: install-dev ## draw what the platforms show after the runs of the pages about them
	WRITE_PAGES=1 $(PYTEST) tests/crossing/test_escalation.py tests/crossing/test_pictures.py

.PHONY: bench
bench: install-dev ## take the figures of docs/benchmarks.md (a quarter of an hour; PART=turn takes one part)
	$(BIN)/python -m benchmarks $(PART)

##@ Documentation

.PHONY: docs
docs: install-dev ## build the documentation into site/; a broken link fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.PHONY: docs-serve
docs-serve: install-dev ## show the documentation on http://127.0.0.1:8000 while you write it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

.PHONY: bench-answers
bench-answers: install-dev ## measure what is found and how sure it is (needs data sets; see docs/benchmarks-answers.md)
	$(BIN)/python -m benchmarks.answers

##@ Check

.PHONY: check
check: lint type docs test ## lint, types, documentation, ordinary tests; CI runs the long ones too

.PHONY: lint
lint: install-dev ## check style, import direction and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/codespell

.PHONY: type
type: install-dev ## check types, and the public API as a customer's editor sees it
	$(BIN)/mypy $(ROOMS) $(wildcard tests/typing)
	$(BIN)/mypy $(wildcard examples/*.py) benchmarks
	$(if $(wildcard tests/typing/*.py),$(BIN)/basedpyright --warnings tests/typing)

.PHONY: fmt
fmt: install-dev ## format the code and apply the safe fixes
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

##@ Maintain

.PHONY: lock
lock: install-dev ## resolve the dependencies again and write both locks
	$(COMPILE) --upgrade --output-file requirements/dev.lock --extra dev
	$(COMPILE) --upgrade --output-file requirements/engine.lock --extra engine $(SAME_VERSIONS)

.PHONY: lock-check
lock-check: install-dev ## fail when a lock no longer fits pyproject.toml
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && cp requirements/*.lock "$$tmp" && \
	$(COMPILE) --output-file "$$tmp/dev.lock" --extra dev >/dev/null && \
	$(COMPILE) --output-file "$$tmp/engine.lock" --extra engine $(SAME_VERSIONS) >/dev/null && \
	for lock in dev engine; do cmp -s "$$tmp/$$lock.lock" requirements/$$lock.lock || { \
		echo "make: requirements/$$lock.lock does not fit pyproject.toml; run make lock and commit it" >&2; \
		exit 1; }; done

.PHONY: build
build: install-dev ## build the wheel into dist/
	$(BIN)/hatchling build --target wheel

.PHONY: clean
clean: ## remove .venv, caches and builds (conversations in .runllm stay)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
