# Everything runs in .venv, made on first use. Needs Python >= 3.11 and make; nothing else.
PYTHON ?= python3
BIN := .venv/bin
# A container's only user is often root, which Jupyter refuses without a word of consent.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# Workers, kernels and servers are started often: a machine that forbids bytecode files would compile phasenb each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo lab test test-outside lint labextension documents bench pictures soak clean
.DEFAULT_GOAL := test

# One stamp per set of extras, renewed when pyproject.toml changes.
.venv/.%: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing phasenb[$*] into .venv (the first time takes a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@

demo: .venv/.demo       ## run notebooks/quickstart.ipynb on a real Jupyter server, live in this terminal
	@$(BIN)/python notebooks/demo.py

lab: .venv/.lab labextension  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --ServerApp.root_dir=notebooks $(AS_ROOT)

# Node and npm come with .venv/.lab and .venv/.test. The bundle is linked, so a page that is reloaded shows a new one.
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix labextension
BUILT := phasenb/labextension/package.json

labextension/node_modules/.package-lock.json: labextension/package.json labextension/package-lock.json
	@echo "Installing the labextension's packages (a minute or two)"
	@$(NPM) ci --silent

$(BUILT): labextension/node_modules/.package-lock.json labextension/tsconfig.json labextension/build-widget.mjs \
    $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null)
	@$(NPM) run --silent build

labextension: $(BUILT)
	@mkdir -p .venv/share/jupyter/labextensions
	@ln -sfn $(CURDIR)/phasenb/labextension .venv/share/jupyter/labextensions/phasenb

lint: .venv/.test labextension/node_modules/.package-lock.json  ## ruff, mypy strict, the layers, TypeScript
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(NPM) run --silent lint

# A file of tests at a time on each processor: servers, kernels and browsers wait often, and memory has an end.
AT_ONCE := --numprocesses auto --maxprocesses 4 --dist loadfile

test: .venv/.test labextension  ## lint, then every test, a real browser's included
	@sh tests/browser/install_chromium.sh
	@$(MAKE) --no-print-directory lint
	@$(NPM) run --silent test
	@$(BIN)/python -m pytest $(AT_ONCE)

test-outside: .venv/.test labextension  ## tests in what users have beside it: nginx, a hub, papermill, an older JupyterLab, ...
	@sh tests/browser/install_chromium.sh
	@$(BIN)/python -m tests_outside.environments
	@$(BIN)/python -m pytest tests_outside

documents: .venv/.test  ## write what is generated: TypeScript types, AsyncAPI, OpenAPI, the reference of the command
	@$(BIN)/python -m phasenb.web.documents
	@$(BIN)/python -m phasenb.cli.reference

bench: .venv/.bench labextension  ## phasenb beside its peers: prints ratios; ONLY="wire cancel_c" for some
	@$(BIN)/python -m tests.benchmarks $(ONLY)

pictures: .venv/.test labextension  ## renew the pictures in docs/images: the browser tests take them
	@sh tests/browser/install_chromium.sh
	@PHASENB_TEST_PICTURES=1 $(BIN)/python -m pytest tests/browser

soak: .venv/.test       ## hosts, workers and people at random for 15 minutes (SECONDS=), by a SEED= that it prints
	@$(BIN)/python -m tests.crash.soak

clean:
	rm -rf .venv .venv-outside labextension/node_modules labextension/lib phasenb/labextension phasenb/display/static
