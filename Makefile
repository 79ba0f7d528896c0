# make demo | make test | make lint: each makes .venv in this clone by itself (Python 3.11 to 3.14).

# The first that starts; 3.11 comes first because it alone has every runtime.
PYTHON ?= $(shell for minor in 11 12 13 14; do \
  python3.$$minor -c "" 2> /dev/null && { echo python3.$$minor; exit; }; done; echo python3)
VENV ?= .venv
OUT ?= runs/demo
KIT ?= runs/kit
READY := $(VENV)/.edgecmp-installed

# The number of mutants is divided among the kinds of artefacts; a table says what became of them.
.PHONY: help demo test test-all fuzz kills roads testbeds litert-torch lint docs wheel kit
help:
	@echo "make demo   search, export, parity and bench with the starter kit, into $(OUT)"
	@echo "make test   the quick tests, which cover every module, in about 7 minutes"
	@echo "make test-all  all tests but those of make kills and make roads, in about 20 minutes; those of boards and phones after make testbeds"
	@echo "make fuzz   10,000 mutated artefacts and files; none may crash edgecmp or be accepted as whole"
	@echo "make kills  every long command, killed before its writes and with a full disk: the same results"
	@echo "make roads  edgecmp run from end to end on 20 small sets of many shapes, and under a latency bound"
	@echo "make testbeds  the virtual arm64 board of the device tests, into .testbeds (35 s, 176 MB)"
	@echo "make litert-torch  its exporter, which one test compares ours with, into .testbeds (90 s, 2.1 GB)"
	@echo "make lint   ruff and mypy"
	@echo "make docs   build the documentation into site/; a dead link or an undocumented name fails"
	@echo "make kit    train the starter kit again, into $(KIT) (its seven runs took two hours on 2 cores)"
	@echo "make wheel  build the wheel, install it in an empty environment and use it there"

demo: $(READY)
	@$(VENV)/bin/python scripts/demo.py --out $(OUT)

test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto -m "not (slow or kills or roads or board or packaging or peers)" $(PYTEST)

test-all: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto -m "not (kills or roads)" $(PYTEST)

kills: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto tests/kills tests/cli/test_signals.py $(PYTEST)

roads: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto tests/road $(PYTEST)

fuzz: $(READY)
	EDGECMP_FUZZ=10000 OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto tests/fuzz -rP $(PYTEST)

testbeds: $(READY)
	$(VENV)/bin/python -m scripts.testbeds

# In an environment of its own: its requirements and ours exclude each other.
LITERT_TORCH := .testbeds/litert-torch
litert-torch: $(LITERT_TORCH)/.installed

$(LITERT_TORCH)/.installed:
	$(PYTHON) -m venv $(LITERT_TORCH)
	$(LITERT_TORCH)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 \
	  litert-torch==0.10.0 cattrs==25.2.0 'numpy<2' faiss-cpu==1.15.1 pytorchcv==0.0.67
	@touch $@

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict
	@echo "Open site/index.html"

wheel: $(READY)
	$(VENV)/bin/python scripts/check_wheel.py

# The commands that made edgecmp/kit, each of which goes on where it was stopped. The first gallery
# model and its supernet are what the shipped ones go on from.
kit: $(READY)
	mkdir -p $(KIT)/logs
	$(VENV)/bin/edgecmp train gallery --recipe emoji --out $(KIT)/gallery-first \
	  2> $(KIT)/logs/gallery-first.log
	$(VENV)/bin/edgecmp train supernet --recipe emoji --start none --gallery $(KIT)/gallery-first \
	  --out $(KIT)/supernet-first 2> $(KIT)/logs/supernet-first.log
	$(VENV)/bin/edgecmp train gallery --recipe emoji-turns --start $(KIT)/gallery-first \
	  --out $(KIT)/gallery 2> $(KIT)/logs/gallery.log
	$(VENV)/bin/edgecmp gallery build --model $(KIT)/gallery --out $(KIT)/index
	$(VENV)/bin/edgecmp train supernet --recipe emoji-adapt --start $(KIT)/supernet-first \
	  --gallery $(KIT)/gallery --out $(KIT)/supernet 2> $(KIT)/logs/supernet.log
	$(VENV)/bin/edgecmp search --budget 100M --supernet $(KIT)/supernet --gallery $(KIT)/gallery \
	  --out $(KIT)/search 2> $(KIT)/logs/search.log
	$(VENV)/bin/edgecmp train query --recipe emoji --architecture $(KIT)/search/architecture.json \
	  --gallery $(KIT)/gallery --supernet $(KIT)/supernet --out $(KIT)/query-first \
	  2> $(KIT)/logs/query-first.log
	$(VENV)/bin/edgecmp train query --recipe emoji-imitate --start $(KIT)/query-first \
	  --architecture $(KIT)/query-first/architecture.json --gallery $(KIT)/gallery \
	  --out $(KIT)/query 2> $(KIT)/logs/query.log

$(READY): pyproject.toml $(wildcard constraints/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || { \
	  echo "error: edgecmp needs Python 3.11 to 3.14, and '$(PYTHON)' is not one of them." >&2; \
	  echo "       Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -L edgecmp/search || { \
	  echo "error: edgecmp/search is no symlink in this checkout." >&2; \
	  echo "       Run: git config core.symlinks true && git checkout -- edgecmp" >&2; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 -e '.[export,dev,docs]' \
	  -c constraints/$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
	@touch $@
