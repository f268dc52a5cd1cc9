# Everything that a developer runs. `make help` lists it.

PYTHON ?= python3
# Where the demo site's Pyodide comes from: local (a copy inside the site, which then needs no
# network), cdn (its public CDN, as on GitHub Pages) or auto (the CDN where it can be reached).
PYODIDE ?= local
# The demo's default is auto.
DEMO_PYODIDE = $(if $(filter file,$(origin PYODIDE)),auto,$(PYODIDE))
# PyTorch for the kernels beside this repository. Named exactly because a plain `torch` brings
# several GB of CUDA to a machine without a GPU, too. With a GPU: make demo TORCH=torch
# (an environment that has torch already is left alone).
TORCH ?= torch==2.13.0
# PyTorch of the kernels in `make compatibility`: the oldest that is supported.
KERNEL_TORCH ?= torch==2.4.1
SITE = lite_site/_output
PYTEST_ARGS ?=
# So many files of tests run at once.
WORKERS ?= logical

VENV = .venv
PY = $(VENV)/bin/python
LINK = $(VENV)/share/jupyter/labextensions/jupyterlite-torch

# Files whose times say when something was done last. Those of an environment lie in it, so that
# they go with it.
VENV_MADE = $(VENV)/pyvenv.cfg
PYTHON_READY = $(VENV)/.installed
EXTENSION_LINKED = $(VENV)/.linked
NODE_READY = node_modules/.package-lock.json
EXTENSION_BUILT = build/labextension/package.json
SITE_BUILT = build/site-$(PYODIDE)

EXTENSION_SOURCES := $(shell find extension -type f ! -path '*/__pycache__/*' \
	! -path 'extension/testing/*' ! -name '*.test.ts') \
	package.json tsconfig.json kernel_proxy/_version.py
