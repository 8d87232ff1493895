# Needs Python 3.11 or newer and make, nothing else.
# Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
# How many processes the tests are spread over; 0 for none but pytest's own, as a debugger needs it.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PHOENIX_VENV ?= .venv-phoenix
MLFLOW_VENV ?= .venv-mlflow
PIP_FLAGS := --disable-pip-version-check --quiet
# Pyright would otherwise ask the network whether a newer release exists.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: demo test lint types pytest browser format bench recursive crash viewers dev lock clean

demo: $(VENV)/.installed
	$(VENV)/bin/python examples/folder_report.py

test: lint types pytest

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(VENV)/.dev
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

pytest: $(VENV)/.dev browser
	$(VENV)/bin/pytest -n $(JOBS) --dist worksteal

# The viewer's tests click in a real Chromium, from the system's packages where they may be
# installed. Without one those tests are skipped, and this says so.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get install -y -qq chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium >/dev/null) || \
	    echo "No Chromium could be installed: the viewer's browser tests are skipped."; \
	else \
	    echo "No Chromium here, and no right to install one (apt install chromium): the viewer's browser tests are skipped."; \
	fi

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m benchmarks
	$(BENCH_VENV)/bin/python -m benchmarks.sandbox
	$(BENCH_VENV)/bin/python -m benchmarks.viewing

# Long inputs answered in several ways; the models are functions. 100 MB take some minutes.
recursive: $(VENV)/.dev
	$(VENV)/bin/python -m benchmarks.recursive --sizes 10kB 100kB 1MB 10MB 100MB --seeds 2

# Prints its seed, and each case that went wrong as arguments that repeat it; before that, whether
# it sees bugs that it plants itself.
crash: $(VENV)/.dev
	$(VENV)/bin/python -m tests.journal.rig --planted
	$(VENV)/bin/python -m tests.journal.rig --kills 5000

# Shows runs to two viewers that are not ours, which are some 850 MB each, and asks these what they
# show. With BROWSER=/usr/bin/chromium it takes the pictures of docs/telemetry.md anew.
viewers: $(VENV)/.dev $(PHOENIX_VENV)/.viewer $(MLFLOW_VENV)/.viewer
	TINYAGENTS_PHOENIX=$(PHOENIX_VENV) TINYAGENTS_MLFLOW=$(MLFLOW_VENV) \
		TINYAGENTS_BROWSER=$(BROWSER) $(VENV)/bin/pytest tests/viewers

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

$(PHOENIX_VENV)/.viewer: $(PHOENIX_VENV)/.python
	$(PHOENIX_VENV)/bin/python -m pip install $(PIP_FLAGS) arize-phoenix==20.26.1
	@touch $@

$(MLFLOW_VENV)/.viewer: $(MLFLOW_VENV)/.python
	$(MLFLOW_VENV)/bin/python -m pip install $(PIP_FLAGS) mlflow==3.17.2
	@touch $@

# Pins the newest releases that fit pyproject.toml, for every supported Python and platform.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
	--strip-extras --no-header --no-annotate --no-emit-index-url
lock: $(VENV)/.python
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) uv
	$(VENV)/bin/$(LOCK) --extra dev --output-file constraints.txt
	$(VENV)/bin/$(LOCK) --extra bench --extra dev --output-file constraints-bench.txt

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(PHOENIX_VENV) $(MLFLOW_VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
