# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Ansible refuses to start in a locale that is not UTF-8; this one exists everywhere.
export LC_ALL := C.UTF-8

PYTHON_IN_VENV := .venv/bin/python

.PHONY: help demo demo-failure demo-way-back demo-down test faults bench lint build clean setup setup-dev

help: ## Show the targets
	@echo 'usage: make TARGET'
	@echo
	@awk -F ' *## *' '/^[a-z-]+:.*## / { sub(/:.*/, "", $$1); printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## Migrate a dev and a prod project on this machine, and leave both running
	@$(PYTHON_IN_VENV) scripts/demo.py up

demo-failure: setup ## The same with a migration that fails its checks: prod ends as it was
	@$(PYTHON_IN_VENV) scripts/demo.py failure

demo-way-back: setup ## The same, then prod is rolled back, rehearsed, damaged by hand and restored
	@$(PYTHON_IN_VENV) scripts/demo.py way-back

demo-down: setup ## Stop the demo's servers and remove their data
	@$(PYTHON_IN_VENV) scripts/demo.py down

test: setup-dev ## Run every test; PARTS="unit integration" runs only those
	@$(PYTHON_IN_VENV) scripts/run_tests.py $(PARTS)

faults: setup-dev ## Kill, cut and stop at every point of an apply (minutes); POINTS=file/cut/256 only there
	@PGOPS_FAULTS=full PGOPS_FAULT_POINTS='$(POINTS)' $(PYTHON_IN_VENV) scripts/run_tests.py faults

bench: setup-dev ## Measure this collection beside its peers; PARTS="apply backup", ARGS="--rounds 5" (minutes)
	@PYTHONPATH=.ansible/collections $(PYTHON_IN_VENV) -m bench $(PARTS) $(ARGS)

lint: setup-dev ## Check format, types, Ansible's production rules, documentation and changelog
	@$(PYTHON_IN_VENV) scripts/run_tests.py lint

build: setup ## Build the collection's archive into dist/
	@$(PYTHON_IN_VENV) scripts/build.py

clean: ## Stop the demo and remove everything that make made
	@sh scripts/clean.sh

setup: ## Make .venv with what the playbooks need (the targets above do it by themselves)
	@sh scripts/setup.sh runtime

setup-dev: ## Make .venv with what the tests need as well (test and lint do it by themselves)
	@sh scripts/setup.sh dev
