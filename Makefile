# `make demo` and `make test` each work alone on a fresh machine with Python 3.11 or newer: what they need is
# installed into .venv by the first call and left alone by the next ones.

VENV := .venv
RUN := $(VENV)/bin/python -m
PIP := $(VENV)/bin/pip --disable-pip-version-check
TOGETHER := -n auto --maxprocesses 4 --dist worksteal
ONE_BY_ONE := -n auto --maxprocesses 4 --dist load --maxschedchunk 1
QUICK := $(RUN) pytest -m "not slow" $(TOGETHER)
# The first Python that is new enough; `make test PYTHON=...` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo examples test test-all test-clients test-gpu bench-gpu test-lowest bench lint types wheel sbom clean

help:
	@echo "make demo    train both tasks beside scikit-learn: a table and pictures"
	@echo "make examples   run all of examples/, from one neuron to both tasks"
	@echo "make test    the quick tests, of everything (FASTNN_DATA=folder adds the real data sets)"
	@echo "make test-all   those and the slow ones"
	@echo "make test-clients  a small program for each of ten libraries that use estimators (docs/clients.md)"
	@echo "make test-gpu   the tests of the CUDA backend on a GPU (make test runs them in a simulator)"
	@echo "make bench-gpu  fastnn on a GPU beside its CPU, PyTorch and JAX (BENCH='Pima')"
	@echo "make bench   fastnn beside what is installed of NumPy, scikit-learn, PyTorch, JAX (BENCH='--quick pima')"
	@echo "make lint    ruff"
	@echo "make types   mypy"
	@echo "make wheel   build the wheel and test it outside the checkout"
	@echo "make test-lowest  the same with the lowest versions that pyproject.toml allows"
	@echo "make sbom    write dist/sbom.json, the software bill of materials of the wheel"
	@echo "make clean   remove what the other targets made"

demo: $(VENV)/.plots
	$(VENV)/bin/fastnn demo

# One that lacks its data says so, and the others still run.
examples: $(VENV)/.plots
	@failed=0; for example in examples/*.py; do \
		echo; echo "# $$example"; $(VENV)/bin/python $$example || failed=1; done; exit $$failed

test: $(VENV)/.test
	$(QUICK)

# Some of the slow tests want the machine for themselves: they look at what interrupts do and how soon.
# The three sessions share what they compile.
test-all: $(VENV)/.test
	set -e; export FASTNN_TEST_CACHE=$$(mktemp -d); trap 'rm -rf "$$FASTNN_TEST_CACHE"' EXIT; \
	$(QUICK); \
	$(RUN) pytest -m "slow and not alone" $(ONE_BY_ONE); \
	$(RUN) pytest -m alone

# These libraries pin one another and are heavy, so they have an environment of their own: .venv stays small.
test-clients:
	$(MAKE) VENV=build/clients build/clients/.clients
	build/clients/bin/python -m pytest $(TOGETHER) tests/clients "tests/project/test_readme.py::test_python[docs/clients.md-2]"

test-gpu: $(VENV)/.test
	FASTNN_TEST_GPU=1 $(RUN) pytest tests/cuda tests/engine/test_devices.py

bench-gpu: $(VENV)/.cuda
	$(RUN) benchmarks.gpu $(BENCH)

bench: $(VENV)/.plots
	$(VENV)/bin/fastnn bench $(BENCH)

lint: $(VENV)/.dev
	$(RUN) ruff check .

# mypy does not follow the mapping of kernels/ to fastnn.kernels, so it looks at links laid out as the wheel is.
types: $(VENV)/.dev
	rm -rf build/types && mkdir -p build/types/fastnn
	ln -s "$(CURDIR)"/fastnn/* build/types/fastnn/ && ln -s "$(CURDIR)/kernels" build/types/fastnn/kernels
	ln -s "$(CURDIR)/benchmarks" build/types/benchmarks
	cd build/types && "$(CURDIR)/$(VENV)/bin/python" -m mypy --config-file "$(CURDIR)/pyproject.toml" \
		--cache-dir "$(CURDIR)/.mypy_cache" -p fastnn -p benchmarks

# The wheel's own environment and a copy of the tests lie outside the checkout, so nothing can be borrowed from it.
# `make wheel WHEEL_PYTHON=...` tests it on another Python than the one that builds it.
wheel: WHEEL_PYTHON ?= $(VENV)/bin/python
wheel: $(VENV)/.test
	rm -rf dist
	$(RUN) build
	set -e; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; \
	cp -R pyproject.toml tests "$$away"; \
	$(WHEEL_PYTHON) -m venv "$$away/venv"; "$$away/venv/bin/python" --version; \
	"$$away/venv/bin/pip" --disable-pip-version-check install -q $(WHEEL_INSTALL) "$$(echo dist/*.whl)[test]"; \
	cd "$$away"; venv/bin/python -m pytest -q -m "not slow" $(TOGETHER) $(WHEEL_TEST)

# Old versions of one library warn about new versions of another.
test-lowest: WHEEL_INSTALL := -c tests/lowest.txt
test-lowest: WHEEL_TEST := -W default
test-lowest: wheel

# A list, as CycloneDX, of an environment with nothing but the wheel and what it needs. The tool wants a version that
# stands in pyproject.toml, so it gets a copy that says the wheel's.
sbom: $(VENV)/.dev
	rm -rf build/sbom
	$(RUN) build --wheel --outdir build/sbom
	$(VENV)/bin/python -m venv --without-pip build/sbom/venv
	$(PIP) --python build/sbom/venv/bin/python install -q build/sbom/*.whl
	version=$$(echo build/sbom/*.whl | cut -d- -f2); \
	sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml > build/sbom/pyproject.toml
	mkdir -p dist
	$(VENV)/bin/cyclonedx-py environment --output-reproducible --mc-type library \
		--pyproject build/sbom/pyproject.toml --output-file dist/sbom.json build/sbom/venv/bin/python

clean:
	rm -rf $(VENV) dist build *.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each extra of pyproject.toml that was installed.
$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	@echo "Installing fastnn-core[$*] into $(VENV) (once; a minute or two)"
	@$(PIP) install -q -e '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "fastnn needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
