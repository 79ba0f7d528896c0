# make demo | make test | make lint: each makes .venv in this clone by itself (Python 3.11).

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
OUT ?= runs/demo
READY := .venv/.edgecmp-installed

.PHONY: help demo test lint wheel
help:
	@echo "make demo   search, export, parity and bench with the starter kit, into $(OUT)"
	@echo "make test   all tests"
	@echo "make lint   ruff and mypy"
	@echo "make wheel  build the wheel, install it in an empty environment and use it there"

demo: $(READY)
	@.venv/bin/python scripts/demo.py --out $(OUT)

test: $(READY)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

wheel: $(READY)
	.venv/bin/python scripts/check_wheel.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "error: edgecmp needs Python 3.11, and '$(PYTHON)' is not." >&2; \
	  echo "       Install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -L edgecmp/search || { \
	  echo "error: edgecmp/search is no symlink in this checkout." >&2; \
	  echo "       Run: git config core.symlinks true && git checkout -- edgecmp" >&2; exit 2; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check \
	  torch==2.13.0 -c constraints.txt -e '.[export,dev]'
	@touch $@
