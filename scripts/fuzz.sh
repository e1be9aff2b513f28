#!/usr/bin/env bash
# Builds the fuzz targets (clang, libFuzzer, address and undefined-behaviour sanitizers) and runs each for so many
# seconds, two at a time, from its committed seeds. What breaks one is kept in build/fuzz/findings.
#   scripts/fuzz.sh [SECONDS=20] [NAME…]     e.g. scripts/fuzz.sh 300 recipe tokenizer
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
shift || true
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz
if (($# == 0)); then
  mapfile -t names < <(basename -a -s _fuzz.cpp fuzz/*_fuzz.cpp)
else
  names=("$@")
fi
mkdir -p build/fuzz/findings
one() {
  name=$1 seconds=$2
  mkdir -p "build/fuzz/found/$name"
  log=build/fuzz/findings/$name.log
  if ! "build/fuzz/${name}_fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/findings/$name-" "build/fuzz/found/$name" "fuzz/seeds/$name" >"$log" 2>&1; then
    echo "fuzz: $name: broken, see $log"
    tail -n 40 "$log"
    return 1
  fi
  echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, nothing found"
}
export -f one
export ASAN_OPTIONS=fast_unwind_on_malloc=1:allocator_may_return_null=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0
printf '%s\0' "${names[@]}" | xargs -0 -P 2 -I{} bash -c 'one {} '"$seconds"
