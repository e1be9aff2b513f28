#!/usr/bin/env bash
# clang-tidy, warnings as errors, on the .cpp files that the last 20 commits touched; with --all on every one.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/cpu
if [[ "${1:-}" == --all ]] || ! git rev-parse -q --verify HEAD~20 >/dev/null; then
  mapfile -t files < <(git ls-files 'src/*.cpp' 'kernels/*.cpp' 'launcher/*.cpp')
else
  mapfile -t files < <(git diff --name-only --diff-filter=d HEAD~20 -- 'src/*.cpp' 'kernels/*.cpp' 'launcher/*.cpp')
fi
list=()
for file in "${files[@]}"; do
  [[ "$file" == */cuda*.cpp ]] || list+=("$file")
done
((${#list[@]} > 0)) || { echo "tidy: no changed files"; exit 0; }
printf '%s\0' "${list[@]}" | xargs -0 -n 1 -P 2 clang-tidy-14 --quiet --extra-arg=-Wno-unknown-warning-option -p "$build" 2>/dev/null
echo "tidy: ${#list[@]} files are clean"
