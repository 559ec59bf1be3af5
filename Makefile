# make repro   set up and build everything that params.yaml asks for, on CORES=2 cores
# make test    set up and check everything
# Both need Python >= 3.11 (another one: make PYTHON=python3.12 repro), git and make; the rest goes into .venv.

PYTHON ?= python3
VENV ?= .venv
CORES ?= 2
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
# Byte code of what is used is written when it is first used; that of all packages would take most of a minute.
INSTALL = $(PIP) install --no-compile
# The project itself, without looking anything up.
INSTALL_PROJECT = $(INSTALL) --quiet --no-deps --no-build-isolation -e .
# DVC and Snakemake start the stages by the name oneshot-vos.
WITH_VENV = PATH="$(abspath $(BIN)):$$PATH"

.PHONY: help repro dvc plots test venv snakemake lint types unit format requirements clean-venv

help:
	@sed -n '1,3s/^# //p' Makefile

# DVC says what is out of date, Snakemake makes it on all cores, DVC takes it over: see the script.
repro: $(VENV)/.project .dvc/tmp/.scm
	$(WITH_VENV) python workflow/scripts/repro.py --cores $(CORES) --resources gpu=$(GPUS)

# Jobs at a time that may use a GPU. Where there is none they take a core each.
GPUS ?= $(or $(filter-out 0,$(shell nvidia-smi -L 2>/dev/null | wc -l)),$(CORES))

dvc: $(VENV)/.project .dvc/tmp/.scm
	$(WITH_VENV) dvc repro

# What `dvc plots show` draws, as a page that works offline: dvc_plots/index.html
plots: $(VENV)/.project .dvc/tmp/.scm
	$(WITH_VENV) python workflow/scripts/plots.py dvc_plots

snakemake: $(VENV)/.project
	$(WITH_VENV) snakemake --cores $(CORES) --resources gpu=$(GPUS)

# Side by side if make is told -j2: types are checked by one process, and the tests have long ones at their end.
test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow

types: $(VENV)/.dev
	$(BIN)/mypy

# A file's tests share what it has made ready, so one worker has them all.
unit: $(VENV)/.dev
	$(WITH_VENV) OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

venv: $(VENV)/.project

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "error: $(PYTHON) cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)"; exit 2; }

# Exact versions with their hashes.
$(VENV)/.project: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r requirements.txt
	$(INSTALL_PROJECT)
	@touch $@

# The same packages and more.
$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r requirements-dev.txt
	$(INSTALL_PROJECT)
	@touch $@ $(VENV)/.project

# DVC compares with git's history; in an archive of the sources there is none, and DVC has to be told.
.dvc/tmp/.scm: | $(VENV)/.project
	@mkdir -p .dvc/tmp
	@if [ ! -e .git ]; then \
		echo "no git repository here: DVC works without one (dvc metrics diff and the like need git init)"; \
		$(BIN)/dvc config --local core.no_scm true; fi
	@touch $@

# Needs the registry. Writes no address of it.
requirements: $(VENV)/bin/python
	$(INSTALL) --quiet uv
	$(BIN)/uv pip compile $(COMPILE) --extra pipeline --extra fetch --extra label -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile $(COMPILE) --all-extras -c requirements.txt -o requirements-dev.txt pyproject.toml

COMPILE = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make requirements"

clean-venv:
	rm -rf $(VENV)
