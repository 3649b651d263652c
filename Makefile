# make demo   the main job, end to end, without keys
# make test   everything that CI checks
# make coverage   the same tests, half as slow again, and the lines that none of them runs
# make docs   the pages of docs/reference, from the code
# make audit   look the pinned dependencies up among known vulnerabilities (asks PyPI)
# make torture   pull the plug hundreds of times, and audit what is left (ten minutes)
# make simulate   the daemon on virtual time, cut off at random: SEEDS=1000 lives, from FIRST=0;
#                 SIMULATE=--mutants finds out how many seeds it takes to catch mistakes made on purpose
# make soak   twenty minutes of churn: does anything grow? SOAK="--minutes 1" is shorter
# make bench   how fast everything is, each figure beside a baseline of the same run
# make bench-startup   how fast the command line starts
# make bench-schedule  how well polls are placed, against the best that can be done

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test coverage check docs audit torture simulate soak bench bench-startup bench-schedule clean

demo: $(VENV)/.runtime
	$(BIN)/relay demo

test: check
	$(BIN)/pytest -n 2 --dist loadfile

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=
	$(BIN)/coverage report --fail-under=95

docs: $(VENV)/.runtime
	$(BIN)/python docs/generate.py

audit: $(VENV)/audit/.installed
	.ci/audit

TORTURE ?=

torture: $(VENV)/.runtime
	$(BIN)/python -m bench.torture $(TORTURE)

simulate: $(VENV)/.runtime
	$(BIN)/python -m bench.simulation --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),0) $(SIMULATE)

SOAK ?= --minutes 20

soak: $(VENV)/.runtime
	$(BIN)/python -m bench.soak $(SOAK)

BENCH ?= --results bench

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(BENCH)

bench-startup: $(VENV)/.runtime
	$(BIN)/python bench/startup.py

bench-schedule: $(VENV)/.bench
	$(BIN)/python -m bench.schedule

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("relay needs Python 3.11 or later, not " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt pyproject.toml | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.bench: requirements-bench.txt requirements.txt pyproject.toml | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	touch $@

$(VENV)/audit/.installed: requirements-audit.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	touch $@

clean:
	rm -rf $(VENV)
