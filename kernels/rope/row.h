// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rw::kernels {

/// cos and sin of one position, [Dh/2] each; sign 1 rotates by the angle, -1 back.
struct Angles {
  const float* cos;
  const float* sin;
  float sign;
};
/// Rotates `heads` heads of 2 · half numbers that lie side by side, in place. One copy per
/// instruction set.
void rotate_row(float* x, const Angles& by, std::int64_t half, std::int64_t heads);
void rotate_row(core::BF16* x, const Angles& by, std::int64_t half, std::int64_t heads);

}  // namespace rw::kernels
