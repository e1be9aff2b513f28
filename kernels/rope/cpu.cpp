// Part of Ropewalk, MIT licence.
#include "kernels/check.h"
#include "kernels/multiversion.h"
#include "kernels/parallel.h"
#include "kernels/rope/row.h"
#include "kernels/rope/twins.h"
#include "kernels/simd_math.h"

namespace rw::kernels {
namespace {

template <class T>
[[gnu::always_inline]] inline void rotate_any(T* x, const Angles& by, std::int64_t half,
                                              std::int64_t heads) {
  const float* cos = by.cos;
  const float* sin = by.sin;
  const float sign = by.sign;
  for (std::int64_t head = 0; head < heads; ++head) {
    T* first = x + head * 2 * half;
    T* second = first + half;
#pragma omp simd
    for (std::int64_t i = 0; i < half; ++i) {
      const float c = cos[i];
      const float s = sign * sin[i];
      const auto x1 = static_cast<float>(first[i]);
      const auto x2 = static_cast<float>(second[i]);
      put(x1 * c - x2 * s, first[i]);
      put(x2 * c + x1 * s, second[i]);
    }
  }
}

}  // namespace

RW_CLONES void rotate_row(float* x, const Angles& by, std::int64_t half, std::int64_t heads) {
  rotate_any(x, by, half, heads);
}
RW_CLONES void rotate_row(core::BF16* x, const Angles& by, std::int64_t half, std::int64_t heads) {
  rotate_any(x, by, half, heads);
}

namespace {

void require_positions(const std::int32_t* positions, std::int64_t rows, std::int64_t limit) {
  for (std::int64_t n = 0; n < rows; ++n) {
    if (positions[n] >= 0 && positions[n] < limit) continue;
    refuse("rope", "position " + std::to_string(positions[n]) + " in row " + std::to_string(n),
           "0 to " + std::to_string(limit - 1) + ", the rows of cos");
  }
}

void rope_cpu(Tensor& x, const Tensor& positions, const Tensor& cos, const Tensor& sin,
              std::int64_t rotated_heads, Rotation rotation, Stream& /*stream*/) {
  const std::int64_t rows = x.shape()[0];
  const std::int64_t width = x.shape()[1];
  const std::int64_t half = cos.shape()[1];
  const auto* position = positions.data<std::int32_t>();
  require_positions(position, rows, cos.shape()[0]);
  const float* cosines = cos.data<float>();
  const float* sines = sin.data<float>();
  const float sign = rotation == Rotation::kForward ? 1.0F : -1.0F;
  core::visit_float(x.dtype(), [&](auto tag) {
    auto* at = x.data<typename decltype(tag)::type>();
    for_rows(rows, rotated_heads * half * 2, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t angle = position[n] * half;
        rotate_row(at + n * width, {cosines + angle, sines + angle, sign}, half, rotated_heads);
      }
    });
  });
}

}  // namespace

const RopeTwins kRopeCpu{rope_cpu};

}  // namespace rw::kernels
