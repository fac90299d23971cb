# Each target sets .venv up first where there is none.
PYTHON ?=
ARGS ?=
DATA ?= data
BIN := .venv/bin

.PHONY: help env demo mine quick test test-full lint docs clean

help:
	@echo 'make env        the environment .venv, from setup.py'
	@echo 'make demo       the method on microscopy images, with a report'
	@echo 'make mine       your own images: make mine DATA=FOLDER'
	@echo 'make quick      the tests of what most often breaks, 2 minutes'
	@echo 'make test       the tests that CI runs, 15 minutes'
	@echo 'make test-full  all tests, every experiment run in small'
	@echo 'make lint       ruff and mypy'
	@echo 'make docs       the documentation as a site, in build/site'
	@echo 'make clean      removes .venv, caches, and what demo wrote'
	@echo 'PYTHON=...      the Python of .venv; else the newest of 3.11 to 3.13'
	@echo "ARGS=...        more arguments, such as ARGS='-k weights'"

env:
	@.ci/env '$(PYTHON)'

demo: env
	$(BIN)/python launch/experiment.py --parallel=auto \
	  --gin_file=experiments/demo_nuclei.gin $(ARGS)

mine: env
	$(BIN)/python launch/quickstart.py --data_dir='$(DATA)' $(ARGS)

quick: env
	$(BIN)/python -m pytest -m quick $(ARGS)

test: env
	$(BIN)/python -m pytest -m 'not full' $(ARGS)

test-full: env
	$(BIN)/python -m pytest $(ARGS)

lint: env
	$(BIN)/ruff check
	$(BIN)/mypy

docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build runs/demo_nuclei
