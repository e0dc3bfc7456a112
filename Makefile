# The commands of the README. Everything else is CMake: see CMakePresets.json.
.PHONY: picture build test bench bench-peers docs format tidy sanitize wheel test-python test-parity install clean

PROMPT ?= a red circle on a white background
BUILD := build/release
PYTHON := build/python/bin/python
# Kept between the targets below, so that the library is compiled once for them.
PYTHON_BUILD := -C build-dir=$(CURDIR)/build/python-cmake

picture: build
	$(BUILD)/bin/flux2 generate -p "$(PROMPT)" -o flux2.png

build:
	@tools/install_dependencies.sh
	@cmake --preset release >/dev/null
	cmake --build --preset release

test: build
	ctest --preset release -j "$$(nproc)"

bench: build
	$(BUILD)/bench/bench_ops

# Against Diffusers, at full size: about 40 minutes with the machine alone and 22 GB; PEERS="--quick"
# only shows that it works. FLUX2_PEERS_PYTHON: a Python that has Diffusers already.
FLUX2_PEERS_PYTHON ?= build/peers/venv/bin/python
bench-peers: build $(FLUX2_PEERS_PYTHON)
	$(FLUX2_PEERS_PYTHON) bench/bench_peers.py --python $(FLUX2_PEERS_PYTHON) $(PEERS)

build/peers/venv/bin/python:
	python3 -m venv build/peers/venv
	build/peers/venv/bin/python -m pip install -q -r bench/requirements.txt

format:
	git ls-files '*.h' '*.cpp' '*.inc' | xargs clang-format -i

tidy: build
	git ls-files 'src/*.cpp' 'apps/*.cpp' | xargs clang-tidy -p $(BUILD) --quiet

sanitize:
	for preset in asan ubsan tsan; do \
	  cmake --preset $$preset >/dev/null && cmake --build --preset $$preset && \
	  ctest --preset $$preset || exit 1; \
	done

wheel: $(PYTHON)
	$(PYTHON) -m pip wheel --no-deps -w build/wheel $(PYTHON_BUILD) ./bindings/python

test-python: $(PYTHON)
	$(PYTHON) -m pip install -q $(PYTHON_BUILD) "./bindings/python[test]"
	$(PYTHON) -m pytest -q bindings/python/tests

# Calls Diffusers beside this library, three hundred times: some GB of packages, ten minutes.
test-parity: $(PYTHON)
	$(PYTHON) -m pip install -q $(PYTHON_BUILD) ./bindings/python -r tests/goldens/data/requirements.txt peft==0.21.2
	$(PYTHON) bindings/python/parity/run.py --out docs/parity.md

$(PYTHON):
	python3 -m venv build/python

docs: build
	cmake --build $(BUILD) --target docs

install: build
	cmake --install $(BUILD)

clean:
	rm -rf build
