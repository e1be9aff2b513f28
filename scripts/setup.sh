#!/usr/bin/env bash
# Installs every Debian package that Ropewalk needs; seconds when all are there. Works as root or through sudo.
set -euo pipefail
packages=(
  g++ gcc cmake ninja-build ccache pkg-config git python3 ca-certificates
  libopenmpi-dev openmpi-bin libprotobuf-dev protobuf-compiler libgrpc++-dev protobuf-compiler-grpc
  libhdf5-dev libyaml-cpp-dev libgtest-dev libgmock-dev libbenchmark-dev libdnnl-dev libcli11-dev
  libspdlog-dev libfmt-dev nlohmann-json3-dev liburing-dev libxxhash-dev libzstd-dev libisal-dev zlib1g-dev
  libpcre2-dev libutf8proc-dev librandom123-dev libhwloc-dev
  clang-format-14 clang-tidy-14 clang-14 libomp-14-dev libclang-rt-14-dev
  dict-gcide wordnet-base iproute2)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "setup: all ${#packages[@]} packages are installed"
  exit 0
fi
as_root=()
if ((EUID != 0)); then as_root=(sudo); fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
