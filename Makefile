# pyruntime: `make help` lists the targets. Everything built goes into build/ and .venv/.

PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
DESTDIR ?=
BENCH   ?=
CONFORMANCE ?=
VM      ?=
SUITE   ?= bookworm
JOBS    ?= $(shell nproc)
BARE    ?=
RUNTIME ?= $(CURDIR)/build/bin/pyruntime
export PYTHON RUNTIME

VENV    := .venv
PY      := $(CURDIR)/$(VENV)/bin/python
STAMPS  := build/stamps
PYTEST  := $(PY) -m pytest
COMMIT  := -m 'not nightly' -n $(JOBS) --dist worksteal $(PYTESTFLAGS)
PACKAGE := $(shell find pyruntime -name '*.py' ! -name _tables.py)
SHIM    := $(wildcard native/shim/*.c native/shim/shim.h native/shim/*.py) \
           $(wildcard native/init/*.c native/init/*.h native/init/*.S native/init/Makefile)
LAUNCHER := $(wildcard native/launcher/*.py native/launcher/*.c native/launcher/*.h native/launcher/*.in native/launcher/*.txt)
SCHEMA  := $(wildcard schema/*.json schema/*.py schema/*/*.json)

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: build run test tests-ready check bench conformance mutations engines vm fuzz arm64 bare docs nightly release \
        install uninstall lock clean help

build: build/bin/pyruntime ## build in place: the result is build/bin/pyruntime

# --- the build, step by step; a stamp stands for a step that has no single file as its result ---

$(STAMPS)/packages: .ci/packages
	@mkdir -p $(@D)
	@.ci/packages
	@touch $@

$(STAMPS)/venv: .ci/requirements.lock $(STAMPS)/packages
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --upgrade $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@.ci/pip $(PY) run
	@echo "$(CURDIR)" > "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pyruntime.pth"
	@touch $@

# What the tests need besides; an ordinary user's make do with the Python packages.
$(STAMPS)/tests: .ci/requirements.lock .ci/packages $(STAMPS)/venv
	@[ "$$(id -u)" != 0 ] || .ci/packages test
	@.ci/pip $(PY) test
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

run: build ## run the example bundle `hello`, or `rootless` as an ordinary user
	@if [ "$$(id -u)" = 0 ]; then bundles/run hello; else \
		echo "the example bundle hello needs root; this is the bundle rootless:"; bundles/run rootless; fi

tests-ready: build $(STAMPS)/tests

# The exit status of pytest is 5 when it found no test, so nothing passes by not running.
test: tests-ready ## the test suite of every commit (as root; what needs none of it as another user); RUNTIME=runc tests the tests
	@if [ "$$(id -u)" = 0 ]; then set -x; $(PYTEST) $(COMMIT) tests/unit tests/integration tests/hostile tests/bench; else \
		echo "only the unit tests run, because the others make containers as root: sudo make test"; \
		set -x; $(PYTEST) $(COMMIT) tests/unit; fi

check: tests-ready ## unit tests and style, without root, in under a minute
	$(PYTEST) -q $(COMMIT) tests/unit

bench: tests-ready ## times and memory beside the reference runtimes found (as root)
	@.ci/packages bench
	$(PY) tests/bench/run $(BENCH)

conformance: tests-ready ## the specification's statements, tested on RUNTIME; CONFORMANCE="hooks" is a group (as root)
	$(PY) -m conformance --runtime "$(RUNTIME)" $(CONFORMANCE)

mutations: tests-ready ## does the suite find what is broken? small edits of pyruntime, each of which must fail (as root)
	$(PY) conformance/mutate

engines: tests-ready ## podman, containerd, … on top of pyruntime (as root)
	@.ci/packages engines
	$(PYTEST) tests/engines

vm: tests-ready ## the suite in a virtual machine with another kernel and cgroup layout; VM="--help" says more
	@.ci/packages vm
	$(PY) -m tests.vm $(VM)

fuzz: tests-ready ## random input against oracles, for FUZZ_SECONDS (90); FUZZ_SEED repeats a session
	@.ci/packages fuzz
	$(PYTEST) -s tests/fuzz

arm64: tests-ready ## the native parts built for arm64, and tapes played under emulation
	@.ci/packages arm64
	$(PYTEST) -s tests/arm64

bare: ## the README's commands on a bare Debian, SUITE=bookworm or another; BARE="sh -c …" instead of them (as root)
	@.ci/packages bare
	@$(PYTHON) -m tests.bare --suite $(SUITE) $(BARE)

nightly: ## everything a night allows: the tier's parts are listed in .ci/tier
	@.ci/tier nightly

release: ## everything: the tier's parts are listed in .ci/tier
	@.ci/tier release

install: build/launcher/pyruntime ## install into DESTDIR/PREFIX (default /usr/local)
	@$(PY) native/launcher/install.py build/launcher/pyruntime "$(DESTDIR)$(PREFIX)"

uninstall: ## remove what install put there; containers, their state and configurations of engines stay
	@rm -rf "$(DESTDIR)$(PREFIX)/lib/pyruntime"
	@rm -f "$(DESTDIR)$(PREFIX)/bin/pyruntime" $(patsubst docs/man/%.1,"$(DESTDIR)$(PREFIX)/share/man/man1/%.1",$(wildcard docs/man/*.1))
	@echo "removed $(DESTDIR)$(PREFIX)/bin/pyruntime"

lock: $(STAMPS)/packages ## bring the pinned versions in .ci/requirements.lock up to date
	@$(PYTHON) -m venv --clear build/lock
	@build/lock/bin/python -m pip install -q --disable-pip-version-check uv
	@PATH="$(CURDIR)/build/lock/bin:$$PATH" .ci/lock

docs: tests-ready ## docs/properties.md from the schema, the features and the marks of the tests
	@$(PY) schema/properties.py

clean: ## remove everything built
	rm -rf build $(VENV) *.egg-info native/init/init native/shim/init_image.h
	rm -f pyruntime/spec/_tables.py pyruntime/kernel/_native.*.so pyruntime/kernel/_native.c
	find pyruntime tests schema native -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '  make %-12s %s\n' "$$target" "$$text"; done
