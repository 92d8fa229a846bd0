# `make demo` runs the job on a made-up organization, `make test` runs the tests.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-benchmark
SUPERSET := .venv-superset
DBT := .venv-dbt
PYTHON ?= python3

.PHONY: help install demo ui superset superset-environment test test-fast test-deep fuzz containers browser pictures lint docs wheel sbom lock benchmark clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make .venv with exactly what requirements.lock names, hashes checked

# The lock is complete, so pip need not resolve anything.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## Export seven dates of a made-up organization, and show the result
	@$(BIN)/drillster-pipeline demo

ui: install  ## Open the Dagster UI on the demo's data (http://127.0.0.1:3000)
	@test -f data/demo/demo.env || $(MAKE) demo
	@set -a; . data/demo/demo.env; set +a; \
	$(BIN)/drillster-pipeline sandbox --port $$DEMO_PORT --accounts $$DEMO_ACCOUNTS --seed $$DEMO_SEED --folder data/demo & \
	sandbox=$$!; trap 'kill $$sandbox 2>/dev/null' EXIT INT TERM; \
	$(BIN)/dg dev --host 127.0.0.1 --port $${PORT:-3000}

superset: install superset-environment  ## Open Superset with its dashboards on the demo's data (http://127.0.0.1:8088)
	@test -f data/demo/demo.env || $(MAKE) demo
	@set -a; . data/demo/demo.env; set +a; $(BIN)/python -m tests.superset

superset-environment: $(SUPERSET)/installed  ## Make .venv-superset, which the tests of the dashboards need

$(SUPERSET)/installed: tests/superset/requirements.txt tests/superset/prepare.py
	$(PYTHON) -m venv $(SUPERSET)
	$(SUPERSET)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/superset/requirements.txt
	$(SUPERSET)/bin/python tests/superset/prepare.py $(SUPERSET)/home >$(SUPERSET)/prepare.log 2>&1 || { tail $(SUPERSET)/prepare.log; exit 1; }
	@touch $@

# Without cached bytecode, each of the processes that tests start compiles for seconds whatever it imports.
unexport PYTHONDONTWRITEBYTECODE
# One worker more than cores: a third of the time, tests wait for databases and other processes.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
test: install  ## Run the tests
	$(PYTEST) -m "not deep"

test-fast: install  ## Only those that need no service and no kill
	$(PYTEST) -m "not slow and not deep"

test-deep: install $(DBT)/installed  ## Only those that take long: soak, kills, the queue, a browser, dbt
	$(PYTEST) -m deep
	$(subst $(BIN),$(DBT)/bin,$(PYTEST)) tests/dbt

# dbt Core and mypy need different versions of a package, so that dbt can't be in .venv.
$(DBT)/installed: tests/dbt/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(DBT)
	$(DBT)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/dbt/requirements.txt
	$(DBT)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# No limit of time: to make an example that fails as small as it can be takes longer than to find it.
TIMES ?= 10
fuzz: install  ## Only the property tests, with TIMES=10 as many examples, others each time (or those of a SEED=…)
	@seed=$${SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbits(32))')}; \
	echo "make fuzz TIMES=$(TIMES) SEED=$$seed"; \
	FUZZ=$(TIMES) $(PYTEST) -m hypothesis -o timeout=0 --hypothesis-seed=$$seed

containers: install  ## Build the image, run compose.yaml with Docker or podman, and test it (root; takes some ten minutes)
	@tests/containers/run

browser:  ## What the browser tests need beside Python: Debian's chromium (as root), axe-core (by npm)
	@tests/browser/install

pictures: install browser  ## Make the pictures of docs/ui.md again, from the UI in a browser
	PICTURES=docs/pictures $(BIN)/python -m pytest tests/browser

lint: install  ## Linters, type checker, and whether generated documents are up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/drillster-pipeline schema --format markdown | diff -u docs/data-dictionary.md -
	$(BIN)/drillster-pipeline schema --format dbt | diff -u dbt/models/sources.yml -

docs: install  ## Write the generated documents again, and what is to be translated
	$(BIN)/drillster-pipeline schema --format markdown > docs/data-dictionary.md
	$(BIN)/drillster-pipeline schema --format dbt > dbt/models/sources.yml
	$(BIN)/python -m tests.documents
	$(BIN)/python -m tests.translations

DIST ?= dist
wheel: install  ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(DIST) .

# A lock is a list: that it names no graph of dependencies is what the warning says.
LOCK ?= deploy/requirements.lock
sbom: install  ## Write dist/sbom.json, the CycloneDX list of what the image installs (LOCK=deploy/workers.lock: of workers)
	@mkdir -p $(DIST)
	$(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible \
	--validate -o $(DIST)/sbom.json $(LOCK)

# uv is no dependency: make one anywhere (pip install uv) and name it by UV=…
UV ?= uv
COMPILE = $(UV) pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url pyproject.toml
IMAGE = $(foreach extra,alerts deploy mysql postgres s3 sandbox timestamps ui,--extra $(extra))
lock:  ## Write all locks again, from pyproject.toml (UV=path of uv)
	$(COMPILE) --extra dev -o requirements.lock
	$(COMPILE) $(IMAGE) -c requirements.lock deploy/requirements.in -o deploy/requirements.lock
	$(COMPILE) $(IMAGE) --extra celery --extra kubernetes -c requirements.lock deploy/requirements.in -o deploy/workers.lock
	$(UV) pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url tests/superset/requirements.in \
	-o tests/superset/requirements.txt
	$(COMPILE) --extra postgres --extra sandbox --extra ui -c requirements.lock benchmarks/requirements.in -o benchmarks/requirements.txt
	$(COMPILE) $(foreach extra,dbt postgres sandbox,--extra $(extra)) tests/dbt/requirements.in -o tests/dbt/requirements.txt

benchmark: $(BENCH)/installed  ## Measure against dlt, to_sql and COPY, and write docs/benchmarks.md (FULL=1: up to 4 million rows)
	$(BENCH)/bin/python -m benchmarks $(if $(FULL),--full) $(if $(ONLY),--only $(ONLY))

# dlt and the plots are dependencies of the benchmarks alone.
$(BENCH)/installed: benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.txt
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:  ## Remove what was installed and made (not your data)
	rm -rf $(VENV) $(BENCH) $(SUPERSET) $(DBT) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
