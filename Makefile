# make demo, make test: each sets up .venv first where there is none.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: help env demo test clean

help:
	@echo 'make env   the environment .venv, from setup.py'
	@echo 'make demo  the whole method on embedded data, with a report'
	@echo 'make test  all tests'
	@echo 'make clean removes .venv and what demo wrote'

env: .venv/.done

# uv installs in seconds what pip takes minutes for.
.venv/.done: setup.py
	@command -v $(PYTHON) >/dev/null || { echo \
	  '$(PYTHON) is not here: install Python 3.11, or name one by make PYTHON=...' >&2; exit 2; }
	@echo 'Setting up .venv (about a minute) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[test]'
	@touch $@
	@echo '.venv is ready'

demo: env
	$(BIN)/python launch/experiment.py --gin_file=experiments/demo_shapes.gin

test: env
	$(BIN)/python -m pytest

clean:
	rm -rf .venv runs/demo_shapes
