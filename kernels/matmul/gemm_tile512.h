// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/matmul/gemm_pack.h"
#include "kernels/matmul/gemm_tile.h"
#include "kernels/matmul/matmul.h"

/// Code for AVX-512F within a program that must start without it.
#define RW_AVX512 __attribute__((target("avx512f,avx2,fma")))
#define RW_AVX512_INLINE __attribute__((target("avx512f,avx2,fma"), always_inline)) inline

namespace rw::kernels {

/// Packed panels that lie `stride` floats apart.
struct PanelsAt {
  const float* data = nullptr;
  std::int64_t stride = 0;
};

/// Where the numbers of six rows of sixteen, two rows at a time, come from when they are turned: `at` in the two rows
/// that `of_pair` says.
struct TurnedColumn {
  alignas(64) std::int32_t at[kTileRows][kTileColumns] = {};
  __mmask16 of_pair[kTileRows][kTileRows / 2] = {};
  constexpr TurnedColumn() {
    for (int j = 0; j < kTileRows; ++j) {
      for (int q = 0; q < kTileColumns; ++q) {
        const int number = j * static_cast<int>(kTileColumns) + q;
        const int row = number % static_cast<int>(kTileRows);
        at[j][q] = number / static_cast<int>(kTileRows) + row % 2 * static_cast<int>(kTileColumns);
        __mmask16& mask = of_pair[j][row / 2];
        mask = static_cast<__mmask16>(mask | (1U << static_cast<unsigned>(q)));
      }
    }
  }
};
inline constexpr TurnedColumn kTurnedColumn;

RW_AVX512_INLINE __m512 load16(const float* x) { return _mm512_loadu_ps(x); }
RW_AVX512_INLINE __m512 load16(const core::BF16* x) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
RW_AVX512_INLINE void store16(float* to, __mmask16 lanes, __m512 x) {
  _mm512_mask_storeu_ps(to, lanes, x);
}
/// Nearest, ties to even; NaN stays NaN.
RW_AVX512_INLINE void store16(core::BF16* to, __mmask16 lanes, __m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
  _mm512_mask_cvtepi32_storeu_epi16(to, lanes, _mm512_srli_epi32(quiet, 16));
}

/// Six rows of sixteen, turned: to[c · 6 + r] = from[r · stride + c]. Number 16 j + q of the result is number
/// (16 j + q) / 6 of row (16 j + q) % 6.
template <class T>
RW_AVX512_INLINE void turn6x16(const T* from, std::int64_t stride, float* to) {
  __m512 row[kTileRows];
#pragma GCC unroll 6
  for (int r = 0; r < kTileRows; ++r) row[r] = load16(from + r * stride);
#pragma GCC unroll 6
  for (int j = 0; j < kTileRows; ++j) {
    const __m512i at = _mm512_load_si512(kTurnedColumn.at[j]);
    __m512 out = _mm512_permutex2var_ps(row[0], at, row[1]);
#pragma GCC unroll 2
    for (int pair = 1; pair < kTileRows / 2; ++pair) {
      const __m512 two = _mm512_permutex2var_ps(row[2 * pair], at, row[2 * pair + 1]);
      out = _mm512_mask_mov_ps(out, kTurnedColumn.of_pair[j][pair], two);
    }
    _mm512_storeu_ps(to + j * kTileColumns, out);
  }
}

/// Sums of six rows and kPanels · 16 columns, over a panel of a and panels of b as gemm_tile takes one of each;
/// every sum runs over k in order.
template <int kPanels>
struct GemmTile512 {
  static constexpr int kRows = static_cast<int>(kTileRows);
  __m512 sum[kRows][kPanels];

