# `make demo` and `make test` create the environment they need; both can be run again at will.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs
MOASHA := .venv-moasha
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test unit docs lint bench-training bench-agreement bench-streaming bench-search bench-warm-start \
	bench-overhead bench-information bench-latency bench-report browser truth lock clean

demo: $(VENV)/.installed
	$(BIN)/ir2search run digits --trials 8 --workers 2 --runs $(RUNS)
	$(BIN)/ir2search analyze $(RUNS)/digits --trial best --images 64
	$(BIN)/ir2search report $(RUNS)/digits

# what does not depend on each other runs at once
test:
	$(MAKE) -j2 $(VENV)/.installed-dev browser
	$(MAKE) -j2 --output-sync=line lint unit

unit: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto

# into site/, warnings are errors
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the report is tested in Chromium, which is installed where that may be done
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 \
	  || echo "no Chromium here, nor may it be installed: the report is not tested in a browser"

# torch goes first and by itself: what the others ask of it is then met already
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $$(grep -E '^torch==' constraints.txt)
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@

# DATA, where it is given, is CIFAR-10 for whole epochs
bench-training: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/training.py $(if $(DATA),--data $(DATA))

bench-agreement: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/agreement.py $(if $(DATA),--data $(DATA))

# DATA is CIFAR-10, whose images are enlarged to ImageNet's size
bench-streaming: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/streaming.py $(DATA)

# reads tests/benchmarks/truth.parquet; a quarter of an hour on one core
bench-warm-start: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/warm_start.py --runs $(RUNS)/warm-start

# attributions against one Captum call a layer and method; a quarter of an hour on two cores
bench-information: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/information.py

# packed networks against float32 onnxruntime and int8, in one run; a minute
bench-latency: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/latency.py

# the engine's own cost at 10,000 trials
bench-overhead: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/overhead.py

# a report of 5,000 trials: made, weighed, opened in Chromium
bench-report: $(VENV)/.installed-dev browser
	$(BIN)/python tests/benchmarks/report.py

# replays the table of the truth, tests/benchmarks/truth.parquet; `make truth` trains it anew
bench-search: $(VENV)/.installed-dev $(MOASHA)/.tried
	$(BIN)/python tests/benchmarks/search.py --moasha $(MOASHA)/bin/python

truth: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/truth.py --runs $(RUNS)/truth

# Syne Tune goes into an environment of its own, so that neither's dependencies bind the other
$(MOASHA)/.tried:
	$(PYTHON) -m venv $(MOASHA)
	$(MOASHA)/bin/python -m pip install --quiet --disable-pip-version-check syne-tune==0.16.0 \
	  || { echo "syne-tune does not install here: going on without MOASHA"; rm -r $(MOASHA)/bin; }
	touch $@

# writes down the versions that this environment has
lock: $(VENV)/.installed-dev
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > constraints.txt

clean:
	rm -rf $(VENV) $(MOASHA) runs
