# Everything a person or CI types. `make help` lists it. Only Python >= 3.11, git and make are assumed.
PYTHON ?= python3
VENV   ?= .venv
PY      = $(VENV)/bin/python
# Two workers: the tests drive real processes, which need the cores too.
WORKERS ?= 2
PYTEST  = $(PY) -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test check unit e2e test-crash test-clients bench lock clean

help: ## list the targets
	@grep -hE '^[a-zA-Z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/runtime.stamp ## a whole story on this machine: good and bad releases under load
	@$(PY) -P -m soc_deploy_mcp demo

test: check unit e2e ## everything that guards the code

check: $(VENV)/test.stamp ## lint, format, types, import contracts, dead code
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) tests/bin/dead_code.py
	$(PY) tests/bin/docs.py --check

unit: $(VENV)/test.stamp ## unit, property and contract tests
	$(PYTEST) -m 'not e2e and not crash and not clients'

e2e: $(VENV)/test.stamp ## end-to-end tests: real Envoy, daemons, applications
	$(PYTEST) -m 'e2e and not crash and not clients'

test-crash: $(VENV)/test.stamp ## kill everything at many points (long)
	$(PYTEST) -m crash

test-clients: $(VENV)/test.stamp ## OpenCode and Claude Code themselves, offline
	@tests/clients/fetch.sh
	$(PY) -m pytest -m clients tests/clients

bench: $(patsubst bench/%.py,bench-%,$(filter-out bench/_%.py,$(wildcard bench/*.py))) ## all benches

bench-%: $(VENV)/test.stamp ## one bench: make bench-judge, bench-switch, bench-start
	$(PY) -m bench.$*

$(VENV)/runtime.stamp: requirements/runtime.txt pyproject.toml tests/bin/venv.sh
	@tests/bin/venv.sh "$(PYTHON)" "$(VENV)" requirements/runtime.txt
	@touch $@

$(VENV)/test.stamp: requirements/test.txt pyproject.toml tests/bin/venv.sh
	@tests/bin/venv.sh "$(PYTHON)" "$(VENV)" requirements/test.txt
	@touch $@ $(VENV)/runtime.stamp

lock: ## resolve and pin all dependencies anew (needs uv)
	uv pip compile pyproject.toml requirements/build.in --extra local --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade -q -o requirements/runtime.txt
	uv pip compile pyproject.toml requirements/build.in requirements/test.in --extra local --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade -q -c requirements/runtime.txt -o requirements/test.txt

clean: ## remove what was built and installed
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
