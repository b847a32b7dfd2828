# A fresh machine needs Python 3.11, 3.12 or 3.13 and make; everything else is installed into .venv:
#
#   make submission    the main job on the embedded default, to submission.csv
#   make report        all results as one file, report.html
#   make status        how far a run is
#   make test          all checks and tests
#   make torture       attacks on every step: killed processes, full disks, changed files
#   make test-system   the tests in a real browser, and on a real scheduler (root, and Slurm from the distribution)
#   make bench         what is fast, and by how much: the short benchmarks
#   make gpu           on a machine with a GPU: whether all is right there, and how fast
#   make docs          the documentation site
#
# Another Python than the first that fits: make PYTHON=/path/to/python3.12 submission

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

# Its name follows from what was installed and where: programs in an environment know their own path.
INSTALLED := $(VENV)/installed-$(shell { cat $(LOCK); pwd; } | cksum | cut -d ' ' -f 1)

# Steps and tests find the programs of the environment, and one another's cores are left alone.
WITHIN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help install submission report status test torture test-browser test-system scheduler lint bench gpu lock docs \
    schema

help:
	@echo "make submission   run the pipeline to submission.csv and score the held-out objects"
	@echo "make report       put the results of a finished run into one file, report.html"
	@echo "make status       report how far a run is: members, best AUC, time left"
	@echo "make test         make lint, then the tests, and how much of each package they ran"
	@echo "make torture      every step attacked: killed, on full disks, with changed files; some 20 minutes"
	@echo "make test-browser the report and the page of candidates in Debian's chromium"
	@echo "make test-system  these, and the profiles and the whole pipeline on a real scheduler, which it starts and stops"
	@echo "make lint         formatters, linters and the type checker"
	@echo "make bench        run the short benchmarks and print their tables"
	@echo "make gpu          whether all is right on a GPU, and how fast; under 8 minutes"
	@echo "make install      make the environment .venv, nothing else"
	@echo "make lock         choose versions anew for what pyproject.toml asks; UPGRADE=--upgrade for the newest"
	@echo "make docs         build the documentation site, docs/_build/html, without a network"
	@echo "make schema       write config/README.md and config/schema.json from the classes of the config"

install: $(INSTALLED)

# The default's networks and batches are small: on CPUs two jobs of one thread do far more than one job of two.
submission: $(INSTALLED)
	$(WITHIN) snakemake --cores all --set-threads train=1 predict_val=1 predict_heldout=1 predict_test=1

# CONFIG=FILE for another config than the one that snakemake takes by itself.
report: $(INSTALLED)
	$(WITHIN) snakemake $(if $(CONFIG),--configfile $(CONFIG)) --report report.html

status: $(INSTALLED)
	@$(WITHIN) python workflow/scripts/show_status.py $(if $(CONFIG),--configfile $(CONFIG))

test: lint
	$(WITHIN) OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --maxprocesses 4 --cov --cov-report=
	$(WITHIN) python tests/helpers/package_coverage.py

# As root it mounts small disks and fills them; else it leaves that out and says so. One process: kills are timed.
torture: $(INSTALLED)
	$(WITHIN) OMP_NUM_THREADS=1 python -m pytest --torture -m torture --verbose --durations 0

# What it needs beyond the environment it says itself, and is skipped without.
test-browser: $(INSTALLED)
	-@if command -v npm >/dev/null; then npm ci --prefix tests/browser --silent --no-audit --no-fund; fi
	$(WITHIN) OMP_NUM_THREADS=1 python -m pytest --browser --verbose tests/browser

test-system: scheduler test-browser
	$(WITHIN) tests/cluster/with_cluster.sh python -m pytest --verbose tests/cluster

# Said before the environment is made, which takes minutes.
scheduler:
	@tests/cluster/up.sh --check

lint: $(INSTALLED)
	$(WITHIN) ruff check
	$(WITHIN) ruff format --check
	$(WITHIN) snakefmt --check Snakefile rules
	$(WITHIN) python -m pytest -q tests/project/test_rules.py
	$(WITHIN) mypy
	$(WITHIN) codespell

# A stage alone, or with more items: python benchmarks/inference.py --full
BENCHMARKS := packing archives tiles preprocessing training_step optimisers training_epoch inference finder dry_run ensembling start_up shared_device

bench: $(INSTALLED)
	@set -e; for stage in $(BENCHMARKS); do $(WITHIN) python benchmarks/$$stage.py; echo; done

# Single sections, or a try without a GPU: python benchmarks/gpu.py --only equal,ways:nano; --smoke
gpu: $(INSTALLED)
	$(WITHIN) python benchmarks/gpu.py

lock: $(INSTALLED)
	$(WITHIN) uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate $(UPGRADE) --output-file $(LOCK)

docs: schema
	$(WITHIN) python -m sphinx --fail-on-warning --keep-going --builder html docs docs/_build/html

schema: $(INSTALLED)
	$(WITHIN) python workflow/scripts/document_config.py

# The environment is made from nothing, and the stamp comes last: an installation that was cut short is none.
$(INSTALLED):
	@for python in $(PYTHONS); do \
	    if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	        echo "Installing into $(VENV) with $$($$python --version): 7 GB, some minutes"; \
	        exec $$python -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "expected Python 3.11 to 3.13, found none under the names $(PYTHONS);" \
	    "install one, or say where it is: make PYTHON=/path/to/python3.12" >&2; \
	exit 1
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --requirement $(LOCK)
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
	    --editable . --editable plugins/snakemake-executor-plugin-pbs
	touch $@
