# Names for python/bootstrap, which does the work with nothing but Python's standard library.
# Holds no logic of its own. `make test ARGS="-k linear"` passes ARGS on to pytest;
# `make demo PYTHON=python3.12` uses another Python.
PYTHON = python3
ARGS =

.PHONY: help demo test test-slow test-interop lint sanitize tsan fuzz fuzz-files bench bench-peers bench-selftest clean

help:
	@echo 'make demo       build into .venv (once) and learn to read handwritten digits'
	@echo 'make test       build, then run the Python tests and the C++ tests'
	@echo 'make test-slow  the tests that take minutes; RANVIER_DATA=... names the data sets'
	@echo 'make test-interop     what `make test` skips where scikit-learn, pandas or TensorBoard are missing'
	@echo 'make lint       ruff, mypy and clang-format'
	@echo 'make sanitize   tests and random calls under the address and undefined-behaviour sanitizers'
	@echo 'make tsan       tests of threads under the thread sanitizer'
	@echo 'make fuzz       random calls under the sanitizers for a minute, then random files for ten;'
	@echo '                ARGS="--seconds 600 --seed 7"; make fuzz-files  the files alone, with libFuzzer'
	@echo 'make bench      kernels beside the limits of this machine, ops, steps, threads, files; QUICK=1 a'
	@echo '                part; ARGS="--benchmark_filter=^gelu" or ARGS="--only threads" what is named'
	@echo 'make bench-peers     the same work by NumPy, PyTorch, JAX and others, which it asks to download:'
	@echo '                YES=1 does not ask, PEERS="numpy jax" takes these, QUICK=1 the most telling rows'
	@echo 'make bench-selftest  that a kernel slowed down on purpose is noticed, and noise is not'
	@echo 'make clean      remove build, .venv and caches'

demo test test-slow test-interop lint sanitize tsan fuzz fuzz-files bench bench-peers bench-selftest clean:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo 'Ranvier needs Python 3.10 or newer and a C++20 compiler:'; \
	  echo '    sudo apt-get install -y g++ python3-dev python3-venv'; \
	  echo 'then run `make $@` again.'; exit 1; }
	@"$(PYTHON)" python/bootstrap $@ $(ARGS)
