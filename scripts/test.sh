#!/usr/bin/env bash
# The one test command: setup, lint, build, all tests, each once; ctest's summary of everything comes last.
#   scripts/test.sh          presets cpu and asan (labels unit, mpi), cuda compiled where nvcc is found
#   scripts/test.sh --all    also tsan, the label slow, 20 s of each fuzz target, clang-tidy on every file
set -euo pipefail
cd "$(dirname "$0")/.."
all=${1:-}
say() { printf '\n== %s\n' "$*"; }

scripts/setup.sh

say "format and floors"
scripts/format.sh --check
python3 scripts/check_floors.py

say "build: cpu"
cmake --preset cpu >/dev/null
cmake --build --preset cpu

say "clang-tidy"
scripts/tidy.sh ${all:+--all}

if command -v nvcc >/dev/null; then
  say "build: cuda (compiled here, run where a card is)"
  cmake --preset cuda >/dev/null
  cmake --build --preset cuda --target rw_cuda
else
  say "no nvcc here: the preset cuda is not compiled"
fi

say "build and test: asan (labels unit, mpi)"
cmake --preset asan >/dev/null
cmake --build --preset asan
ctest --preset asan

if [[ "$all" == --all ]]; then
  say "build and test: tsan (labels unit, mpi)"
  cmake --preset tsan >/dev/null
  cmake --build --preset tsan
  ctest --preset tsan
  say "build and run: fuzz targets"
  scripts/fuzz.sh 20
  say "tests: slow"
  ctest --test-dir build/cpu -L slow --output-on-failure --no-tests=error
fi

say "tests: cpu"
ctest --preset cpu
