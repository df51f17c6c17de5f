# pyruntime: `make help` lists the targets. Everything built goes into build/ and .venv/.

PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
DESTDIR ?=
BENCH   ?=
CONFORMANCE ?=
VM      ?=
RUNTIME ?= $(CURDIR)/build/bin/pyruntime
export PYTHON RUNTIME

VENV    := .venv
PY      := $(CURDIR)/$(VENV)/bin/python
STAMPS  := build/stamps
PYTEST  := $(PY) -m pytest
PACKAGE := $(shell find pyruntime -name '*.py' ! -name _tables.py)
SHIM    := $(wildcard native/shim/*.c native/shim/shim.h native/shim/*.py) \
           $(wildcard native/init/*.c native/init/*.h native/init/*.S native/init/Makefile)
LAUNCHER := $(wildcard native/launcher/*.py native/launcher/*.c native/launcher/*.h native/launcher/*.in native/launcher/*.txt)
SCHEMA  := $(wildcard schema/*.json schema/*.py schema/*/*.json)

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: build run test check bench conformance mutations engines vm fuzz arm64 docs nightly release install clean help

build: build/bin/pyruntime ## build in place: the result is build/bin/pyruntime

# --- the build, step by step; a stamp stands for a step that has no single file as its result ---

$(STAMPS)/packages: .ci/packages
	@mkdir -p $(@D)
	@.ci/packages
	@touch $@

$(STAMPS)/venv: setup.cfg $(STAMPS)/packages
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --upgrade $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PYTHON) .ci/requirements.py setup.cfg > build/requirements.txt
	@$(PY) -m pip install -qq --disable-pip-version-check -r build/requirements.txt
	@echo "$(CURDIR)" > "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pyruntime.pth"
	@touch $@

$(STAMPS)/shim: $(SHIM) $(STAMPS)/venv setup.py
	@echo "building the init and the shim"
	@rm -f pyruntime/kernel/_native.*.so
	@$(PY) setup.py -q build_ext --inplace --force > build/shim.log 2>&1 || { cat build/shim.log; exit 1; }
	@touch $@

pyruntime/spec/_tables.py: $(SCHEMA) $(STAMPS)/venv
	@echo "generating the schema tables"
	@$(PY) schema/generate.py
	@touch $@

build/launcher/pyruntime: $(PACKAGE) pyruntime/spec/_tables.py $(STAMPS)/shim $(LAUNCHER)
	@echo "building the launcher"
	@$(PY) -X no_debug_ranges native/launcher/build.py build/launcher

build/bin/pyruntime: build/launcher/pyruntime
	@$(PY) native/launcher/install.py build/launcher/pyruntime build

# --- what one does with it ---

run: build ## run the example bundle `hello` (as root)
	@bundles/run hello

# The exit status of pytest is 5 when it found no test, so nothing passes by not running.
test: build ## the test suite of every commit (as root); RUNTIME=runc tests the tests
	$(PYTEST) -m 'not nightly' tests/unit tests/integration tests/hostile tests/bench

check: build ## unit tests and style, without root, in under a minute
	$(PYTEST) -q -m 'not nightly' tests/unit

bench: build ## times and memory beside the reference runtimes found (as root)
	$(PY) tests/bench/run $(BENCH)

conformance: build ## the specification's statements, tested on RUNTIME; CONFORMANCE="hooks" is a group (as root)
	$(PY) -m conformance --runtime "$(RUNTIME)" $(CONFORMANCE)

mutations: build ## does the suite find what is broken? small edits of pyruntime, each of which must fail (as root)
	$(PY) conformance/mutate

engines: build ## podman, containerd, … on top of pyruntime (as root)
	$(PYTEST) tests/engines

vm: build ## the suite in a virtual machine with another kernel and cgroup layout; VM="--help" says more
	@.ci/packages vm
	$(PY) -m tests.vm $(VM)

fuzz: build ## random input against oracles, for FUZZ_SECONDS (90); FUZZ_SEED repeats a session
	@.ci/packages fuzz
	$(PYTEST) -s tests/fuzz

arm64: build ## the native parts built for arm64, and tapes played under emulation
	@.ci/packages arm64
	$(PYTEST) -s tests/arm64

nightly: ## everything a night allows: the tier's parts are listed in .ci/tier
	@.ci/tier nightly

release: ## everything: the tier's parts are listed in .ci/tier
	@.ci/tier release

install: build/launcher/pyruntime ## install into DESTDIR/PREFIX (default /usr/local)
	@$(PY) native/launcher/install.py build/launcher/pyruntime "$(DESTDIR)$(PREFIX)"

docs: build ## docs/properties.md from the schema, the features and the marks of the tests
	@$(PY) schema/properties.py

clean: ## remove everything built
	rm -rf build $(VENV) *.egg-info native/init/init native/shim/init_image.h
	rm -f pyruntime/spec/_tables.py pyruntime/kernel/_native.*.so pyruntime/kernel/_native.c
	find pyruntime tests schema native -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '  make %-12s %s\n' "$$target" "$$text"; done
