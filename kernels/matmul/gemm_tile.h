// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>

#include "kernels/matmul/gemm_pack.h"
#include "kernels/matmul/matmul.h"

namespace rw::kernels {

inline constexpr std::int64_t kTileRows = 6;
inline constexpr std::int64_t kTileColumns = 16;

/// Twelve sums of eight lanes: row i, columns 0-7 and 8-15.
struct GemmTile {
  __m256 sum[kTileRows][2];
};

// One step of k: two vectors of b, six numbers of a, twelve products. The compiler's own order of
// registers spills and loses a tenth of the speed, hence assembly.
#define RW_GEMM_ROW(i, at, x, step)              \
  "vbroadcastss 24*" #step "+" at "(%[a]), %[" x \
  "]\n\t"                                        \
  "vfmadd231ps %[b0], %[" x "], %[s" #i          \
  "0]\n\t"                                       \
  "vfmadd231ps %[b1], %[" x "], %[s" #i "1]\n\t"
#define RW_GEMM_STEP(step)                                                   \
  "vmovaps 64*" #step                                                        \
  "(%[b]), %[b0]\n\t"                                                        \
  "vmovaps 64*" #step "+32(%[b]), %[b1]\n\t" RW_GEMM_ROW(0, "0", "x0", step) \
      RW_GEMM_ROW(1, "4", "x1", step) RW_GEMM_ROW(2, "8", "x0", step)        \
          RW_GEMM_ROW(3, "12", "x1", step) RW_GEMM_ROW(4, "16", "x0", step)  \
              RW_GEMM_ROW(5, "20", "x1", step)
#define RW_GEMM_ZERO(i)                     \
  "vxorps %[s" #i "0], %[s" #i "0], %[s" #i \
  "0]\n\t"                                  \
  "vxorps %[s" #i "1], %[s" #i "1], %[s" #i "1]\n\t"

/// a [depth, 6] times b [depth, 16], both packed, b at a multiple of 32 bytes; depth >= 1.
RW_AVX2_INLINE void gemm_tile(const float* a, const float* b, std::int64_t depth, GemmTile& out) {
  __m256 s00, s01, s10, s11, s20, s21, s30, s31, s40, s41, s50, s51, b0, b1, x0, x1;
  std::int64_t fours = depth / 4;
  std::int64_t ones = depth % 4;
  // NOLINTNEXTLINE
  asm volatile(
      RW_GEMM_ZERO(0) RW_GEMM_ZERO(1) RW_GEMM_ZERO(2) RW_GEMM_ZERO(3) RW_GEMM_ZERO(4)
      RW_GEMM_ZERO(5)
      "test %[fours], %[fours]\n\t"
      "jz 2f\n\t"
      ".p2align 5\n\t"
      "1:\n\t"
      "prefetcht0 512(%[a])\n\t"
      RW_GEMM_STEP(0) RW_GEMM_STEP(1) RW_GEMM_STEP(2) RW_GEMM_STEP(3)
      "add $96, %[a]\n\t"
      "add $256, %[b]\n\t"
      "dec %[fours]\n\t"
      "jnz 1b\n\t"
      "2:\n\t"
      "test %[ones], %[ones]\n\t"
      "jz 4f\n\t"
      "3:\n\t"
      RW_GEMM_STEP(0)
      "add $24, %[a]\n\t"
      "add $64, %[b]\n\t"
      "dec %[ones]\n\t"
      "jnz 3b\n\t"
      "4:\n\t"
      : [s00] "=&x"(s00), [s01] "=&x"(s01), [s10] "=&x"(s10), [s11] "=&x"(s11), [s20] "=&x"(s20),
        [s21] "=&x"(s21), [s30] "=&x"(s30), [s31] "=&x"(s31), [s40] "=&x"(s40), [s41] "=&x"(s41),
        [s50] "=&x"(s50), [s51] "=&x"(s51), [b0] "=&x"(b0), [b1] "=&x"(b1), [x0] "=&x"(x0),
        [x1] "=&x"(x1), [a] "+r"(a), [b] "+r"(b), [fours] "+r"(fours), [ones] "+r"(ones)
      :
      : "cc", "memory");
  out = {{{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}, {s40, s41}, {s50, s51}}};
}
#undef RW_GEMM_ROW
#undef RW_GEMM_STEP
#undef RW_GEMM_ZERO

RW_AVX2_INLINE void store8(float* to, __m256 x) { _mm256_storeu_ps(to, x); }
/// Nearest, ties to even; NaN stays NaN.
RW_AVX2_INLINE void store8(core::BF16* to, __m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m128i packed =
      _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
}

/// Writes rows x columns of a tile to c, or adds them to it (f32 only).
template <class C>
RW_AVX2_INLINE void store_tile(const GemmTile& tile, C* c, std::int64_t stride, std::int64_t rows,
                               std::int64_t columns, Accumulate add) {
  if (columns == kTileColumns) {
    for (std::int64_t i = 0; i < rows; ++i) {
      C* row = c + i * stride;
      __m256 low = tile.sum[i][0];
      __m256 high = tile.sum[i][1];
      if constexpr (sizeof(C) == sizeof(float)) {
        if (add == Accumulate::kYes) {
          low = _mm256_add_ps(_mm256_loadu_ps(row), low);
          high = _mm256_add_ps(_mm256_loadu_ps(row + 8), high);
        }
      }
      store8(row, low);
      store8(row + 8, high);
    }
    return;
  }
  alignas(32) float part[kTileColumns];
  for (std::int64_t i = 0; i < rows; ++i) {
    _mm256_store_ps(part, tile.sum[i][0]);
    _mm256_store_ps(part + 8, tile.sum[i][1]);
    for (std::int64_t j = 0; j < columns; ++j) {
      C& to = c[i * stride + j];
      if constexpr (sizeof(C) == sizeof(float)) {
        to = add == Accumulate::kYes ? to + part[j] : part[j];
      } else {
        to = C(part[j]);
      }
    }
  }
}

}  // namespace rw::kernels