SITE_SOURCES := $(wildcard lite_site/notebooks/*.ipynb) jupyter-lite.json \
	lite_site/build.py lite_site/pyodide.py

# The pictures of the docs, which tests leave in tests/artifacts.
PICTURES = quickstart.png connect-dialog-fault.png panel-variables-light.png mark-receipt-light.png
PICTURE_TESTS = test_quickstart_picture or test_connect_with_the_dialog or test_variables or \
	test_mark_while_a_cell_runs_and_its_receipt

.DELETE_ON_ERROR:
.PHONY: help demo site test pictures compatibility lint audit bench clean distclean environment chromium

help:
	@echo 'make demo             the site and a proxy on this machine, paired, until Ctrl-C'
	@echo 'make demo HEADLESS=1  run the quickstart notebook in headless Chromium and print it'
	@echo 'make site             build the demo site into $(SITE) (PYODIDE=local, cdn or auto)'
	@echo 'make test             all tests: unit, server, browser'
	@echo 'make pictures         take the pictures of docs/ again, from the browser tests that leave them'
	@echo 'make compatibility    the tests of what travels, with kernels of KERNEL_TORCH (torch==2.4.1)'
	@echo 'make lint             ruff (with its security rules), prettier, tsc'
	@echo 'make audit            known holes in what is installed, by pip-audit and npm audit'
	@echo 'make bench            measure, and compare with what the browser itself can do'
	@echo 'make clean            remove what was built; make distclean: the environments, too'

# -- the commands ------------------------------------------------------------------------------

demo: environment $(if $(HEADLESS),chromium)
	@$(MAKE) --no-print-directory site PYODIDE=$(DEMO_PYODIDE)
	@$(PY) -m lite_site.demo --site $(SITE) $(if $(HEADLESS),--headless)

site: $(SITE_BUILT)
	@:

test: environment chromium site
	npm test --silent
	$(PY) -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
		$(wildcard tests/unit) $(wildcard tests/server) $(wildcard tests/browser) $(PYTEST_ARGS)

pictures: environment chromium site
	$(PY) -m pytest tests/browser -k '$(PICTURE_TESTS)'
	cp $(addprefix tests/artifacts/,$(PICTURES)) docs/

# Kernels of an environment of their own, which takes the name of the default kernelspec. On Linux PyPI's
# builds of torch bring several GB of CUDA.
COMPATIBLE = build/compatibility
COMPATIBLE_TESTS = test_kinds.py test_containers.py test_rules.py test_options.py test_refused.py \
	test_transfers.py test_patches.py test_remote_array.py test_preview.py test_background.py
compatibility: environment
	rm -rf $(COMPATIBLE)
	$(PY) -m venv $(COMPATIBLE)/env
	$(COMPATIBLE)/env/bin/python -m pip install --quiet --disable-pip-version-check \
		'$(KERNEL_TORCH)' 'ipykernel>=7' 'numpy>=2'
	$(COMPATIBLE)/env/bin/python -m ipykernel install --prefix $(COMPATIBLE) --name python3
	JUPYTER_PATH=$(abspath $(COMPATIBLE))/share/jupyter $(PY) -m pytest \
		$(addprefix tests/server/,$(COMPATIBLE_TESTS)) $(PYTEST_ARGS)

lint: $(PYTHON_READY) $(NODE_READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	npm run --silent lint

# They ask the advisory databases of PyPI and npm. What a mirror of PyPI does not know is listed as
# not audited.
audit: $(PYTHON_READY) $(NODE_READY)
	$(PY) -m pip_audit --skip-editable --progress-spinner off
	npm audit

# Of ipyparallel (9.2) the client alone is wanted: its page extension, which `make site` would take into
# the site, opens a dialog there, since it finds no server of its own.
bench: environment chromium site
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	rm -rf $(VENV)/share/jupyter/labextensions/ipyparallel-labextension
	$(PY) -m bench $(BENCH_ARGS)

clean:
	rm -rf build dist $(SITE) tests/artifacts .pytest_cache .ruff_cache
	find . -name __pycache__ -type d ! -path './.venv/*' ! -path './node_modules/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) node_modules lite_site/.cache

# -- what they need ----------------------------------------------------------------------------

environment: $(PYTHON_READY) $(EXTENSION_LINKED)

$(VENV_MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: name one with make PYTHON=..."; \
		exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(PYTHON_READY): $(VENV_MADE) pyproject.toml hatch_build.py
	@test -z '$(TORCH)' || \
		$(PY) -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' || \
		$(PY) -m pip install --disable-pip-version-check '$(TORCH)'
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(NODE_READY): package-lock.json
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null || { \
		echo "Node.js 20 or newer with npm is needed on the PATH: https://nodejs.org"; exit 1; }
	npm ci --no-audit --no-fund
	@touch $@

$(EXTENSION_BUILT): $(EXTENSION_SOURCES) $(NODE_READY) $(PYTHON_READY)
	PYTHON=$(abspath $(PY)) npm run --silent build
	@touch $@

# `jupyter lite build` finds the page extension here, as it would an installed one.
$(EXTENSION_LINKED): $(EXTENSION_BUILT) $(PYTHON_READY)
	@mkdir -p $(dir $(LINK)) && rm -rf $(LINK)
	ln -s $(abspath build/labextension) $(LINK)
	@touch $@

$(SITE_BUILT): $(SITE_SOURCES) $(PYTHON_READY) $(EXTENSION_LINKED)
	@rm -f build/site-*
	$(PY) -m lite_site.build --pyodide $(PYODIDE) --output $(SITE)
	@touch $@

chromium:
	@for name in "$$CHROME_PATH" chromium chromium-browser google-chrome google-chrome-stable \
		'/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' \
		/Applications/Chromium.app/Contents/MacOS/Chromium; do \
		test -n "$$name" && command -v "$$name" >/dev/null && exit 0; \
	done; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium; \
	else \
		echo "Chromium or Chrome is needed for this: install it (on Debian and Ubuntu:"; \
		echo "sudo apt-get install chromium), or set CHROME_PATH to its program."; \
		exit 1; \
	fi
