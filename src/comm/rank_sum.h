// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace rw::comm {

/// Writes part 0 + part 1 + … (added in this order, element by element) of n numbers each to all of
/// `outs`, which may be the parts themselves. Every backend adds with this.
template <class T>
void sum_in_rank_order(std::span<const T* const> parts, std::size_t n, std::span<T* const> outs) {
  constexpr std::size_t kBlock = 2048;  // stays in the first-level cache
  std::array<T, kBlock> sum{};
  for (std::size_t at = 0; at < n; at += kBlock) {
    const std::size_t count = std::min(kBlock, n - at);
    std::copy_n(parts[0] + at, count, sum.data());
    for (const T* part : parts.subspan(1)) {
      for (std::size_t i = 0; i < count; ++i) sum[i] += part[at + i];
    }
    for (T* out : outs) std::copy_n(sum.data(), count, out + at);
  }
}

}  // namespace rw::comm
