# `make demo`, `make test`, `make docs`: all need Python >= 3.11 and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint docs reference clean

.venv/installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is too old. Fix: make PYTHON=python3.11 (or newer)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/test-installed: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

# Trains on the bundled Fashion-MNIST images, then shows what the generator makes.
demo: .venv/installed
	@echo "Trains for some two minutes on the bundled images, then scores and draws what came of it."
	@run=$$($(BIN)/sparring train fashion --minutes 2.2 | tail -n 1) && \
	$(BIN)/sparring sample $$run && \
	$(BIN)/sparring morph $$run && \
	echo && echo "Look at:" && \
	echo "  $$run/report.html   everything on one page" && \
	echo "  $$run/grid.png      samples" && \
	echo "  $$run/morph.gif     a walk through the latent space"

# Lint, types, the import contract and the tests.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: .venv/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# The site, from the pages in docs/, into site/. A warning is an error.
docs: .venv/test-installed
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs site
	@echo "Look at: site/index.html"

# Runs torch-fidelity, pytorch-fid, clean-fid and torchmetrics in an environment of their own and
# writes their values where the tests read them. Needs a network and half an hour.
reference: .venv/installed
	$(BIN)/python benchmarks/reference.py

clean:
	rm -rf .venv build dist site src/*.egg-info
