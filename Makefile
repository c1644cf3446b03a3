# `make demo` shows it, `make test` tests it all; both set up what they need in .venv. `make help` has the rest.
#
# Logic lives in scripts/; this file says which step needs which. Another interpreter: make test PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell scripts/pythons.sh --first)
endif
PY := .venv/bin/python
# pyo3 reads its build settings from the interpreter named here, the same one for every check of the Rust code.
export PYO3_PYTHON ?= $(CURDIR)/$(PY)

PYTEST_ARGS ?=
BENCH_ARGS ?=
STORE ?= sqlite
SECONDS ?= 30
CHAOS_ARGS ?=
# In the profile of the extension, where one is asked for: nothing is compiled twice.
PROFILE := $(if $(BUILD_PROFILE),--profile $(BUILD_PROFILE))
CLIPPY := cargo clippy --quiet --locked --all-targets $(PROFILE)
RUST_TEST := --quiet --no-default-features $(PROFILE)
SHUTTLE := --quiet --no-default-features --lib --profile ci --target-dir target/shuttle

.PHONY: help
help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------- setting up

.PHONY: python
python:
	@[[ -n "$(PYTHON)" ]] || exit 1  # the search has said why

.PHONY: setup
setup: python ## Make .venv with everything that development needs
	@$(PYTHON) scripts/environment.py --group test --group lint --group docs

# ---------------------------------------------------------------- the two that matter

.PHONY: demo
demo: python ## Run the demo (sets everything up)
	@$(PYTHON) scripts/environment.py --requirements examples/requirements.txt
	@echo "==> running the demo: python -m examples.demo"
	@$(PY) -m examples.demo

.PHONY: test
test: lint types rust-test shuttle py-test other-pythons ## Run every check and every test (sets everything up)

# ---------------------------------------------------------------- the parts of `make test`

.PHONY: lint
lint: setup clippy ## Format and lint checks of Rust, Python and shell
	@echo "==> cargo fmt --check"
	@cargo fmt --check
	@echo "==> ruff check, ruff format --check"
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@echo "==> shellcheck"
	@.venv/bin/shellcheck scripts/*.sh .ci/run

.PHONY: clippy
clippy: setup
	@echo "==> clippy, without and with the interpreter's half"
	@$(CLIPPY) --no-default-features -- -D warnings
	@$(CLIPPY) -- -D warnings

.PHONY: types
types: setup ## Check the types: mypy strict, pyright, and the native module against its stub
	@echo "==> mypy --strict"
	@.venv/bin/mypy python tests/typing tests/servers tests/servers_fixtures.py scripts examples chaos servers
	@MYPYPATH=examples/pytest_project .venv/bin/mypy --explicit-package-bases \
		examples/pytest_project/*.py examples/pytest_project/tests/*.py
	@echo "==> pyright on tests/typing"
	@.venv/bin/basedpyright
	@echo "==> stubtest on the native module"
	@test -f python/idempotency_manager/_core.pyi || { echo "there is no _core.pyi to check" >&2; exit 1; }
	@$(PY) -m mypy.stubtest --mypy-config-file pyproject.toml --allowlist tests/typing/stubtest-allowlist.txt \
		idempotency_manager._core

.PHONY: rust-test
rust-test: python ## Test the core and the stores, with no Python interpreter in them
	@echo "==> cargo test --no-default-features"
	@$(PYTHON) -m servers run -- scripts/cargo_test.sh $(RUST_TEST)

.PHONY: shuttle
shuttle: ## Test the memory store under many thread interleavings
	@echo "==> shuttle"
	@RUSTFLAGS="--cfg shuttle" scripts/cargo_test.sh $(SHUTTLE) shuttle

.PHONY: prepare
prepare: setup clippy ## Compile and install all that the tests need, and run none
	@echo "==> compiling the tests"
	@cargo test --locked $(RUST_TEST) --no-run
	@RUSTFLAGS="--cfg shuttle" cargo test --locked $(SHUTTLE) --no-run
	@scripts/test_other_pythons.sh --prepare $(PY)

.PHONY: py-test
py-test: setup ## Test the package, the README and the docs on one CPython
	@echo "==> pytest on $$($(PY) --version)"
	@scripts/test_python.sh $(PY) $(PYTEST_ARGS)

.PHONY: docs-test
docs-test: setup ## Run only the examples in README.md and docs/
	@$(PY) -m pytest README.md docs tests/site $(PYTEST_ARGS)

.PHONY: docs
docs: setup ## Build the documentation into build/site, and take every warning as an error
	@echo "==> mkdocs build --strict"
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

.PHONY: other-pythons
other-pythons: setup ## Test the package on every other CPython >= 3.11 found here
	@scripts/test_other_pythons.sh $(PY) $(PYTEST_ARGS)

# ---------------------------------------------------------------- beyond `make test`

.PHONY: fuzz
fuzz: setup ## Run the property tests with many more examples (some minutes)
	@HYPOTHESIS_PROFILE=slow $(PY) -m pytest -m hypothesis --timeout=1200 $(PYTEST_ARGS)

.PHONY: deny
deny: ## Check licences, sources and advisories of the crates (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo install --locked cargo-deny, then again" >&2; exit 1; }
	@cargo deny check

.PHONY: wheel
wheel: python ## Build a wheel into dist/ and prove that it works on its own
	@$(PYTHON) scripts/environment.py
	@echo "==> building a wheel"
	@rm -rf dist
	@.venv/bin/maturin build --quiet --profile $(or $(BUILD_PROFILE),release) --locked --interpreter $(PY) --out dist
	@scripts/check_wheel.sh $(PYTHON) dist

.PHONY: bench
bench: python ## Measure, beside peers (BENCH_ARGS=--quick for a smoke run)
	@$(PYTHON) scripts/environment.py
	@$(PYTHON) scripts/environment.py --venv .venvs/bench --requirements benchmarks/requirements.txt --borrow-extension
	@echo "==> python -m benchmarks $(BENCH_ARGS)"
	@.venvs/bench/bin/python -m benchmarks $(BENCH_ARGS)

.PHONY: chaos
chaos: python ## Kill and stop workers at random, and audit what is left (STORE=sqlite SECONDS=30)
	@$(PYTHON) scripts/environment.py
	@$(PY) -m chaos --store $(STORE) --seconds $(SECONDS) $(CHAOS_ARGS)

.PHONY: format
format: setup ## Format Rust and Python, and mend what ruff can mend
	@cargo fmt
	@.venv/bin/ruff check --fix --quiet || true
	@.venv/bin/ruff format --quiet

.PHONY: clean
clean: ## Remove everything that was made
	rm -rf .venv .venvs build dist target .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f python/*/_core.*.so
