// Part of Ropewalk, MIT licence.
#pragma once
#include <cstring>

#include "kernels/matmul/gemm_square.h"

namespace rw::kernels {

/// Squares of sums by dot products of pairs (AVX512_BF16), from the panels that tile registers take: eight rows of
/// sums in registers, each pair of a row of a times sixteen pairs of b. Subnormal numbers count as 0.
struct DotSquare {
  using Pack = Bf16Pack<core::BF16>;

  static void begin() {}
  static void end() {}

  /// As AmxSquare::multiply; every row of sums at a multiple of 64 bytes.
  template <Accumulate kAdd, class NextLines = NothingAhead>
  RW_BF16_INLINE static void multiply(const core::BF16* a, const core::BF16* b, std::int64_t depth,
                                      const SquareSums& sums, NextLines ahead = {}) {
    NothingAhead nothing;
    const std::int64_t below = kRows * sums.stride;
    const core::BF16* lower = a + Pack::kHalf;
    rows<kAdd>(a, b, depth, sums.data, sums, ahead);
    rows<kAdd>(a + kRows * kDeep, b, depth, sums.data + below, sums, nothing);
    rows<kAdd>(lower, b, depth, sums.data + sums.lower, sums, nothing);
    rows<kAdd>(lower + kRows * kDeep, b, depth, sums.data + sums.lower + below, sums, nothing);
  }

 private:
  static constexpr int kRows = 8, kPairs = 16;
  static constexpr std::int64_t kDeep = Pack::kGrain;  // numbers of a packed row

  template <Accumulate kAdd, class NextLines>
  RW_BF16_INLINE static void rows(const core::BF16* a, const core::BF16* b, std::int64_t depth,
                                  float* to, const SquareSums& at, NextLines& ahead) {
    __m512 sum[kRows][2];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const float* row = to + i * at.stride;
      const bool adds = kAdd == Accumulate::kYes;
      sum[i][0] = adds ? _mm512_load_ps(row) : _mm512_setzero_ps();
      sum[i][1] = adds ? _mm512_load_ps(row + at.right) : _mm512_setzero_ps();
    }
    const core::BF16* end = a + depth * Pack::kLanes;
    for (; a != end; a += Pack::kStep, b += Pack::kStep) {
      ahead.step();
#pragma GCC unroll 4
      for (int p = 0; p < kPairs; ++p) {
        const auto left = (__m512bh)_mm512_load_si512(b + 2 * kPairs * p);
        const auto right = (__m512bh)_mm512_load_si512(b + Pack::kHalf + 2 * kPairs * p);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
          std::int32_t pair = 0;
          std::memcpy(&pair, a + i * kDeep + 2 * p, sizeof(pair));
          const auto x = (__m512bh)_mm512_set1_epi32(pair);
          sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, left);
          sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, right);
        }
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      float* row = to + i * at.stride;
      _mm512_store_ps(row, sum[i][0]);
      _mm512_store_ps(row + at.right, sum[i][1]);
    }
  }
};

}  // namespace rw::kernels
