# For a machine that has Python 3.11 or newer, git and make: `make run`, `make test`.
# On another port: make run PORT=9000. Started again when a file changes: make run ARGS=--reload.
PYTHON ?= python3
BIN := .venv/bin
PROJECT := setup.cfg pyproject.toml
# A worker a core, yet no more than PostgreSQL's usual number of connections allows; a file stays with one worker, for
# its tests may share a server or a port. One process: make test ARGS='-n 0'.
WORKERS := -n auto --maxprocesses 4 --dist loadfile

.PHONY: run test test-all browser check docs lock clean
.DELETE_ON_ERROR:

run: .venv/run
	@$(BIN)/python -m authserver dev $(if $(PORT),--port $(PORT)) $(ARGS)

# Without what `slow` marks in setup.cfg, and without measuring coverage, which takes half as long again.
test: .venv/test
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-all: .venv/test
	@mkdir -p build/coverage
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest $(WORKERS) -m 'not browser' $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report --format=total | sed 's/.*/branch coverage: & %/'

browser: .venv/browser
	@$(BIN)/python -m pytest $(WORKERS) -m browser tests/e2e $(ARGS)

check: .venv/dev
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

docs: .venv/docs
	@$(BIN)/python -m docs.made
	@rm -rf build/docs
	@$(BIN)/python -m sphinx -q -E -a -W --keep-going -c docs -d build/doctrees . build/docs
	@echo "The docs: file://$(CURDIR)/build/docs/docs/index.html"

# For every Python from 3.11 on and every system, whatever this one is; from whichever index is set here, unnamed there.
lock: .venv/lock
	@$(BIN)/python -m uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
	  --extra production --custom-compile-command 'make lock' --output-file deploy/requirements.txt setup.cfg

clean:
	rm -rf .venv build

# The first of the targets below that has something to do says so before it begins, and the others nothing.
SAY = $(if $(SAID),,$(eval SAID := yes)echo "Installing into .venv, once: this takes a minute or two ...")

# What pip says goes into a file. It finds no version of anything where no index answers.
define INSTALL
@$(BIN)/python -m pip install --retries 2 --editable '$(PACKAGE)' >.venv/pip.log 2>&1 || { \
  if grep -q 'from versions: none' .venv/pip.log; \
  then echo "Nothing could be installed, since pip reaches no package index: try again when this machine is online"; \
  else echo "Not everything could be installed: .venv/pip.log says why"; fi; exit 1; }
@touch $@
endef

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "authserver needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@$(SAY)
	@$(PYTHON) -m venv .venv || { echo "No virtual environment could be made (Debian: apt install python3-venv)"; exit 1; }
	@touch $@

.venv/run: PACKAGE = .
.venv/run: .venv/python $(PROJECT)
	@$(SAY)
	$(INSTALL)

.venv/test .venv/browser .venv/dev .venv/docs .venv/lock: PACKAGE = .[test,$*]
.venv/test .venv/browser .venv/dev .venv/docs .venv/lock: .venv/%: .venv/python $(PROJECT)
	@$(SAY)
	$(INSTALL)
