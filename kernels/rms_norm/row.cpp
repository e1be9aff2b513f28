// Part of Ropewalk, MIT licence.
#include "kernels/rms_norm/row.h"

#include <cmath>

#include "kernels/multiversion.h"

namespace rw::kernels {
namespace {

inline float rstd_of(float squares, std::int64_t width, float eps) {
  return 1.0F / std::sqrt(squares / static_cast<float>(width) + eps);
}

}  // namespace

RW_CLONES float norm_row(const float* x, const float* weight, float eps, float* y,
                         std::int64_t width) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < width; ++i) squares += x[i] * x[i];
  const float rstd = rstd_of(squares, width, eps);
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) y[i] = x[i] * rstd * weight[i];
  return rstd;
}

RW_CLONES float add_norm_row(const float* x, const float* delta, const float* weight, float eps,
                             float* sum, float* y, std::int64_t width) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < width; ++i) {
    const float value = x[i] + delta[i];
    sum[i] = value;
    squares += value * value;
  }
  const float rstd = rstd_of(squares, width, eps);
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) y[i] = sum[i] * rstd * weight[i];
  return rstd;
}

RW_CLONES void norm_row_backward(const NormRowBackward& row, float rstd, std::int64_t width) {
  const float* dy = row.dy;
  const float* x = row.x;
  const float* weight = row.weight;
  float* dx = row.dx;
  float along = 0;
#pragma omp simd reduction(+ : along)
  for (std::int64_t i = 0; i < width; ++i) along += dy[i] * weight[i] * x[i];
  const float back = along * rstd * rstd / static_cast<float>(width);
  if (row.dresidual == nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) dx[i] = rstd * (dy[i] * weight[i] - x[i] * back);
    return;
  }
  const float* dresidual = row.dresidual;
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    dx[i] = dresidual[i] + rstd * (dy[i] * weight[i] - x[i] * back);
  }
}

RW_CLONES void norm_row_backward_weight(const float* dy, const float* x, float rstd, float* sum,
                                        std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) sum[i] += dy[i] * x[i] * rstd;
}

}  // namespace rw::kernels
