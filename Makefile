# Two commands matter: `make demo` and `make test`. Both install what is missing first.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test test-all lint types unit install system docs bench clean

install: system $(STAMP)

system:
	@scripts/install-system

$(STAMP): pyproject.toml requirements.lock
	@scripts/install-python
	@touch $@

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: install
	$(VENV)/bin/mypy

test: lint types
	$(VENV)/bin/pytest -n auto -m "not slow"

test-all: lint types
	$(VENV)/bin/pytest -n auto

demo: install
	@scripts/demo

docs: install
	$(VENV)/bin/mkdocs build --strict

bench: install
	$(PY) -m benchmarks

clean:
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache
