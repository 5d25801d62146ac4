# Two commands with nothing but Python 3.11+, make and pip: `make demo` and `make test`.
PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check --quiet
JOBS ?= 2
export OMP_WAIT_POLICY = passive

.PHONY: demo test lint docs clean

demo: .venv/run
	@sh samples/demo.sh

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(JOBS) --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

# What runs the commands. Stamps make the second time quick.
.venv/run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -c constraints.txt -e '.[pretrained]'
	@touch $@

.venv/dev: .venv/run
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv
