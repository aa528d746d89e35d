# Everything runs in .venv, which scripts/environment.sh makes and keeps up to date.
# PYTHON=python3.12 chooses the interpreter.

.PHONY: help run test lint types docs bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z]*\): ## /\1\t/p' Makefile | expand -t 8

run: ## Start the server with the starter model
	@scripts/environment.sh
	@.venv/bin/universal serve --welcome --models-preload universal/starter

test: ## Run every test of the core and the plugins
	@scripts/environment.sh test openai-1
	.venv/bin/pytest

lint: ## Check the style
	@scripts/environment.sh lint
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: ## Check the types
	@scripts/environment.sh types
	.venv/bin/mypy

docs: ## Check the documentation
	@scripts/environment.sh test
	.venv/bin/pytest tests/docs

bench: ## Measure the speed, of everything or of MEASUREMENTS
	@scripts/environment.sh test
	.venv/bin/python -m bench $(MEASUREMENTS)

clean: ## Remove the environments and everything generated
	rm -rf .venv .nox .mypy_cache .pytest_cache .ruff_cache build dist plugins/*/dist
	find src plugins tests examples bench -name __pycache__ -prune -exec rm -rf {} +
