// Part of Ropewalk, MIT licence.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "core/dtype.h"

/// Code for AVX2 and FMA within a program that must start without them.
#define RW_AVX2 __attribute__((target("avx2,fma")))
#define RW_AVX2_INLINE __attribute__((target("avx2,fma"), always_inline)) inline

namespace rw::kernels {

RW_AVX2_INLINE __m256 load8(const float* x) { return _mm256_loadu_ps(x); }
RW_AVX2_INLINE __m256 load8(const core::BF16* x) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
RW_AVX2_INLINE __m128 load4(const float* x) { return _mm_loadu_ps(x); }
RW_AVX2_INLINE __m128 load4(const core::BF16* x) {
  const __m128i bits = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(bits), 16));
}

/// Eight rows of eight, turned: to[c · to_stride + r] = from[r · stride + c].
template <class T>
RW_AVX2_INLINE void turn8(const T* from, std::int64_t stride, float* to, std::int64_t to_stride) {
  __m256 row[8];
  for (int r = 0; r < 8; ++r) row[r] = load8(from + r * stride);
  __m256 pair[8];
  for (int r = 0; r < 8; r += 2) {
    pair[r] = _mm256_unpacklo_ps(row[r], row[r + 1]);
    pair[r + 1] = _mm256_unpackhi_ps(row[r], row[r + 1]);
  }
  __m256 four[8];
  for (int half = 0; half < 8; half += 4) {
    four[half] = _mm256_shuffle_ps(pair[half], pair[half + 2], 0x44);
    four[half + 1] = _mm256_shuffle_ps(pair[half], pair[half + 2], 0xEE);
    four[half + 2] = _mm256_shuffle_ps(pair[half + 1], pair[half + 3], 0x44);
    four[half + 3] = _mm256_shuffle_ps(pair[half + 1], pair[half + 3], 0xEE);
  }
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * to_stride, _mm256_permute2f128_ps(four[c], four[c + 4], 0x20));
    _mm256_storeu_ps(to + (c + 4) * to_stride, _mm256_permute2f128_ps(four[c], four[c + 4], 0x31));
  }
}

/// Six rows of four, turned: to[c · 6 + r] = from[r · stride + c].
template <class T>
RW_AVX2_INLINE void turn6x4(const T* from, std::int64_t stride, float* to) {
  __m128 row0 = load4(from);
  __m128 row1 = load4(from + stride);
  __m128 row2 = load4(from + 2 * stride);
  __m128 row3 = load4(from + 3 * stride);
  const __m128 row4 = load4(from + 4 * stride);
  const __m128 row5 = load4(from + 5 * stride);
  _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
  const __m128 low = _mm_unpacklo_ps(row4, row5);
  const __m128 high = _mm_unpackhi_ps(row4, row5);
  const auto two = [](float* at) { return reinterpret_cast<__m64*>(at); };
  _mm_storeu_ps(to, row0);
  _mm_storel_pi(two(to + 4), low);
  _mm_storeu_ps(to + 6, row1);
  _mm_storeh_pi(two(to + 10), low);
  _mm_storeu_ps(to + 12, row2);
  _mm_storel_pi(two(to + 16), high);
  _mm_storeu_ps(to + 18, row3);
  _mm_storeh_pi(two(to + 22), high);
}

/// What a panel is made of: `lanes` of at most W (the rest becomes 0) rows (or columns) of a matrix
/// over k [0, depth). Lane l at depth k lies at from[l · lane_stride + k · depth_stride]; one of the
/// two strides is 1.
template <class T>
struct PanelSource {
  const T* from = nullptr;
  std::int64_t lane_stride = 0, depth_stride = 0;
  std::int64_t lanes = 0, depth = 0;
};

template <std::int64_t kWidth, class T>
RW_AVX2_INLINE void pack_slowly(const PanelSource<T>& source, std::int64_t first, float* to) {
  for (std::int64_t k = first; k < source.depth; ++k) {
    for (std::int64_t l = 0; l < kWidth; ++l) {
      to[k * kWidth + l] =
          l < source.lanes
              ? static_cast<float>(source.from[l * source.lane_stride + k * source.depth_stride])
              : 0.0F;
    }
  }
}

/// to [depth, W] from the source: W = 16 for b, 6 for a.
template <std::int64_t kWidth, class T>
RW_AVX2_INLINE void pack_panel(const PanelSource<T>& source, float* to) {
  std::int64_t k = 0;
  if (source.lanes == kWidth && source.lane_stride == 1) {
    for (const T* from = source.from; k < source.depth; ++k, from += source.depth_stride) {
      float* at = to + k * kWidth;
      if constexpr (kWidth == 16) {
        _mm256_storeu_ps(at, load8(from));
        _mm256_storeu_ps(at + 8, load8(from + 8));
      } else {
        _mm_storeu_ps(at, load4(from));
        _mm_storeu_ps(at + 2, load4(from + 2));
      }
    }
  } else if (source.lanes == kWidth && source.depth_stride == 1) {
    if constexpr (kWidth == 16) {
      for (; k + 8 <= source.depth; k += 8) {
        turn8(source.from + k, source.lane_stride, to + k * 16, 16);
        turn8(source.from + 8 * source.lane_stride + k, source.lane_stride, to + k * 16 + 8, 16);
      }
    } else {
      for (; k + 4 <= source.depth; k += 4) {
        turn6x4(source.from + k, source.lane_stride, to + k * 6);
      }
    }
  }
  pack_slowly<kWidth>(source, k, to);
}

}  // namespace rw::kernels
