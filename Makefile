# Everything starts here: `make` lists the targets. Each one that runs something sets .venv up first.

PYTHON ?= python3
PORT ?= 5000
EXPERIMENT ?=
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.stamp
CHOSEN := $(if $(EXPERIMENT),experiment=$(EXPERIMENT))
NAMED := $(if $(EXPERIMENT),--experiment $(EXPERIMENT))
# where `make sweep ARGS="paths.runs=/big/disk"` puts its trials, for the report that follows
RUNS = $(patsubst paths.runs=%,--runs %,$(filter paths.runs=%,$(ARGS)))

.DEFAULT_GOAL := help
.PHONY: help setup sweep ui best report status test faults record bench lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv with the exact versions of requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "sweeper needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)." >&2; \
	  echo "Name one: make setup PYTHON=python3.12" >&2; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing the exact versions of requirements.lock, some minutes ...'
	@# --no-compile: Python compiles what it imports; compiling all of it doubles the time
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock -e '.[dev]'
	@touch $@

sweep: $(READY) ## train the lr study, then the batch study (EXPERIMENT=kor_hate ARGS="train.epochs=3")
	@# 1: a study without a winner, which the report explains
	@$(PY) -m sweeper $(CHOSEN) study=lr,batch $(ARGS) || { code=$$?; \
	  [ $$code -ne 1 ] || $(PY) -m sweeper.report $(RUNS); exit $$code; }
	@$(PY) -m sweeper.report $(RUNS)

ui: $(READY) ## open MLflow's pages on 127.0.0.1 (PORT=5000)
	@mkdir -p runs
	@echo "Open http://127.0.0.1:$(PORT) when it says 'startup complete', choose your experiment and 'Training runs'."
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(VENV)/bin/mlflow ui --workers 1 --host 127.0.0.1 --port $(PORT) --backend-store-uri sqlite:///runs/mlflow.db

best: $(READY) ## freeze the winner as a model folder (EXPERIMENT=kor_hate)
	$(PY) -m sweeper.best --export $(NAMED) $(ARGS)

report: $(READY) ## write the report of what has been trained
	$(PY) -m sweeper.report $(NAMED) $(ARGS)

status: $(READY) ## say what has been trained and what is left
	$(PY) -m sweeper.status $(NAMED) $(ARGS)

test: $(READY) ## run the tests on up to four cores (ARGS="-k overfitting")
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n logical --maxprocesses 4 --dist loadfile $(ARGS)

faults: $(READY) ## put every fault into sweeps and count what survives (about half an hour)
	OMP_NUM_THREADS=1 $(PY) -m tests.faults $(ARGS)

record: $(READY) ## run the experiments that are recorded here and write their figures (ARGS=nsmc)
	$(PY) experiments/record.py $(ARGS)

bench: $(READY) ## measure against transformers.Trainer on this machine
	$(PY) -m bench $(ARGS)

lint: $(READY) ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict sweeper bench

clean: ## remove caches and builds; runs/, exports/ and .venv stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sweeper tests bench experiments -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
