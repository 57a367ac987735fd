# Everything here works from a bare clone: the first target that needs it makes .venv. Python compiles
# what it imports; that all of torch and Ray is compiled when they are installed would take a minute.
PYTHON ?= python3
export PYTHONDONTWRITEBYTECODE :=
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal
WORKERS ?= 2
TIMES ?= 20
MODELS := .venv-models/$(SCRIPTS)
VGG = --vgg $$VSR_MEDIA/weights/vgg19_distilled_relu5_1.safetensors

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all models wheel check docs bench cluster faults fuzz quality soak train repeat clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## make .venv with everything pinned

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/ready ## upscale a sample four times, into demo/
	@mkdir -p demo
	$(BIN)/vsr upscale samples/harbour.mkv demo/harbour_4x.mkv --overwrite --preset veryfast
	$(BIN)/vsr probe demo/harbour_4x.mkv

test: .venv/ready ## run the tests, but for the extended ones
	$(PYTEST) -m 'not extended'

test-all: .venv/ready ## run all tests: also cluster, benchmarks, kills by the dozen, and a browser
	@tests/browser.sh
	$(PYTEST)

models: .venv-models/ready ## run the tests of the extra vsr[models], in an environment of its own
	$(MODELS)/python -m pytest tests/third_party

# The registry's torchvision is built for CUDA and imports with the registry's torch alone. Where pip
# also finds a CPU build (2.13.0+cpu), it prefers that one to 2.13.0; to ===, only 2.13.0 is equal.
.venv-models/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-models
	$(MODELS)/pip install --quiet --no-compile --constraint constraints.txt \
	  $$(sed -n 's/^torch==/torch===/p; s/^torchvision==/torchvision===/p' constraints.txt) \
	  --editable '.[models]' pytest
	$(MODELS)/python -c 'import spandrel'
	@touch $@

wheel: ## build, install into an empty environment, and run a picture through
	$(PYTHON) -m tests.install

check: .venv/ready ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/docs ## build the documentation into site/, strictly
	$(BIN)/mkdocs build --strict

.venv/docs: .venv/ready
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[docs]'
	@touch $@

bench: .venv/ready ## how fast the pipeline is against the network alone
	$(BIN)/vsr bench pipeline samples/harbour.mkv --repeats 3

cluster: .venv/ready ## a cluster on this machine, whose workers and nodes are killed
	$(BIN)/python -m pytest tests/jobs/test_cluster.py --durations 5

fuzz: .venv/ready ## damaged files by the thousand through the commands
	$(BIN)/python -m fuzz

faults: .venv/ready ## each call of the system made to fail once, and for good; power cuts replayed
	$(BIN)/python -m tests.faults.power_cut
	$(BIN)/python -m tests.faults.sweep

quality: .venv/ready ## measure every model on the test sets of $$VSR_MEDIA
	@test -n "$$VSR_MEDIA" || { echo "error: VSR_MEDIA names no folder with data/bench" >&2; exit 2; }
	$(BIN)/vsr eval $(VGG) --data $$VSR_MEDIA/data/bench --data $$VSR_MEDIA/media/calendar
	$(BIN)/vsr eval $(VGG) --data $$VSR_MEDIA/media/clips --frames 8 --crf 28

train: .venv/ready ## train the shipped weights, from where it stopped: QUEUE='--pictures DIR --sequences DIR --vgg FILE'
	$(BIN)/python -m tools.queue $(QUEUE)

soak: .venv/ready ## kill two hundred runs at random, and hold what they end in to one left alone
	$(BIN)/python -m tests.jobs.killing --kills 200 --frames 160

repeat: .venv/ready ## run the tests twenty times (TIMES=N), four processes to a core, and list failures
	$(BIN)/python -m tests.repeated --times $(TIMES) -m 'not extended'

clean: ## remove the environments and what demo and docs made
	rm -rf .venv .venv-models demo site
