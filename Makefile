# Every target works alone on a fresh machine: it makes the environment, installs, and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test slow bench lint clean

setup: $(STAMP)

# One pip command, so that the pin of torch holds for what depends on it. On Linux without a GPU set
# PIP_EXTRA_INDEX_URL to PyTorch's CPU wheels to keep the download small.
$(STAMP): pyproject.toml constraints.txt .ci/torchvision_cpu_ops.py
	@command -v ffmpeg >/dev/null || { echo "ffmpeg is missing: apt-get install ffmpeg (Debian, Ubuntu) or brew install ffmpeg (macOS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11 setup"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0 -e '.[all,test]'
	$(BIN)/python .ci/torchvision_cpu_ops.py
	@touch $@

demo: $(STAMP)
	$(BIN)/medvidbench demo --out demo

# Files of tests are shared out over the cores, four at most.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow -s

bench: $(STAMP)
	$(BIN)/python -m tests.bench.measure
	$(BIN)/python -m tests.bench.readme_table

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo build dist *.egg-info
