# make demo: the whole pipeline on the embedded archive. make test: the tests. make lint: the checks.
# With a GPU: make the environment and install the PyTorch of your choice into it first.

VENV ?= .venv
PYTHON ?= python3
PORT ?= 8642
CORES ?= all
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt
DEMO := snakemake --workflow-profile $(CURDIR)/workflow/profiles/default \
	--directory demo --cores $(CORES) \
	--configfile $(CURDIR)/workflow/demo.yaml $(CURDIR)/demo/archive.yaml

.PHONY: demo test lint executors oracle clean

demo: $(VENV)/installed
	@mkdir -p demo
	@echo 'archive: {mirror_root: "http://127.0.0.1:$(PORT)"}' > demo/archive.yaml
	@# The port is the lock: a demo that holds it is the only one, so a killed one may be unlocked.
	cryosamu archive serve --port $(PORT) -- sh -c '$(DEMO) --unlock --quiet && exec $(DEMO)'
	@echo "Open demo/results/report/report.html"

test: $(VENV)/installed-dev $(VENV)/executors/installed $(VENV)/kubernetes/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit tests/browser --numprocesses 2 --dist loadfile
	$(BIN)/pytest tests/workflow

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

$(VENV)/installed: pyproject.toml envs/constraints.txt envs/torch-cpu.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) --requirement envs/torch-cpu.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@touch $@

# Snakemake's executors for clusters, not among its other packages: while they can be imported and
# SLURM's controller does not answer, each call of Snakemake waits 10 s for it.
executors: $(VENV)/executors/installed
	@echo "export PYTHONPATH=$(abspath $(VENV))/executors"

$(VENV)/executors/installed: envs/executors.txt $(VENV)/installed
	$(PIP) --no-deps --upgrade --target $(@D) --requirement envs/executors.txt
	@touch $@

# What the Kubernetes profile takes, and a server for its tests; all pinned in the two files.
$(VENV)/kubernetes/installed: envs/kubernetes.txt envs/kubernetes-test.txt $(VENV)/installed
	$(PIP) --no-deps --upgrade --target $(@D) --requirement envs/kubernetes.txt \
		--requirement envs/kubernetes-test.txt
	$(BIN)/pip download --quiet --no-deps --dest $(@D)/packages \
		"$$(grep storage-plugin-s3 envs/kubernetes.txt)"
	@touch $@

# Golden figures of tests/unit/evaluation, from cctbx in an environment of its own.
oracle:
	test -x .oracle/bin/python || $(PYTHON) -m venv .oracle
	.oracle/bin/pip install --quiet cctbx-base==2025.11 pandas
	.oracle/bin/python tests/oracle/derive_golden.py
	.oracle/bin/python tests/oracle/compare_chains.py

clean:
	rm -rf demo
