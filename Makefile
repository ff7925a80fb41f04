# Everything a person or CI types. `make help` lists it. Only Python >= 3.11, git and make are assumed.
PYTHON ?= python3
VENV   ?= .venv
PY      = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint types test-fast test-e2e test-crash test-clients bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/runtime.stamp: requirements/runtime.txt pyproject.toml
	@./tests/bin/venv.sh "$(PYTHON)" "$(VENV)" requirements/runtime.txt
	@touch $@

$(VENV)/test.stamp: requirements/test.txt $(VENV)/runtime.stamp
	@./tests/bin/venv.sh "$(PYTHON)" "$(VENV)" requirements/test.txt
	@touch $@

lock: ## resolve and pin all dependencies again (needs uv)
	uv pip compile pyproject.toml requirements/build.in --extra local --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade -q -o requirements/runtime.txt
	uv pip compile pyproject.toml requirements/build.in requirements/test.in --extra local --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade -q -c requirements/runtime.txt -o requirements/test.txt
