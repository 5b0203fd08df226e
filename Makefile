# vidya: `make` installs and builds, then `python -m vidya.train` trains.
#
#   make PYTHON=python3.12      another Python than the one on PATH
#   make V=1                    show what pip and the compiler do
#   VIDYA_BLAS=system make      the system's OpenBLAS instead of the wheel's
#   make test ARGS="-k gelu"    options for pytest

PYTHON ?= $(shell for p in python python3; do \
    "$$p" -c "" >/dev/null 2>&1 && command -v "$$p" && break; done)
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# The tests start hundreds of processes, which would each compile every module again.
unexport PYTHONDONTWRITEBYTECODE

INSTALL = "$(PYTHON)" tools/install.py $(if $(V),--verbose)
NOT_SUPPORTED = import sys; sys.version_info >= (3, 10) or sys.exit( \
    "error: vidya needs Python 3.10 or newer, and %s is %s: name a newer one, make PYTHON=..." \
    % (sys.executable, sys.version.split()[0]))

.PHONY: install test test-extras lint screens bench sanitize test-aarch64 wheel clean python
.DEFAULT_GOAL := install
.NOTPARALLEL:

install: python
	@$(INSTALL)

test: python
	@$(INSTALL) --extra test
	@"$(PYTHON)" -m pytest -n auto --dist loadfile $(ARGS)
	@echo "once more, with --precision auto forced to bf16: the tests that ask for it"
	@VIDYA_AUTO_PRECISION=bf16 "$(PYTHON)" -m pytest -n auto --dist loadfile -m auto_precision \
	    $(ARGS) || [ $$? -eq 5 ]  # 5: ARGS have chosen others

test-extras: python
	@$(INSTALL) --extra test --extra test-extras --extra wheel
	@"$(PYTHON)" -m pytest -n auto --dist loadfile -m extras $(ARGS)

lint: python
	@$(INSTALL) --extra lint
	"$(PYTHON)" -m ruff check .
	"$(PYTHON)" -m ruff format --check .
	"$(PYTHON)" -m mypy
	"$(PYTHON)" -c "from importlinter.cli import lint_imports_command as lint; lint()" --no-logo
	"$(PYTHON)" tools/check_c.py

screens: python
	@$(INSTALL) --extra screens
	@"$(PYTHON)" tools/screens.py $(ARGS)

bench: python
	@$(INSTALL) --extra test
	@mkdir -p build
	@"$(PYTHON)" -m pytest bench --benchmark-json=build/bench.json --benchmark-quiet $(ARGS)
	@"$(PYTHON)" bench/report.py build/bench.json --out build/bench.md

sanitize: python
	@$(INSTALL) --extra test
	@"$(PYTHON)" tools/sanitize.py $(ARGS)

test-aarch64: python
	@$(INSTALL) --extra test
	@"$(PYTHON)" tools/aarch64.py $(ARGS)

wheel: python
	@$(INSTALL) --extra wheel
	@"$(PYTHON)" tools/wheel.py $(if $(V),--verbose) $(ARGS)

clean:
	rm -rf build dist *.egg-info vidya/kernels/*.so
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

python:
	@test -n "$(PYTHON)" || { echo "error: no Python on PATH: install Python 3.10 or newer" >&2; exit 2; }
	@"$(PYTHON)" -c '$(NOT_SUPPORTED)'
