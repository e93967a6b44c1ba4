# What to type. Each target does its own set-up, can be repeated, and says what it leaves behind.
# Nothing is written outside this folder, but for Debian packages that a target announces.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

SYSTEM_PYTHON := $(firstword $(foreach name,python3.13 python3.12 python3.11 python3 python3.14,$(shell \
  $(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
# -S: the lab's bring-up needs no package, and sees none.
LAB := $(SYSTEM_PYTHON) -S -m tests.lab
BIN := .venv/bin
PYTHON := $(BIN)/python
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Caches of the tools stay in this folder.
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export npm_config_cache := $(CURDIR)/.cache/npm
export BUILDX_CONFIG := $(CURDIR)/.cache/buildx
# Not beside the sources, and not never, as many images of Python have it: the tests start the program
# thousands of times, and without bytecode each start compiles everything anew, twice the start itself.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: python
python:
	@test -n "$(SYSTEM_PYTHON)" || { echo "Python 3.11 or newer is needed, and none is in PATH."; exit 2; }

.PHONY: venv
venv: python
	@$(LAB) venv

.PHONY: engine
engine: python
	@$(LAB) tools && $(LAB) engine

.PHONY: test
test: venv engine lint  ## Set everything up and run all tests
	@for image in base mini proxy host; do $(LAB) $$image-image || exit; done
	@$(LAB) ceph || true  # where it can't be had, the tests that need it fail and say so
	@$(LAB) writers
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

# Most tests wait for containers.
JOBS ?= 3

# Apart, since it makes the tests take half as long again.
.PHONY: coverage
coverage:  ## Run all tests, and show which lines and branches they reach
	$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

.PHONY: lint
lint: venv  ## Check style, types and the folder rule
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: demo
demo: venv engine  ## Run the whole job on examples/wine: train, compare, gate, tag, deploy
	@BASE_IMAGE=$$($(LAB) base-image) $(PYTHON) examples/demo.py

.PHONY: bench
bench: venv engine  ## Measure against bounds and peers; BENCH=name runs one
	@status=0; export BASE_IMAGE=$$($(LAB) base-image); \
	for name in $(or $(BENCH),$(filter-out report_html,$(basename $(notdir $(wildcard benchmarks/[a-z]*.py))))); do \
	  echo "== $$name"; $(PYTHON) -m benchmarks.$$name || status=1; done; exit $$status

.PHONY: docs
docs: venv  ## Write the generated pages of docs/ anew
	$(PYTHON) -m docs.generate

.PHONY: lock
lock: venv  ## Resolve the dependencies anew into requirements/*.lock
	$(BIN)/uv pip compile pyproject.toml --upgrade $(LOCK_OPTIONS) --output-file requirements/main.lock
	$(BIN)/uv pip compile pyproject.toml --upgrade $(LOCK_OPTIONS) --group dev --output-file requirements/dev.lock
	$(BIN)/uv pip compile tests/writers/requirements.in --upgrade $(LOCK_OPTIONS) --output-file requirements/writers.lock

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links

.PHONY: vendor
vendor: venv  ## Fetch the chart library that HTML reports carry, as templates/html/vendor/vendor.json says
	$(PYTHON) -m tests.lab.vendor

.PHONY: wheel
wheel: venv  ## Build the wheel into dist/ and try it in an empty environment
	rm -rf dist
	$(PYTHON) -m hatchling build --target wheel
	$(PYTHON) -m tests.lab.wheel dist/*.whl

.PHONY: clean
clean: python  ## Remove all that the other targets made
	@$(LAB) down --images --engine || true
	rm -rf .venv .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
	  .ruff_cache build dist htmlcov
	find . -name __pycache__ -prune -exec rm -rf {} +
	@echo "Debian packages that were installed on the way stay."
