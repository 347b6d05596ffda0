# Everything a person needs: make compare, make test. The rest serves those two.
# ARGS is handed on to the command: make compare ARGS="--limit 50 --seed 7"

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: help install compare test lint bars zoo clean

help:
	@echo "make compare   set up, then compare the three embedded models in four ways (ARGS=... is handed on)"
	@echo "make test      set up, then every check and every test"
	@echo "make install   set up only, into .venv"
	@echo "make bars      the long measurements; results go to bench/results/"
	@echo "make zoo       train the embedded models again, from their seeds (an hour or more each)"
	@echo "make clean     remove .venv and caches; runs/ stays"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Fourways needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1 || true)." >&2; \
	    echo "Name another one: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

compare: install
	$(BIN)/fourways compare $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests of these rooms mind nobody beside them and run two at a time; where times, memory or threads count, one at a time.
BESIDE := $(addprefix tests/,benchmarks evidence figures hub media report stats)

test: lint
ifeq ($(strip $(ARGS)),)
	@failed=0; $(BIN)/pytest -n 2 --dist loadfile $(BESIDE) || failed=1; \
	$(BIN)/pytest $(addprefix --ignore=,$(BESIDE)) || failed=1; exit $$failed
else
	$(BIN)/pytest $(ARGS)
endif

bars: install
	@missed=; for script in $$(grep -l __main__ bench/*.py); do \
	  echo "== $$script"; $(BIN)/python $$script $(ARGS) || missed="$$missed $$script"; done; \
	test -z "$$missed" || { echo "missed or failed:$$missed" >&2; exit 1; }

zoo: install
	$(BIN)/python -m fourways.zoo.train $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
