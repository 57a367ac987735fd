# Everything here works from a bare clone: the first target that needs it makes .venv.
PYTHON ?= python3
BIN := .venv/bin
VGG = --vgg $$VSR_MEDIA/weights/vgg19_distilled_relu5_1.safetensors

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench cluster fuzz quality soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## make .venv with everything pinned

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/ready ## upscale a sample four times, into demo/
	@mkdir -p demo
	$(BIN)/vsr upscale samples/harbour.mkv demo/harbour_4x.mkv --overwrite --preset veryfast
	$(BIN)/vsr probe demo/harbour_4x.mkv

test: .venv/ready ## run the tests
	@tests/browser.sh
	$(BIN)/python -m pytest

check: .venv/ready ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: .venv/ready ## how fast the pipeline is against the network alone
	$(BIN)/vsr bench pipeline samples/harbour.mkv --repeats 3

cluster: .venv/ready ## a cluster on this machine, whose workers and nodes are killed
	$(BIN)/python -m pytest tests/jobs/test_cluster.py --durations 5

fuzz: .venv/ready ## damaged files by the thousand through the commands
	$(BIN)/python -m fuzz

quality: .venv/ready ## measure every model on the test sets of $$VSR_MEDIA
	@test -n "$$VSR_MEDIA" || { echo "error: VSR_MEDIA names no folder with data/bench" >&2; exit 2; }
	$(BIN)/vsr eval $(VGG) --data $$VSR_MEDIA/data/bench --data $$VSR_MEDIA/media/calendar
	$(BIN)/vsr eval $(VGG) --data $$VSR_MEDIA/media/clips --frames 8 --crf 28

soak: .venv/ready ## kill two hundred runs at random, and hold what they end in to one left alone
	$(BIN)/python -m tests.jobs.killing --kills 200 --frames 160

clean: ## remove .venv and what demo made
	rm -rf .venv demo
