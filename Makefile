# Everything goes through uv, and uv itself is installed here: Python (3.11 or newer) and make are all that must be there.
PYTHON ?= python3
UI ?= 0
SUBJECTS ?= mlx-local,mlx-remote-sync,mlx-remote-deferred
FRAMEWORKS ?= frameworks torch
BUILD := .build
PAGE := airflow_provider_mlx/lineage/server/page/page.js
# the machine's own, else one from the registry of Python packages
NODE_PATH_FIRST := $(if $(shell command -v npm),,$(abspath $(BUILD)/node/bin):)
NPM := PATH="$(NODE_PATH_FIRST)$$PATH" npm --prefix ui
UV := $(BUILD)/uv/bin/uv
BIN := .venv/bin
# The machine's own certificates, for networks with a proxy of their own.
export UV_SYSTEM_CERTS ?= 1
export UV_NO_PROGRESS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo setup test check unit contract codecs distributed cluster cluster-test kubernetes kubeflow verify-kfp sagemaker lineage night e2e faults test-matrix ui ui-check browser docs bench requirements clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(BUILD)/demo/.ready ## Run the demo DAG on a real Airflow (UI=1 leaves Airflow running)
	$(BUILD)/demo/bin/python -m demo.run --ui $(UI)

setup: .venv/.ready ## Make the environment from pinned versions

test: unit contract codecs distributed cluster-test kubernetes kubeflow sagemaker lineage e2e ## Run everything that must pass, real parts included

unit: .venv/.ready ## Run the pure and fast half
	$(BIN)/pytest tests/unit tests/docs tests/security -n 2

contract: .venv/.ready ## Run the contract suite against every backend, on a real Kubernetes and Kubeflow Pipelines too
	-$(MAKE) cluster
	-$(BIN)/python -m tests.kubeflow_pipelines build
	$(BIN)/pytest tests/contract -n 2

codecs: .venv/.ready $(FRAMEWORKS:%=$(BUILD)/%/.ready) ## Run every codec on every way with the real frameworks (FRAMEWORKS=frameworks leaves PyTorch out)
	for group in $(FRAMEWORKS); do \
	  $(BUILD)/$$group/bin/python -m pytest tests/codecs/contract tests/codecs/hostile/test_$$group.py --group $$group -n 2 && \
	  $(BIN)/pytest tests/codecs/journeys --group $$group -n 2 || exit 1; done

distributed: .venv/.ready $(BUILD)/torch/.ready ## Run steps of several ranks with the real PyTorch and its launcher
	$(BIN)/pytest tests/distributed -n 2

cluster: .venv/.ready ## Build the tests' Kubernetes outside the repository (root; 15 CPU minutes the first time, then none)
	$(BIN)/python -m tests.cluster build

# where it can't be built, the tests say what to install: as a skip, or with MLX_TESTS_REQUIRE_ALL=1 as a failure
cluster-test: .venv/.ready ## Run the tests of that Kubernetes: real nodes, pods, GPUs that are none, a lost node
	-$(MAKE) cluster
	$(BIN)/pytest tests/cluster

kubernetes: .venv/.ready $(BUILD)/demo/.ready $(BUILD)/cluster/.ready $(BUILD)/torch/.ready cluster ## Run steps and manifests on it: faults, rights, placements, several nodes, examples
	$(BIN)/pytest tests/kubernetes

kubeflow: .venv/.ready cluster ## Run our client with a real API server of Kubeflow Pipelines (4 CPU minutes the first time)
	-$(BIN)/python -m tests.kubeflow_pipelines build
	$(BIN)/pytest tests/kubeflow_pipelines -n 2

verify-kfp: .venv/.ready ## Hold the server at MLX_TEST_KFP_URL to what our client relies on (MLX_TEST_KFP_TOKEN, MLX_TEST_KFP_NAMESPACE)
	$(BIN)/pytest tests/kubeflow_pipelines/test_any_server.py

sagemaker: .venv/.ready cluster ## Run the tests of our AWS, whose jobs really run (root), and steps and pipelines on it
	$(BIN)/pytest tests/aws tests/sagemaker -n 2 --dist loadfile

lineage: .venv/.ready $(PAGE) $(BUILD)/feast/.ready browser cluster ## Run a DAG across SageMaker, Kubeflow Pipelines and Kubernetes: one graph, here and in Feast
	-$(BIN)/python -m tests.kubeflow_pipelines build
	$(BIN)/pytest tests/lineage tests/openlineage

night: .venv/.ready $(BUILD)/cluster/.ready $(BUILD)/torch/.ready cluster ## Run a bad night of a training, and two hundred steps in a pool of eight (ten minutes)
	MLX_TEST_CROWD=200 $(BIN)/pytest tests/kubernetes/test_night.py

ui: $(PAGE) ## Build the page "ML lineage" for Airflow's UI

ui-check: ui/node_modules/.package-lock.json ## Check format, lint and types of the page, and run its tests
	$(NPM) run check
	$(NPM) test

