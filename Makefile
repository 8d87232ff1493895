# Needs Python 3.11 or newer and make, nothing else.
# Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
PIP_FLAGS := --disable-pip-version-check --quiet
# Pyright would otherwise ask the network whether a newer release exists.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: demo test lint types pytest format bench recursive crash dev lock clean

demo: $(VENV)/.installed
	$(VENV)/bin/python examples/folder_report.py

test: lint types pytest

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(VENV)/.dev
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

pytest: $(VENV)/.dev
	$(VENV)/bin/pytest

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m benchmarks
	$(BENCH_VENV)/bin/python -m benchmarks.sandbox

# Long inputs answered in several ways; the models are functions. 100 MB take some minutes.
recursive: $(VENV)/.dev
	$(VENV)/bin/python -m benchmarks.recursive --sizes 10kB 100kB 1MB 10MB 100MB --seeds 2

# Prints its seed, and each case that went wrong as arguments that repeat it.
crash: $(VENV)/.dev
	$(VENV)/bin/python -m tests.journal.rig --kills 5000

dev: $(VENV)/.dev

%/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tinyagents needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name a newer one: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $*
	@touch $@

# pip takes no constraints for an isolated build, so the build backend is installed first and
# used without isolation: it is pinned like everything else.
$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt hatchling editables
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

$(BENCH_VENV)/.installed: $(BENCH_VENV)/.python pyproject.toml constraints-bench.txt
	$(BENCH_VENV)/bin/python -m pip install $(PIP_FLAGS) -c constraints-bench.txt hatchling editables
	$(BENCH_VENV)/bin/python -m pip install $(PIP_FLAGS) -c constraints-bench.txt --no-build-isolation -e '.[bench]'
	@touch $@

# Pins the newest releases that fit pyproject.toml, for every supported Python and platform.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
	--strip-extras --no-header --no-annotate --no-emit-index-url
lock: $(VENV)/.python
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) uv
	$(VENV)/bin/$(LOCK) --extra dev --output-file constraints.txt
	$(VENV)/bin/$(LOCK) --extra bench --extra dev --output-file constraints-bench.txt

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
