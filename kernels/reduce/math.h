// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/build.h"

namespace rw::kernels {

/// Elements of one block; element i of a block belongs to lane i % kReduceLanes, each lane adds its
/// elements in order, and the lanes are then added pairwise.
inline constexpr std::int64_t kReduceBlock = 4096;
inline constexpr std::int64_t kReduceLanes = 16;

/// Adds `count` numbers pairwise, in place: neighbours, then neighbours of the sums. 0 for none.
RW_HOST_DEVICE inline double add_pairwise(double* numbers, std::int64_t count) {
  if (count == 0) return 0;
  for (; count > 1; count = (count + 1) / 2) {
    for (std::int64_t i = 0; i < count / 2; ++i) {
      numbers[i] = numbers[2 * i] + numbers[2 * i + 1];
    }
    if (count % 2 == 1) numbers[count / 2] = numbers[count - 1];
  }
  return numbers[0];
}

}  // namespace rw::kernels
