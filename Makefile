# What people, hooks and CI call. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
# uv where it is installed; else a copy of its own below build/.
UV := $(or $(shell command -v uv),build/uv/bin/uv)
export PATH := $(CURDIR)/build/uv/bin:$(PATH)
export HF_HUB_OFFLINE := 1

# TORCH=cpu   takes the small CPU build from PyTorch's own index (1.5 GB instead of 5 GB; that index must be reachable)
# TORCH=none  leaves out the embedding model: hashing embeddings only, whose answers are poor
TORCH ?= locked
LOCK_locked := all
LOCK_cpu := dev
LOCK_none := dev
READY := .venv/.ready-$(TORCH)

.PHONY: help setup demo check format test test-live chaos bench docs lock up down

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## .venv with everything, at the locked versions (TORCH=cpu|none for less)
	@printf 'ready. next:\n  make demo               documents in, cited answers out\n'
	@printf '  make test               the whole suite, real Kafka included\n'
	@printf '  $(BIN)/headwater up   the stack on this machine\n'

$(READY): requirements/all.txt requirements/dev.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python '>=3.11' .venv
	$(UV) pip install --python .venv --require-hashes -r requirements/$(or $(LOCK_$(TORCH)),$(error TORCH is locked, cpu or none)).txt
	$(if $(filter cpu,$(TORCH)),$(UV) pip install --python .venv --torch-backend=cpu --no-verify-hashes -c requirements/all.txt -e '.[embed]')
	$(UV) pip install --quiet --python .venv --no-deps -e .
	@rm -f .venv/.ready-* && touch $@

build/uv/bin/uv:
	python3 -m pip install --quiet --root-user-action=ignore --target build/uv uv || (python3 -m venv build/uv && build/uv/bin/pip install --quiet uv)

demo: $(READY) ## a real Kafka, the sample documents, cited answers that follow every edit
	$(BIN)/headwater demo

check: $(READY) ## everything that needs no running: what CI runs before the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/headwater render --check
	$(BIN)/python -m pytest -q tests/house

format: $(READY) ## put the code in the one format, mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY) ## the whole suite, real Kafka included, with the coverage of the rooms
	$(BIN)/python -m pytest -n 3 --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=90

test-live: $(READY) ## only what needs a broker
	$(BIN)/python -m pytest -m live

chaos: $(READY) ## processes killed, brokers gone, nothing lost: make chaos SCENARIO=T1 SEED=7 LONG=1 (all optional)
	$(BIN)/python -m tests.chaos.run $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SEED),--seed $(SEED)) $(if $(LONG),--long)

bench: $(READY) ## one claim, measured: make bench CLAIM=freshness; a part of one: CLAIM=engine ARGS='passthrough latency'
	$(BIN)/python -P bench/$(or $(CLAIM),$(error say which: make bench CLAIM=$(notdir $(wildcard bench/*))))/run.py $(ARGS)

docs: $(READY) ## write again what is generated from the code
	$(BIN)/headwater render

lock: | $(UV) ## resolve the dependencies again
	$(UV) pip compile $(LOCKING) --extra local --extra index --extra parse --extra cdc --extra embed --group dev -o requirements/all.txt
	$(UV) pip compile $(LOCKING) --extra local --extra index --extra parse --extra cdc --group dev -c requirements/all.txt -o requirements/dev.txt
	$(UV) pip compile $(LOCKING) -c requirements/all.txt -o requirements/base.txt
LOCKING := -q pyproject.toml --generate-hashes --universal --python-version 3.11 --no-annotate --custom-compile-command 'make lock'

up: $(READY) ## start the stack on this machine
	$(BIN)/headwater up

down: $(READY) ## stop it
	$(BIN)/headwater down
