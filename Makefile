# Two commands do everything on a fresh machine with Python >= 3.11: `make run` and `make test`.

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV ?= .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint $(LOCK)
FIRST := runs/first

.PHONY: run test wheel lock clean
.DEFAULT_GOAL := run

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found; give one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The stamps say what was last installed: nothing is installed again until pyproject or the lock changes.
$(VENV)/.runtime: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "== installing into $(VENV) (once; one to three minutes)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(PIP) --editable ".[dev]"
	@touch $@

run: $(VENV)/.runtime
	@echo "== the seed articles become pairs"
	@$(BIN)/stancekit pairs input=seeds output=$(FIRST)/pairs.jsonl dropped=$(FIRST)/dropped.jsonl
	@echo "== a first model is trained on data/stancebank, tested on unseen topics and on the seeds"
	@$(BIN)/stancekit train name=first training=quick
	@echo "== the new model labels the seed articles"
	@$(BIN)/stancekit predict model=latest input=$(FIRST)/pairs.jsonl output=$(FIRST)/predictions.jsonl overwrite=true
	@$(BIN)/stancekit evaluate model=latest data=seeds output=$(FIRST)/seeds.json
	@echo "== the model that ships labels them too (its encoder is fetched once, 405 MB)"
	@$(BIN)/stancekit predict model=default input=$(FIRST)/pairs.jsonl output=$(FIRST)/shipped.jsonl overwrite=true \
	  || echo "   not labelled: the rest does not need it"
	@echo
	@echo "pairs        $(FIRST)/pairs.jsonl"
	@echo "predictions  $(FIRST)/predictions.jsonl (the new model) and $(FIRST)/shipped.jsonl (what ships)"
	@echo "scores       $(FIRST)/seeds.json"
	@echo "MLflow UI    $(BIN)/stancekit ui"

test: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/pytest

wheel: $(VENV)/.dev
	@$(BIN)/python -m build --wheel --no-isolation

# Resolves every extra anew in an empty environment and writes down what it got. torch's build suffix (+cpu) names a
# build, not a version: without it the line holds for every build.
lock: | $(BIN)/python
	@rm -rf $(VENV)-lock && $(BIN)/python -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install -qq "torch==2.13.0" --editable ".[deberta,dev,export,fast,html,ray,s3]"
	@{ echo "# Exact versions of everything, for pip install --constraint. Written by: make lock"; \
	   $(VENV)-lock/bin/python -m pip freeze --exclude-editable | sed 's/^\(torch==[0-9.]*\).*/\1/'; } > $(LOCK)
	@rm -rf $(VENV)-lock

clean:
	@rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
