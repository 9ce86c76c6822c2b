# Needs make and Python >= 3.11; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# the many small pytest runs inside the tests live on compiled modules
unexport PYTHONDONTWRITEBYTECODE

OLDER_VENV := .venv-older-sdks
OLDER_BIN := $(OLDER_VENV)/bin
OLDER_INSTALLED := $(OLDER_VENV)/.installed
OLDER_TESTS := tests/integration/test_capture_sdks.py tests/integration/test_gauntlet.py \
	tests/packaging/test_sdk_clients.py tests/integration/test_framework_fakes.py \
	tests/matrix tests/frameworks

.PHONY: venv demo test test-older-sdks lint clean

venv: $(INSTALLED)

# pip learned --group in 25.1, and a fresh venv of Python 3.11 has an older one.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint
	@touch $@

# The same package beside SDKs that are still on httpx.
$(OLDER_INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(OLDER_VENV)
	$(OLDER_BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(OLDER_BIN)/python -m pip install --quiet --editable . --group older-sdks
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

# no cell of the capture matrix may be skipped where its packages belong
test test-older-sdks: export CRASHLENS_MATRIX := complete

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto

test-older-sdks: $(OLDER_INSTALLED)
	CRASHLENS_FRAMEWORKS=1 $(OLDER_BIN)/python -m pytest -n auto $(OLDER_TESTS) \
		-k "not gauntlet or config and (swapped or cache_lost or extra_calls)"

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

clean:
	rm -rf $(VENV) $(OLDER_VENV) build dist .mypy_cache .pytest_cache .ruff_cache
