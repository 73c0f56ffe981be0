# `make demo` and `make test` create the environment they need. Both may be run again at any time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs
SYSTEM ?= yes
MOASHA := .venv-moasha
BOTORCH := .venv-botorch
OLDEST := .venv-oldest
LOCKING := .venv-lock
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test unit docs lint oldest gpu bench-training bench-agreement bench-streaming bench-search bench-supernet bench-warm-start \
	bench-overhead bench-recipes bench-kills bench-information bench-layers bench-latency bench-boards bench-report browser devices truth truth-cifar10 fuzz lock zoo wasm clean

demo: $(VENV)/.installed
	$(BIN)/ir2search run digits --trials 8 --runs $(RUNS)
	$(BIN)/ir2search analyze $(RUNS)/digits --trial best --images 64
	$(BIN)/ir2search report $(RUNS)/digits

# Linters and tests run at the same time. `SYSTEM=no make test` installs no system package.
test:
	$(MAKE) -j2 $(VENV)/.installed-dev devices
	$(MAKE) -j2 --output-sync=line lint unit

# -rs names every skipped test and why.
unit: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto -rs

# Builds site/. Warnings are errors.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry .
	$(BIN)/lint-imports
	$(BIN)/mypy

# System packages are installed as root only. Reports are tested in Chromium.
browser:
	@found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }; \
	if ! found >/dev/null && [ "$(SYSTEM)" != no ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing the system package chromium with apt-get (SYSTEM=no installs none)"; \
	  { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 || true; \
	fi; \
	found >/dev/null || echo "No Chromium: the tests of the report in a browser (tests/report/test_browser.py) are skipped"

# Exported C is tested on emulated devices, and clang compiles it for browsers. After `browser`, because apt-get runs once at a time.
DEVICES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm gcc-aarch64-linux-gnu \
	libc6-dev-arm64-cross qemu-user clang lld wasi-libc
devices: browser
	@found() { command -v arm-none-eabi-gcc && command -v qemu-system-arm && \
	  command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64 && command -v clang && command -v wasm-ld; }; \
	if ! found >/dev/null && [ "$(SYSTEM)" != no ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing the system packages $(DEVICES) with apt-get (SYSTEM=no installs none)"; \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $(DEVICES); } >/dev/null 2>&1 || true; \
	fi; \
	found >/dev/null || echo "No compilers or emulators of Arm, or no clang: tests/export/test_boards.py and tests/kernels/test_web.py are skipped in part"

# requirements/ has exact versions with hashes, which pip checks. torch comes after what it needs; the
# last step then finds all that pyproject.toml asks for.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What the README uses: a search, its analysis, its report.
$(VENV)/.installed: $(BIN)/python requirements/demo.txt requirements/torch.txt pyproject.toml
	$(PIP) --require-hashes --no-deps --requirement requirements/demo.txt
	$(PIP) --requirement requirements/torch.txt
	$(PIP) --no-build-isolation --editable '.[report]'
	touch $@

$(VENV)/.installed-dev: $(BIN)/python requirements/dev.txt requirements/torch.txt pyproject.toml
	$(PIP) --require-hashes --no-deps --requirement requirements/dev.txt
	$(PIP) --requirement requirements/torch.txt
	$(PIP) --no-build-isolation --editable '.[dev]'
	touch $(VENV)/.installed $@

# Steps against the reference's, then beside a busy core. Optional: DATA=cifar10/ times whole epochs on CIFAR-10.
bench-training: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/training.py $(if $(DATA),--data $(DATA))
	$(BIN)/python tests/benchmarks/waiting.py

# At most 8 minutes on a GPU. Optional: DATA=cifar10/ trains on CIFAR-10.
gpu: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/gpu.py $(if $(DATA),--data $(DATA))

bench-agreement: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/agreement.py $(if $(DATA),--data $(DATA))

# DATA=cifar10/: its images are enlarged to the size of ImageNet's.
bench-streaming: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/streaming.py $(DATA)

# Reads tests/benchmarks/truth.parquet. About 15 minutes on one core.
bench-warm-start: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/warm_start.py --runs $(RUNS)/warm-start

# One training of shared weights against the table tests/benchmarks/truth.parquet. About 10 minutes on one core.
bench-supernet: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/supernet.py --runs $(RUNS)/bench-supernet

# One option of the recipe cifar-fast at a time. DATA=cifar10/ is needed. About 25 minutes on one core for a seed.
bench-recipes: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/recipe_options.py $(DATA) --out $(RUNS)/recipe-options

# Our attributions against one Captum call for each layer and method. About 15 minutes on two cores.
bench-information: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/information.py

# Trains a small network again with one layer real, and ranks the measures. About 10 minutes on one core.
# DATA=cifar10/: the ResNet-20 at half its width on a part of CIFAR-10, 18 layers; half a minute for a training.
bench-layers: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/layer_truth.py --out $(RUNS)/layer-truth-tables \
	  $(if $(DATA),--data $(DATA) --seeds 2 --runs $(RUNS)/layer-truth-cifar10,--runs $(RUNS)/layer-truth)

# Packed networks against onnxruntime in float32 and int8, in one process. One minute.
bench-latency: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/latency.py

# Flash, RAM and instructions on emulated microcontrollers. About 5 minutes on one core.
bench-boards: $(VENV)/.installed-dev devices
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/boards.py --out $(RUNS)/boards

# The cost of the search itself: time per trial without training.
bench-overhead: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/overhead.py

# Runs that are killed and interrupted at random moments end as undisturbed ones do. About 10 minutes.
bench-kills: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/kills.py

# A report of 5,000 trials: time, size, and time to open it in Chromium.
bench-report: $(VENV)/.installed-dev browser
	$(BIN)/python tests/benchmarks/report.py

# Changes files that people may get from others, guided by the lines that each change reaches; SECONDS
# for each of nine kinds, and for the C runtime, which clang compiles. atheris, which brings libFuzzer,
# has wheels for Linux only.
SECONDS ?= 60
FUZZED ?= study run packed best progress weights pickle parquet image
fuzz: $(VENV)/.installed-dev
	$(PIP) atheris==3.0.0
	for kind in $(FUZZED); do \
	  PYTHONPATH=tests $(BIN)/python tests/fuzzing/fuzz.py $$kind --seconds $(SECONDS) || exit; \
	done
	PYTHONPATH=tests $(BIN)/python tests/fuzzing/runtime.py --seconds $(SECONDS)

# Compares samplers on recorded curves, tests/benchmarks/truth.parquet; `make truth` trains them again.
bench-search: $(VENV)/.installed-dev $(MOASHA)/.tried $(BOTORCH)/.tried
	$(BIN)/python tests/benchmarks/search.py --moasha $(MOASHA)/bin/python --botorch $(BOTORCH)/bin/python

truth: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/truth.py --runs $(RUNS)/truth

# Adds to tests/benchmarks/truth_cifar10.parquet what is missing. Days on two cores; it may be interrupted.
truth-cifar10: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/truth.py tests/benchmarks/truth_cifar10.toml --data $(DATA) \
	  --seeds 2 --every 3 --runs $(RUNS)/truth-cifar10

# Syne Tune has its own environment: its dependencies and ours need not agree.
$(MOASHA)/.tried:
	$(PYTHON) -m venv $(MOASHA)
	$(MOASHA)/bin/python -m pip install --quiet --disable-pip-version-check syne-tune==0.16.0 \
	  || { echo "syne-tune cannot be installed here: the benchmark runs without MOASHA"; rm -r $(MOASHA)/bin; }
	touch $@

# BoTorch runs in this package's driver, so its environment has the package too.
$(BOTORCH)/.tried:
	$(PYTHON) -m venv $(BOTORCH)
	$(BOTORCH)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements/torch.txt
	$(BOTORCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable . botorch==0.18.1 \
	  || { echo "botorch cannot be installed here: the benchmark runs without it"; rm -r $(BOTORCH)/bin; }
	touch $@

# Compiles the runtime for browsers again, after a change of ir2_runtime.c or ir2_runtime.h, and makes the
# published page. Needs clang, lld and wasi-libc.
wasm: $(VENV)/.installed
	$(BIN)/python -m ir2search.kernels.web
	$(BIN)/ir2search export digits-63k --format web --out $(RUNS)/digits-63k.html
	mv $(RUNS)/digits-63k.html docs/demo/

# Adds a trained network to those that ship: NAME, and FROM, a folder of `ir2search train` or of a trial.
# DATA and DATA_NAME for images other than the included digits.
zoo: $(VENV)/.installed-dev
	$(BIN)/python tools/add_to_zoo.py $(NAME) $(FROM) $(if $(DATA),--data $(DATA)) $(if $(DATA_NAME),--data-name '$(DATA_NAME)') $(if $(FIRST),--first $(FIRST))

# The oldest versions that pyproject.toml allows, with the quick tests. Needs Python 3.11 and, where
# pip's index has torch with CUDA only, some gigabytes. Old packages raise deprecation warnings.
QUICK := tests/nn tests/models tests/costs tests/study tests/runs/test_run.py tests/space tests/test_package.py \
	tests/cli/test_imports.py
oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet uv
	$(OLDEST)/bin/uv pip compile --quiet --resolution lowest-direct --extra all pyproject.toml \
	  --output-file $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/oldest.txt --editable '.[all]' \
	  'pytest<9.2' pytest-timeout pytest-xdist hypothesis
	$(OLDEST)/bin/pytest -n auto -W ignore::DeprecationWarning $(QUICK)
	$(OLDEST)/bin/ir2search run digits --trials 2 --runs $(OLDEST)/runs
	$(OLDEST)/bin/ir2search export $(OLDEST)/runs/digits
	$(OLDEST)/bin/ir2search report $(OLDEST)/runs/digits

# Writes requirements/demo.txt and dev.txt: versions for all platforms, with the hashes of all their
# files. Versions stay as they are where they can; `make lock UPGRADE=--upgrade` takes the newest.
COMPILE = $(LOCKING)/bin/uv pip compile --quiet --universal --python-version 3.11.5 --generate-hashes \
	--no-header --no-annotate --excludes requirements/torch.txt pyproject.toml requirements/further.in
lock:
	$(PYTHON) -m venv $(LOCKING)
	$(LOCKING)/bin/python -m pip install --quiet uv
	$(COMPILE) $(UPGRADE) --extra dev --output-file requirements/dev.txt
	$(COMPILE) --extra report --constraint requirements/dev.txt --output-file requirements/demo.txt

clean:
	rm -rf $(VENV) $(MOASHA) $(BOTORCH) $(OLDEST) $(LOCKING) .fuzz runs