# installed by whoever may; others are told what to install, by the tests that need it
browser: ## Install the browser of the page's tests (Debian's Chromium, as root)
	@command -v chromium || command -v google-chrome || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && \
	    apt-get install -q -y --no-install-recommends chromium fonts-liberation; } || \
	  echo "there is no browser for the page's tests → install chromium, or run this as root on Debian"

e2e: browser .venv/.ready $(BUILD)/demo/.ready $(BUILD)/mlflow/.ready $(BUILD)/airflow-2.11/.ready $(BUILD)/fab-3.2/.ready $(BUILD)/fab-3.3/.ready ## Run real Airflows: examples, first hour, XCom on 2.11 and 3.3, quick faults
	$(BIN)/pytest tests/e2e tests/faults

faults: .venv/.ready $(BUILD)/demo/.ready ## Run the whole fault table on real Airflows (an hour)
	$(BIN)/python -m tests.faults.run --subjects $(SUBJECTS) --at-once 6 --out $(BUILD)/faults.jsonl

test-matrix: .venv/.ready ## Run the core on every supported Airflow and Python (their interpreters must be on PATH)
	$(BIN)/python -m tests.matrix.run

check: .venv/.ready ## Check format, lint, types, import contracts, generated pages and docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(MAKE) ui-check
	$(MAKE) docs

docs: .venv/.ready ## Build the documentation, warnings as errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

bench: $(BUILD)/bench/.ready $(BUILD)/zenml/.ready $(BUILD)/peers/.ready $(BUILD)/demo/.ready browser .venv/.ready ## Measure us beside peers in one run, one ratio per line
	$(BIN)/python -m tests.cluster build --with-kwok
	$(BUILD)/bench/bin/python -m benchmarks.run
	$(BUILD)/peers/bin/python -m benchmarks.on_sagemaker
	-$(BIN)/python -m tests.kubeflow_pipelines build
	$(BIN)/python -m benchmarks.on_kubeflow
	$(BIN)/python -m benchmarks.lineage_store
	$(BIN)/python -m benchmarks.page

requirements: $(UV) ## Compile the pinned requirement files anew
	for group in dev demo cluster aws bench peers airflow-2.11 fab-3.2 fab-3.3; do \
	  $(UV) pip compile -q pyproject.toml --group $$group --universal --python-version 3.11 --generate-hashes \
	    --upgrade --no-emit-index-url --no-header --no-annotate -o requirements/$$group.txt; done
	for group in bootstrap frameworks torch zenml feast mlflow go node; do \
	  $(UV) pip compile -q --group $$group --universal --python-version 3.11 --generate-hashes \
	    --upgrade --no-emit-index-url --no-header --no-annotate -o requirements/$$group.txt; done

clean: ## Remove every environment and everything that was built
	rm -rf $(BUILD) .venv ui/node_modules $(dir $(PAGE)) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(UV): requirements/bootstrap.txt
	$(PYTHON) -m venv $(BUILD)/uv
	$(BUILD)/uv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

.venv/.ready: $(UV) requirements/dev.txt pyproject.toml
	test -x .venv/bin/python || $(UV) venv -q --python $(PYTHON) .venv
	$(UV) pip install -q --python .venv --require-hashes -r requirements/dev.txt
	$(UV) pip install -q --python .venv --no-deps --no-build-isolation -e .
	@touch $@

$(PAGE): ui/node_modules/.package-lock.json $(shell find ui -type f -not -path 'ui/node_modules/*')
	$(NPM) run build
	@touch $@

ui/node_modules/.package-lock.json: ui/package.json ui/package-lock.json $(if $(NODE_PATH_FIRST),$(BUILD)/node/.ready)
	$(NPM) ci
	@touch $@

# Environments without Airflow and without anything of ours.
# frameworks, torch: those whose values have codecs, for the jobs of `make codecs`, since a job lives on its bundle;
# zenml: a peer of `make bench`; feast: a consumer of lineage that is not ours; mlflow: an experiment tracker;
# node: what builds the page where the machine has none.
$(BUILD)/frameworks/.ready $(BUILD)/torch/.ready $(BUILD)/zenml/.ready $(BUILD)/feast/.ready $(BUILD)/mlflow/.ready $(BUILD)/node/.ready: $(BUILD)/%/.ready: $(UV) requirements/%.txt
	test -x $(BUILD)/$*/bin/python || $(UV) venv -q --python $(PYTHON) $(BUILD)/$*
	$(UV) pip install -q --python $(BUILD)/$* --require-hashes -r requirements/$*.txt
	@touch $@

# Airflows as users have them: the package is installed as a wheel would be, and compiled as pip does.
# demo: no framework at all; airflow-2.11: the second tier; fab: with rights on single DAGs; bench, peers: with those that we compare ourselves with.
$(BUILD)/%/.ready: $(UV) requirements/%.txt pyproject.toml hatch_build.py $(PAGE) $(shell find airflow_provider_mlx -name '*.py')
	test -x $(BUILD)/$*/bin/python || $(UV) venv -q --python $(PYTHON) $(BUILD)/$*
	$(UV) pip install -q --python $(BUILD)/$* --require-hashes -r requirements/$*.txt
	$(UV) pip install -q --python $(BUILD)/$* --no-deps --no-build-isolation --compile-bytecode --reinstall .
	@touch $@
