#!/usr/bin/env bash
# Formats all C++ and CUDA sources; with --check changes nothing and lists the files that are not formatted (exit 1).
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files 'src/*.h' 'src/*.cpp' 'kernels/*.h' 'kernels/*.cpp' 'kernels/*.cu' 'launcher/*.h' \
  'launcher/*.cpp' 'tests/*.h' 'tests/*.cpp' 'benchmarks/*.cpp' 'fuzz/*.h' 'fuzz/*.cpp')
if [[ "${1:-}" == --check ]]; then
  clang-format-14 --dry-run --Werror "${files[@]}"
else
  clang-format-14 -i "${files[@]}"
fi
