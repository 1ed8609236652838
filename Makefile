# make help tells what there is. Needs Python >= 3.11, make and git; everything else goes into a private .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The Python that makes the environments: the first one from 3.11 up that really runs. Or say: make test PYTHON=...
PYTHON ?= $(shell tools/pythons | head -n 1)
VENV ?= .venv
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help test check pytest test-all test-browser test-oldest simulate chaos leaks rebalance demo bench docs test-docs clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

test: check pytest ## linters, types, import contracts, then all tests

check: $(VENV)/installed ## linters, types and import contracts only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Most tests wait for brokers and processes, so three run at once on two cores; each of the three has brokers of its own.
# A file stays with one of the three: what it starts, it starts once. The longest come first (tests/conftest.py).
PYTEST_ALL = -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Tests start hundreds of processes: compiled once, each of them starts sooner.
pytest: $(VENV)/installed ## all tests in parallel, or PYTEST_ARGS="tests/unit/test_codecs.py -k json" in one process
	$(BIN)/python -m compileall -q core core_messaging cli plugins dashboard
	$(BIN)/python -m pytest $(or $(PYTEST_ARGS),$(PYTEST_ALL))

test-all: check ## all tests on every Python from 3.11 up that is found
	@for python in $$(tools/pythons); do \
	  version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "== Python $$version ($$python)"; \
	  $(MAKE) --no-print-directory pytest PYTHON=$$python VENV=.venv-$$version; \
	done

test-oldest: .venv-oldest/installed ## unit tests with the oldest version of each dependency that pyproject.toml allows
	CORE_SEEDS=5 .venv-oldest/bin/python -m pytest $(PYTEST_ALL) tests/unit

.venv-oldest/installed: tools/oldest_versions.py

simulate: $(VENV)/installed ## thousands of seeded schedules of crashes, rebalances and broker trouble (SEEDS=3000: about an hour)
	CORE_SEEDS=$(or $(SEEDS),3000) $(BIN)/python -m pytest --timeout 3000 --show-capture=no tests/unit/testing/test_simulation.py

chaos: $(VENV)/installed ## three workers on three nodes while everything breaks, 160,000 messages (Java and Maven, some minutes)
	$(BIN)/python -m chaos $(CHAOS_ARGS)

leaks: $(VENV)/installed ## ten minutes of rebalances and retries: memory must not grow (Java and Maven)
	$(BIN)/python -m chaos --only leaks $(CHAOS_ARGS)

rebalance: $(VENV)/installed ## how long a group stands still after a crash, a join and a leave; bars (Java and Maven, five minutes)
	$(BIN)/python -m benchmarks.rebalance

demo: .venv-demo/installed ## an embedded broker, an SMTP server, 2,400 e-mail tasks and the worker package that sends them
	@.venv-demo/bin/python -m demo

bench: .venv-bench/installed ## beside raw aiokafka and seven peers (Java and Maven; half an hour, or BENCH_ARGS=--quick)
	@.venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

.venv-bench/installed: benchmarks/peers.txt

docs: .venv-docs/installed ## the documentation site, in build/site; warnings are errors
	rm -rf build/site
	.venv-docs/bin/python -m sphinx -W --keep-going --quiet -b html docs build/site

test-docs: docs ## build the site and check it: links, pictures, names; it works offline
	.venv-docs/bin/python -m pytest -q -p no:cacheprovider -c docs/site/pytest.ini --confcutdir docs/site docs/site

test-browser: $(VENV)/installed docs ## the dashboard and the site in a headless Chromium (its driver too; Java and Maven)
	$(BIN)/python -m pytest -rs tests/browser

clean: ## remove the environments, caches and what was built
	rm -rf .venv .venv-* .core dist build docs/generated .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# With commas, which would end an argument of $(if ...).
BENCH_EXTRAS = otel,prometheus,speed

# A stamp is newer than pyproject.toml exactly when what that asks for is installed.
%/installed: pyproject.toml
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  echo "no Python from 3.11 up was found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "installing into $* with $$python"; \
	"$$python" -m venv $*; \
	$(if $(findstring oldest,$*),$*/bin/python tools/oldest_versions.py > $*/oldest.txt;) \
	$*/bin/python -m pip install --quiet --disable-pip-version-check \
	  $(if $(findstring oldest,$*),--constraint $*/oldest.txt) \
	  $(if $(findstring bench,$*),--editable '.[$(BENCH_EXTRAS)]' -r benchmarks/peers.txt,--editable '.[$(or $(findstring demo,$*),$(findstring docs,$*),dev)]')
	@touch $@
