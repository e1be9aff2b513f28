// Part of Ropewalk, MIT licence.
#include "kernels/rms_norm/row.h"

#include <cmath>

#include "kernels/multiversion.h"
#include "kernels/simd_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

[[gnu::always_inline]] inline float rstd_of(float squares, std::int64_t width, float eps) {
  return 1.0F / std::sqrt(squares / static_cast<float>(width) + eps);
}

template <class X, class Y>
[[gnu::always_inline]] inline float norm(const X* x, const float* weight, float eps, Y* y,
                                         std::int64_t width) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < width; ++i) {
    squares += static_cast<float>(x[i]) * static_cast<float>(x[i]);
  }
  const float rstd = rstd_of(squares, width, eps);
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    put(static_cast<float>(x[i]) * rstd * weight[i], y[i]);
  }
  return rstd;
}

template <class Y>
[[gnu::always_inline]] inline float add_norm(const float* x, const float* delta,
                                             const float* weight, float eps, float* sum, Y* y,
                                             std::int64_t width) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < width; ++i) {
    const float value = x[i] + delta[i];
    sum[i] = value;
    squares += value * value;
  }
  const float rstd = rstd_of(squares, width, eps);
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) put(sum[i] * rstd * weight[i], y[i]);
  return rstd;
}

template <class Dy, class X>
[[gnu::always_inline]] inline void backward(const NormRowBackward<Dy, X>& row, float rstd,
                                            std::int64_t width) {
  const Dy* dy = row.dy;
  const X* x = row.x;
  const float* weight = row.weight;
  X* dx = row.dx;
  float along = 0;
#pragma omp simd reduction(+ : along)
  for (std::int64_t i = 0; i < width; ++i) {
    along += static_cast<float>(dy[i]) * weight[i] * static_cast<float>(x[i]);
  }
  const float back = along * rstd * rstd / static_cast<float>(width);
  if (row.dresidual == nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      put(rstd * (static_cast<float>(dy[i]) * weight[i] - static_cast<float>(x[i]) * back), dx[i]);
    }
    return;
  }
  const X* dresidual = row.dresidual;
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    put(static_cast<float>(dresidual[i]) +
            rstd * (static_cast<float>(dy[i]) * weight[i] - static_cast<float>(x[i]) * back),
        dx[i]);
  }
}

template <class Dy, class X>
[[gnu::always_inline]] inline void backward_weight(const Dy* dy, const X* x, float rstd, float* sum,
                                                   std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    sum[i] += static_cast<float>(dy[i]) * static_cast<float>(x[i]) * rstd;
  }
}

}  // namespace

RW_CLONES float norm_row(const float* x, const float* weight, float eps, float* y,
                         std::int64_t width) {
  return norm(x, weight, eps, y, width);
}
RW_CLONES float norm_row(const float* x, const float* weight, float eps, BF16* y,
                         std::int64_t width) {
  return norm(x, weight, eps, y, width);
}
RW_CLONES float norm_row(const BF16* x, const float* weight, float eps, BF16* y,
                         std::int64_t width) {
  return norm(x, weight, eps, y, width);
}

RW_CLONES float add_norm_row(const float* x, const float* delta, const float* weight, float eps,
                             float* sum, float* y, std::int64_t width) {
  return add_norm(x, delta, weight, eps, sum, y, width);
}
RW_CLONES float add_norm_row(const float* x, const float* delta, const float* weight, float eps,
                             float* sum, BF16* y, std::int64_t width) {
  return add_norm(x, delta, weight, eps, sum, y, width);
}

RW_CLONES void norm_row_backward(const NormRowBackward<float, float>& row, float rstd,
                                 std::int64_t width) {
  backward(row, rstd, width);
}
RW_CLONES void norm_row_backward(const NormRowBackward<BF16, float>& row, float rstd,
                                 std::int64_t width) {
  backward(row, rstd, width);
}
RW_CLONES void norm_row_backward(const NormRowBackward<BF16, BF16>& row, float rstd,
                                 std::int64_t width) {
  backward(row, rstd, width);
}

RW_CLONES void norm_row_backward_weight(const float* dy, const float* x, float rstd, float* sum,
                                        std::int64_t width) {
  backward_weight(dy, x, rstd, sum, width);
}
RW_CLONES void norm_row_backward_weight(const BF16* dy, const float* x, float rstd, float* sum,
                                        std::int64_t width) {
  backward_weight(dy, x, rstd, sum, width);
}
RW_CLONES void norm_row_backward_weight(const BF16* dy, const BF16* x, float rstd, float* sum,
                                        std::int64_t width) {
  backward_weight(dy, x, rstd, sum, width);
}

}  // namespace rw::kernels
