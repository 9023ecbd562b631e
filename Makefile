# A thin door to CMake: the first two targets are all that a newcomer needs.
#
#   make run     installs what is missing, builds, trains an agent, evaluates it, says where it is
#   make test    installs what is missing, builds, runs every test

BUILD ?= build
JOB   ?= auto
CMAKE ?= cmake
CONFIGURE = $(CMAKE) -S . -B $(BUILD) -G Ninja $(if $(shell command -v ccache),-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

.PHONY: help run roms mujoco cuda bundle wheel test build program configure setup setup-roms setup-test peers bench report install clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

run: $(if $(filter auto,$(JOB)),setup-roms,setup) program ## installs what is missing, builds, trains an agent, evaluates it
	@sh examples/first_run.sh $(BUILD)/volley $(JOB)

roms: setup-roms ## fetches the Atari ROMs that come with ale-py from PyPI
	@sh envs/atari/fetch_roms.sh

mujoco: setup-roms ## fetches MuJoCo's library and Gymnasium's models from PyPI (MUJOCO=X.Y.Z: another version)
	@sh envs/mujoco/fetch_mujoco.sh

cuda: setup ## fetches a CUDA toolkit from PyPI into build/cuda and builds the GPU back end
	@sh gpu/fetch_cuda.sh build/cuda
	@rm -f $(BUILD)/CMakeCache.txt
	@$(CONFIGURE) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@$(CMAKE) --build $(BUILD)

bundle: setup ## a tarball with the program, its libraries, tests and benchmarks, for servers without packages
	@sh gpu/bundle.sh

test: setup-test build peers ## installs what is missing, builds, runs every test
	@sh tests/run.sh $(BUILD)

build: configure ## the program, the tests and the benchmarks
	@$(CMAKE) --build $(BUILD)

program: configure ## build/volley alone
	@$(CMAKE) --build $(BUILD) --target volley

configure:
	@[ -f $(BUILD)/build.ninja ] || $(CONFIGURE) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }

bench: setup program ## the benchmarks that fit this machine
	@$(BUILD)/volley bench envs

compare: setup-test build roms ## comparisons with other programs, from PyPI, into benchmarks/results (others: benchmarks/compare.sh)
	@sh benchmarks/compare.sh

report: program ## tables and pictures of benchmarks/results, into benchmarks/report
	@$(BUILD)/volley bench report benchmarks/results/*.json --out benchmarks/report/README.md

install: program ## the program, what it loads, libvolley and volley(1), under PREFIX (/usr/local)
	@$(CMAKE) --build $(BUILD) --target manual libvolley
	@$(CMAKE) --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

wheel: setup ## the Python package as dist/*.whl
	@sh python/wheel.sh

clean: ## removes what was built, not the runs
	rm -rf build build-* build.log

setup:
	@./setup.sh

setup-roms:
	@./setup.sh roms

setup-test:
	@./setup.sh test

peers:
	@sh tests/kit/peers.sh $(BUILD)/peers
