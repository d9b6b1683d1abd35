# make install | test | check | demo: everything runs in .venv, which `make install` makes.
# Another interpreter: make PYTHON=python3.12 install

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install test check demo bench bench-full clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with sparseref, torch, torchvision and all that the tests need (5.5 GB)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		"sparseref needs Python 3.11 or later, and $(PYTHON) is %d.%d.\n  try: make PYTHON=python3.12 install" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

test: install ## all tests, with branch coverage of the core at 100 %
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --cov --cov-report=term-missing:skip-covered

check: install ## lint, types and the quick tests, in under 3 minutes
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -m 'not slow' --hypothesis-profile=quick --numprocesses=2 --exitfirst

demo: install ## sparsify a real sentence encoder and see what it costs, in under 5 minutes
	$(BIN)/sparseref demo

ASV := cd asv_benchmarks && ../$(BIN)/asv
ON := $(if $(MACHINE),--machine $(MACHINE))
MEASURE := run --environment existing:../$(BIN)/python --set-commit-hash $$(git rev-parse HEAD) --show-stderr

# On one thread, products of two formats with 128 tokens; a pattern that names parameters is matched with them.
QUICK := --bench '^(coding|importing|operators.Memory)' --bench 'layers.Layer.track_ratio.*, 1[)]' \
	--bench 'operators.*time_call.*(2:8:8|csr).*128, 1[)]'

# make MACHINE=NAME bench: under another name than the host's
bench: install ## time every backend once, in under 10 minutes, for the commit that is checked out
	$(ASV) machine --yes $(ON)
	$(ASV) $(MEASURE) $(ON) --quick $(QUICK)

bench-full: install ## all benchmarks, over threads and tokens, with more samples: an hour and a quarter
	$(ASV) machine --yes $(ON)
	$(ASV) $(MEASURE) $(ON)

clean: ## remove .venv and what the tools left
	rm -rf .venv dist build reports .coverage .hypothesis .pytest_cache .mypy_cache .ruff_cache
