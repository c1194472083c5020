# make demo        set up and run the demo: a million orders through a workflow
# make test        set up and run the tests of the code
# make check       lint, types, import contracts, and the tests of the documentation
# make crash-test  create faults for real, kill twenty coordinators and twenty workers, and check
#                  that nothing is lost
# make fuzz        try random steps, values, files and queries (BATCHFLOW_FUZZ=100 for a hundred
#                  times as many)
# make wheel-test  build the wheel and run the tests against it, outside the source tree
#                  (TESTS=tests/unit for some of them)
# make bench       measure the speed table, 1M runs a row, into .benchmarks/speed.json
#                  (BENCH=--runs=100000 for a quick look, BENCH=--large for 16M runs too)
# make nights      simulate thirty nights of a million runs each, pruned after three, and show that
#                  the file stays level (NIGHTS=--runs=100000 for a quick look)
# make sabotage    drain with steps that break their workers, in 30 random orders
# make ray-test    start a Ray cluster on this machine, and run the tests of the executor for Ray
# make soak        kill ten thousand coordinators, and check that nothing is lost or duplicated; then
#                  the tests of Ray, and make fuzz with twenty times as many examples; takes hours
#                  (SOAK="--kills=500 --deaths=0" for some of them, SOAK=--seed=17:3 for the one
#                  round with this seed again)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
BENCH ?=
NIGHTS ?=
SOAK ?= --kills=10000 --deaths=30000
TESTS ?= tests
RAY_TESTS ?= tests/cluster
CODE_TESTS := tests/unit tests/integration tests/cli --ignore=tests/integration/faults
FAULT_TESTS := tests/crash tests/integration/faults
# The files with tests that are marked alone; to look for these in all files takes pytest seconds.
ALONE_IN := grep --recursive --files-with-matches --include='test_*.py' mark.alone
ALONE_CODE_TESTS = $(shell $(ALONE_IN) --exclude-dir=faults tests/unit tests/integration tests/cli)
# Three, because many tests wait for a process or a time that is over.
PARALLEL := --numprocesses=3 --dist=worksteal
# Without a limit, as BATCHFLOW_FUZZ=100 takes hours.
FUZZ := $(PARALLEL) --timeout=0 --override-ini=faulthandler_timeout=0 tests/fuzz
BENCH_VENV := .venv-bench

# Some environments set this, such as containers. Without stored bytecode, each process compiles
# the whole package again, which doubles the time that it takes to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check crash-test fuzz ray-test wheel-test bench nights sabotage soak clean

demo: $(VENV)/.ready
	$(BIN)/batchflow demo

test: $(VENV)/.ready-dev
	$(BIN)/pytest $(PARALLEL) -m "not alone" $(CODE_TESTS)
	$(BIN)/pytest -m alone $(ALONE_CODE_TESTS)

# mypy takes one core, and as long as the tests.
check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy & types=$$!; code=0; \
	$(BIN)/pytest $(PARALLEL) tests/docs || code=$$?; \
	wait $$types && exit $$code

# Its files are on a disk, whose delays let coordinators and workers die at other moments.
crash-test: export PYTEST_DEBUG_TEMPROOT ?= $(or $(TMPDIR),/tmp)
crash-test: $(VENV)/.ready-dev
	$(BIN)/pytest $(PARALLEL) $(FAULT_TESTS)

fuzz: $(VENV)/.ready-dev
	$(BIN)/pytest $(FUZZ)

ray-test: $(VENV)/.ready-dev
	$(BIN)/pytest $(RAY_TESTS)

# What is measured is what a user gets: in an environment with the core dependencies alone, since
# PyArrow imports pandas wherever it finds it, in each worker.
bench: $(BENCH_VENV)/.ready
	mkdir -p .benchmarks
	$(BENCH_VENV)/bin/pytest benchmarks --benchmark-enable --benchmark-json=.benchmarks/speed.json \
		--benchmark-columns=median,iqr,rounds --timeout=0 \
		--override-ini=faulthandler_timeout=0 $(BENCH)

nights: $(BENCH_VENV)/.ready
	$(BENCH_VENV)/bin/python benchmarks/nights.py $(NIGHTS)

sabotage: $(VENV)/.ready-dev
	BATCHFLOW_SABOTAGE=30 $(BIN)/pytest tests/integration/faults/test_sabotage.py

soak: $(VENV)/.ready-dev
	PYTHONPATH=tests/kit/without_pandas $(BIN)/python tests/crash/crash_driver.py $(SOAK)
	BATCHFLOW_FUZZ=2 $(BIN)/pytest tests/integration/store/test_ways_of_values.py
	$(BIN)/pytest $(RAY_TESTS)
	BATCHFLOW_FUZZ=20 $(BIN)/pytest $(FUZZ)

# The tests are copied to a folder without the package, so that they can only import the wheel's. The
# flights that they read are beside the tree, as usual. All other packages are those of the tests'
# environment; its own link to the tree isn't followed from there.
wheel-test: $(VENV)/.ready-dev
	outside=$$(mktemp -d) && trap 'rm -rf "$$outside"' EXIT; \
	$(BIN)/python -m build --no-isolation --wheel --outdir "$$outside/dist" . > "$$outside/build.log" \
		|| { cat "$$outside/build.log"; exit 1; }; \
	$(BIN)/python -m venv --without-pip "$$outside/venv"; \
	$(BIN)/python -m pip --python "$$outside/venv/bin/python" install --quiet \
		--disable-pip-version-check --no-deps "$$outside"/dist/*.whl; \
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$("$$outside/venv/bin/python" -c \
			'import sysconfig; print(sysconfig.get_path("purelib"))')/others.pth"; \
	mkdir "$$outside/tree"; \
	cp -r tests $(wildcard notebooks docs benchmarks) *.md pyproject.toml "$$outside/tree"; \
	ln -s "$(abspath ..)/shared" "$$outside/shared"; \
	cd "$$outside/tree"; \
	"$$outside/venv/bin/python" -P -c 'import batchflow, sys; \
		assert batchflow.__file__.startswith(sys.prefix), batchflow.__file__'; \
	"$$outside/venv/bin/batchflow" --help > "$$outside/help"; \
	"$$outside/venv/bin/python" -m pytest --numprocesses=2 $(TESTS)

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist

$(BENCH_VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --editable '.[bench]'
	touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "batchflow needs Python 3.11 or newer, found $$($(PYTHON) --version);" \
			"name another with make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) --editable .
	touch $@

# Without compiling all modules of all packages, as most are never imported; Python compiles the
# others when it first imports them.
$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) --no-compile --editable '.[dev]'
	touch $@ $(VENV)/.ready
