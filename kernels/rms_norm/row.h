// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

namespace rw::kernels {

/// RMSNorm of single rows on the CPU, shared by rms_norm and QK-norm. One copy per instruction set.

/// y = x · rstd · weight; returns rstd. y may be x.
float norm_row(const float* x, const float* weight, float eps, float* y, std::int64_t width);
/// sum = x + delta, y = norm(sum); returns rstd. sum may be x.
float add_norm_row(const float* x, const float* delta, const float* weight, float eps, float* sum,
                   float* y, std::int64_t width);

/// One row of the input gradient's arguments; dresidual may be null (none) or dx; dx may be dy.
struct NormRowBackward {
  const float* dy;
  const float* x;
  const float* weight;
  const float* dresidual;
  float* dx;
};
/// dx = dresidual + rstd · (dy · weight − x · rstd² · mean(dy · weight · x)).
void norm_row_backward(const NormRowBackward& row, float rstd, std::int64_t width);

/// sum += dy · x · rstd
void norm_row_backward_weight(const float* dy, const float* x, float rstd, float* sum,
                              std::int64_t width);

}  // namespace rw::kernels
