# Every target sets up what it needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test unit faults lock lint format bench openapi docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment

$(READY): pyproject.toml constraints.txt scripts/find-python
	@python=$$(scripts/find-python) || exit 1; \
	if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "Making $(VENV) with $$($$python --version) …"; rm -rf $(VENV); $$python -m venv $(VENV); \
	fi
	@echo "Installing Seawall and its tools …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all]' --group dev
	@touch $@

demo: $(READY) ## Seed the store, serve it, drive a minute of traffic, and stay up to be tried
	@PYTHONPATH=examples $(BIN)/python -m storefront demo $(DEMO)

# Arguments are for one pytest: make test PYTEST='-k limits'
test: $(READY) $(if $(PYTEST),lint) ## Run every check and test (browser tests need Chromium; CI installs it)
	@$(BIN)/python $(if $(PYTEST),-m pytest $(PYTEST),scripts/run_tests.py)

unit: $(READY) ## Run the tests that need no server
	@$(BIN)/python -m pytest tests/unit

faults: $(READY) ## Run the fault scenarios in full size (many minutes)
	@SEAWALL_FAULTS=full $(BIN)/python -m pytest -s -m "full or not full" tests/faults \
		tests/integration/carriers/test_differential.py tests/integration/concurrency/test_side_by_side.py \
		tests/integration/lifecycle/test_rolling.py tests/unit/concurrency/test_cancellations.py $(PYTEST)

lock: $(READY) ## Bring the pinned versions up to date
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--no-annotate --no-header --output-file constraints.txt

lint: $(READY) ## Check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: $(READY) ## Put the code into its form
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

bench: $(READY) ## Measure Seawall side by side with its peers (needs wrk; Go for net/http and Gin)
	@$(BIN)/python benchmarks/guards.py
	@$(BIN)/python benchmarks/run.py $(BENCH)

openapi: $(READY) ## Print the store's API document
	@PYTHONPATH=examples $(BIN)/seawall openapi storefront.app:service

docs: $(READY) ## Bring the snippets in the docs up to date with the files they show
	@$(BIN)/python scripts/sync_docs.py

clean: ## Remove what was built
	@rm -rf $(VENV) benchmarks/.venv benchmarks/build .mypy_cache .ruff_cache .pytest_cache .hypothesis
