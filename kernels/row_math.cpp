// Part of Ropewalk, MIT licence.
#include "kernels/row_math.h"

#include <algorithm>
#include <limits>

#include "kernels/multiversion.h"
#include "kernels/simd_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

constexpr std::int64_t kChunk = 1024;

template <class T>
[[gnu::always_inline]] inline float max_of(const T* x, std::int64_t width) {
  float out = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : out)
  for (std::int64_t i = 0; i < width; ++i) {
    const auto value = static_cast<float>(x[i]);
    out = value > out ? value : out;
  }
  return out;
}

template <class T>
[[gnu::always_inline]] inline double exp_sum_of(const T* x, float shift, std::int64_t width) {
  double total = 0;
  for (std::int64_t begin = 0; begin < width; begin += kChunk) {
    const std::int64_t end = std::min(width, begin + kChunk);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (std::int64_t i = begin; i < end; ++i) part += fast_exp(static_cast<float>(x[i]) - shift);
    total += static_cast<double>(part);
  }
  return total;
}

}  // namespace

RW_CLONES float row_max(const float* x, std::int64_t width) { return max_of(x, width); }
RW_CLONES float row_max(const BF16* x, std::int64_t width) { return max_of(x, width); }

RW_CLONES double row_exp_sum(const float* x, float shift, std::int64_t width) {
  return exp_sum_of(x, shift, width);
}
RW_CLONES double row_exp_sum(const BF16* x, float shift, std::int64_t width) {
  return exp_sum_of(x, shift, width);
}

RW_CLONES double row_exp(const float* x, float shift, float* out, std::int64_t width) {
  double total = 0;
  for (std::int64_t begin = 0; begin < width; begin += kChunk) {
    const std::int64_t end = std::min(width, begin + kChunk);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (std::int64_t i = begin; i < end; ++i) {
      const float value = fast_exp(x[i] - shift);
      out[i] = value;
      part += value;
    }
    total += static_cast<double>(part);
  }
  return total;
}

RW_CLONES void row_exp_scaled(BF16* x, float shift, float factor, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    put(fast_exp(static_cast<float>(x[i]) - shift) * factor, x[i]);
  }
}

RW_CLONES void row_scale(float* x, float factor, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) x[i] *= factor;
}

RW_CLONES void row_add(const float* x, float* sum, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) sum[i] += x[i];
}

RW_CLONES float row_dot(const float* a, const float* b, std::int64_t width) {
  float out = 0;
#pragma omp simd reduction(+ : out)
  for (std::int64_t i = 0; i < width; ++i) out += a[i] * b[i];
  return out;
}

RW_CLONES void row_convert(const BF16* x, float* out, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) out[i] = static_cast<float>(x[i]);
}

RW_CLONES void row_convert(const float* x, BF16* out, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) put(x[i], out[i]);
}

}  // namespace rw::kernels
