# Everything from Python 3.11 or newer and make alone: each target builds .venv when it is missing
# or when pyproject.toml or constraints.txt have changed. `make` prints this list.
#
#   PYTHON=python3.12 make test        another interpreter
#   make test ARGS="-k detect -x"      arguments for pytest, the benchmark or the demo
#   make decisions OF=learning         one benchmark of decisions instead of all

PYTHON ?= python3
ARGS ?=
OF ?= detection learning

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

MAKEFLAGS += --no-print-directory
# A path set for another project would hide what is, or is not, installed here.
unexport PYTHONPATH PYTHONHOME

.PHONY: help demo test bench decisions lint docs clean constraints
.PHONY: lint-style lint-format lint-types lint-imports lint-spelling lint-metadata
.DEFAULT_GOAL := help

help: ## print this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1@\2/p' Makefile | awk -F@ '{printf "%-14s %s\n", $$1, $$2}'

demo: .venv/run.stamp ## serve the live story: drift, alert, retraining, recovery
	@$(BIN)/selfright demo $(ARGS)

test: .venv/dev.stamp ## run every test, in random order, warnings as errors
	@$(BIN)/python -m pytest $(ARGS)

bench: .venv/dev.stamp ## measure speed against its references in one run
	@$(BIN)/python -m benchmarks.speed $(ARGS)

decisions: .venv/peers.stamp ## simulate what OF=detection or OF=learning decides, beside its peers
	@for of in $(OF); do \
	  $(BIN)/python -m benchmarks.decisions.$$of $(ARGS) || failed=1; done; exit $${failed:-0}

lint: lint-style lint-format lint-types lint-imports lint-spelling lint-metadata ## check style, types, import contracts, spelling

lint-style: .venv/dev.stamp
	@$(BIN)/ruff check

lint-format: .venv/dev.stamp
	@$(BIN)/ruff format --check

lint-types: .venv/dev.stamp
	@$(BIN)/mypy

lint-imports: .venv/dev.stamp
	@$(BIN)/lint-imports --no-logo

lint-spelling: .venv/dev.stamp
	@$(BIN)/codespell

lint-metadata: .venv/dev.stamp
	@$(BIN)/validate-pyproject pyproject.toml

docs: .venv/dev.stamp ## run every code block of the documentation
	@$(BIN)/python -m pytest tests/docs $(ARGS)

clean: ## remove whatever the other targets made
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

constraints: .venv/python.stamp ## pin the newest versions that pyproject.toml allows
	@rm -rf .venv/newest && $(BIN)/python -m venv .venv/newest
	@.venv/newest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,benchmarks]'
	@{ sed -n '/^#/p' constraints.txt; \
	   .venv/newest/bin/python -m pip freeze --exclude-editable; } > .venv/constraints.txt
	@rm -rf .venv/newest && mv .venv/constraints.txt constraints.txt

# The environment. A stamp is touched only after its step succeeded, so a broken build is repeated.
# The demo needs a quarter of what the tests need, and is what a newcomer runs first.

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Selfright needs Python 3.11 or newer; '$(PYTHON)' is `$(PYTHON) --version 2>&1`." >&2; \
	  echo "Name another with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make environments: its modules venv and ensurepip are missing." >&2; \
	  echo "Debian and Ubuntu have them in the package python3-venv." >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/run.stamp: .venv/python.stamp pyproject.toml constraints.txt
	@echo "Installing into .venv (once, under a minute) ..."
	@$(INSTALL) -e '.[analytics]'
	@touch $@

.venv/dev.stamp: .venv/python.stamp pyproject.toml constraints.txt
	@echo "Installing into .venv with all that the tests need (once, a minute or two) ..."
	@$(INSTALL) -e '.[dev]'
	@touch .venv/run.stamp $@

.venv/peers.stamp: .venv/dev.stamp
	@echo "Installing the peers to compare with into .venv (once, a minute or two) ..."
	@$(INSTALL) -e '.[dev,benchmarks]'
	@touch $@
