# Every command a contributor needs; CI calls the same ones. Each does its own set-up.
.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports unit wheel faults bench lock compose-env clean

BIN := .venv/bin
RUN := .venv/.ready-to-run
DEV := .venv/.ready-to-develop

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(RUN): requirements.lock pyproject.toml tools/venv
	@tools/venv requirements.lock
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml tools/venv
	@tools/venv requirements-dev.lock
	@touch $@ $(RUN)

demo: $(RUN) ## a living fleet in accelerated time; ONCE=1 runs it unattended to the next cycle
	@tools/machine run
	@$(BIN)/wearwell demo $(if $(ONCE),--once) $(ARGS)

test: $(DEV) lint wheel ## everything: lint, types, imports, the wheel's demo, then every test
	@tools/machine test
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

lint: $(DEV) ## style, types, who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: $(DEV) ## build the wheel and run the demo from it in an empty virtual environment
	@tools/machine run
	tools/wheel

faults: $(DEV) ## every fault at full length, and the table of what came of it: SEEDS=200
	@tools/machine test
	@rm -rf test-output/faults
	$(BIN)/pytest tests/faults --long --seeds $(or $(SEEDS),20) $(ARGS); code=$$?; \
	  $(BIN)/python -m tests.faults.report; exit $$code

bench: $(DEV) ## benchmarks; figures, not verdicts
	@for each in tests/benchmarks/[a-z]*.py tests/benchmarks/wear tests/benchmarks/ingest tests/benchmarks/store tests/benchmarks/scaling; do \
	  $(BIN)/python -m tests.benchmarks.$$(basename $$each .py) $(ARGS) || exit 1; done

lock: $(DEV) ## resolve the dependencies again; the files name versions and hashes, and no host
	$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev -c requirements.lock --universal --generate-hashes \
	  --no-emit-index-url --no-header --python-version 3.11 -o requirements-dev.lock

compose-env: ## write .env with fresh secrets for docker-compose.yml
	@deploy/env

clean: ## remove what these commands made
	rm -rf .venv dist build test-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
