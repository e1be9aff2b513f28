// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rw::kernels {

/// RMSNorm of single rows on the CPU, shared by rms_norm and QK-norm. One copy per instruction set
/// and per choice of dtypes; computed in f32, rounded once where a row is bf16.

/// y = x · rstd · weight; returns rstd. y may be x.
float norm_row(const float* x, const float* weight, float eps, float* y, std::int64_t width);
float norm_row(const float* x, const float* weight, float eps, core::BF16* y, std::int64_t width);
float norm_row(const core::BF16* x, const float* weight, float eps, core::BF16* y,
               std::int64_t width);
/// sum = x + delta, y = norm(sum); returns rstd. sum may be x.
float add_norm_row(const float* x, const float* delta, const float* weight, float eps, float* sum,
                   float* y, std::int64_t width);
float add_norm_row(const float* x, const float* delta, const float* weight, float eps, float* sum,
                   core::BF16* y, std::int64_t width);

/// One row of the input gradient's arguments; dresidual may be null (none) or dx; dx may be dy when
/// both have one dtype.
template <class Dy, class X>
struct NormRowBackward {
  const Dy* dy;
  const X* x;
  const float* weight;
  const X* dresidual;
  X* dx;
};
/// dx = dresidual + rstd · (dy · weight − x · rstd² · mean(dy · weight · x)).
void norm_row_backward(const NormRowBackward<float, float>& row, float rstd, std::int64_t width);
void norm_row_backward(const NormRowBackward<core::BF16, float>& row, float rstd,
                       std::int64_t width);
void norm_row_backward(const NormRowBackward<core::BF16, core::BF16>& row, float rstd,
                       std::int64_t width);

/// sum += dy · x · rstd
void norm_row_backward_weight(const float* dy, const float* x, float rstd, float* sum,
                              std::int64_t width);
void norm_row_backward_weight(const core::BF16* dy, const float* x, float rstd, float* sum,
                              std::int64_t width);
void norm_row_backward_weight(const core::BF16* dy, const core::BF16* x, float rstd, float* sum,
                              std::int64_t width);

}  // namespace rw::kernels