  RW_AVX512_INLINE void clear() {
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) sum[i][p] = _mm512_setzero_ps();
    }
  }
  /// Adds a panel of a [depth, 6] times those of b [depth, 16] from `first` on; b at multiples of 64 bytes.
  RW_AVX512_INLINE void add(int first, const float* a, const PanelsAt& b, std::int64_t depth) {
    static_assert(kPanels <= 4);
    if (first == 0) return add_from<0>(a, b, depth);
    if constexpr (kPanels > 1) {
      if (first == 1) return add_from<1>(a, b, depth);
    }
    if constexpr (kPanels > 2) {
      if (first == 2) return add_from<2>(a, b, depth);
    }
    if constexpr (kPanels > 3) {
      if (first == 3) return add_from<3>(a, b, depth);
    }
  }

  /// Adds six rows of a, [6, 16], times panels of b [16, 16].
  RW_AVX512_INLINE void add_sixteen(const float* a, const PanelsAt& b) {
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < kTileColumns; ++k) add_product<0>(a + k, kTileColumns, b, k);
  }

  /// Writes rows x columns of the sums to c, or adds them to it (f32 only).
  template <class C>
  RW_AVX512_INLINE void store(C* c, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                              Accumulate add) const {
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      if (i >= rows) continue;
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        const std::int64_t left = columns - p * kTileColumns;
        if (left <= 0) continue;
        const auto lanes = static_cast<__mmask16>(left >= kTileColumns ? 0xffff : (1 << left) - 1);
        C* to = c + i * stride + p * kTileColumns;
        __m512 x = sum[i][p];
        if constexpr (sizeof(C) == sizeof(float)) {
          if (add == Accumulate::kYes) x = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, to), x);
        }
        store16(to, lanes, x);
      }
    }
  }
  /// Adds all sums to rows at multiples of 64 bytes.
  RW_AVX512_INLINE void add_to(float* c, std::int64_t stride) const {
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        float* to = c + i * stride + p * kTileColumns;
        _mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), sum[i][p]));
      }
    }
  }
  /// Writes panels of columns from `first` on, each [6, 16], `stride` apart, or adds to them; at multiples
  /// of 64 bytes.
  RW_AVX512_INLINE void store_panels(int first, float* to, std::int64_t stride,
                                     Accumulate add) const {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      if (p < first) continue;
#pragma GCC unroll 6
      for (int i = 0; i < kRows; ++i) {
        float* row = to + p * stride + i * kTileColumns;
        const __m512 x = sum[i][p];
        _mm512_store_ps(row, add == Accumulate::kYes ? _mm512_add_ps(_mm512_load_ps(row), x) : x);
      }
    }
  }

 private:
  template <int kFirst>
  RW_AVX512_INLINE void add_from(const float* a, const PanelsAt& b, std::int64_t depth) {
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < depth; ++k) add_product<kFirst>(a + k * kTileRows, 1, b, k);
  }
  /// Number k of panels of b, times six numbers of a that are `next` apart.
  template <int kFirst>
  RW_AVX512_INLINE void add_product(const float* a, std::int64_t next, const PanelsAt& b,
                                    std::int64_t k) {
    __m512 column[kPanels];
#pragma GCC unroll 4
    for (int p = kFirst; p < kPanels; ++p) {
      column[p] = _mm512_load_ps(b.data + p * b.stride + k * kTileColumns);
    }
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m512 x = _mm512_set1_ps(a[i * next]);
#pragma GCC unroll 4
      for (int p = kFirst; p < kPanels; ++p) {
        sum[i][p] = _mm512_fmadd_ps(x, column[p], sum[i][p]);
      }
    }
  }
};

/// Calls `of` with the number of panels, 1 to 4, as a constant.
template <class Of>
RW_AVX512_INLINE void with_panels(std::int64_t panels, const Of& of) {
  if (panels == 1) {
    of(std::integral_constant<int, 1>());
  } else if (panels == 2) {
    of(std::integral_constant<int, 2>());
  } else if (panels == 3) {
    of(std::integral_constant<int, 3>());
  } else {
    of(std::integral_constant<int, 4>());
  }
}

}  // namespace rw::kernels
