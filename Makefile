# Every target does its own set-up. PYTHON is the interpreter that .venv is made with.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# The tests start hundreds of processes: each would compile the package anew where an environment
# forbids to write bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test torture check lint types bench clean

help:
	@echo "make demo    install, run search_spaces/digits.yaml, print its best trials"
	@echo "make test    install, run the tests"
	@echo "make torture the tests that take minutes: many kills, every fault"
	@echo "make check   lint, types and tests: what CI runs"
	@echo "make bench   the benchmarks whose figures the README gives"
	@echo "make clean   remove .venv (studies in runs/ stay)"

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/installed
	$(BIN)/sweep run search_spaces/digits.yaml
	$(BIN)/sweep best digits

test: .venv/installed
	$(BIN)/pytest -n 2 --dist worksteal

torture: .venv/installed
	$(BIN)/pytest -m long --timeout 3600

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/installed
	$(BIN)/mypy

check: lint types test

bench: .venv/installed
	$(BIN)/python benchmarks/efficiency.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/live.py
	$(BIN)/python benchmarks/scale.py

clean:
	rm -rf .venv
