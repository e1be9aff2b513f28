// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/matmul/gemm_amx.h"
#include "kernels/matmul/gemm_dot.h"
#include "kernels/matmul/gemm_worker.h"

namespace rw::kernels {

/// Products from panels of bf16, in squares of 32 x 32 that `Square` (AmxSquare, DotSquare) works out.
///
/// Packed, a panel of 32 rows (or columns) is [depth / 32][planes][2 halves][16][32] in bf16 (Bf16Pack): tiles
/// just as tile registers load them. Depth is filled up with zeros.
template <class T, class Square>
struct Bf16Squares {
  using Packed = core::BF16;
  using Pack = typename Square::Pack;
  static constexpr std::int64_t kRows = 32, kColumns = 32;
  static constexpr std::int64_t kMostTiles = Pack::kPlanes == 1 ? 4 : 10, kLeastTiles = 1;
  static constexpr std::int64_t kGrain = Pack::kGrain;
  static constexpr std::int64_t kMostDepth = Pack::kPlanes == 1 ? 1024 : 512;
  static constexpr std::int64_t kColumnElems = std::int64_t{4} << 20;
  static std::int64_t packed_depth(std::int64_t depth) {
    return (depth + kGrain - 1) / kGrain * kGrain * Pack::kPlanes;
  }

  RW_BF16 static void pack_a(const GemmMatrix<T>& a, const GemmPart& part, core::BF16* to) {
    Pack::template pack<true>(rows_of(a, part), to);
  }
  RW_BF16 static void pack_b(const GemmMatrix<T>& b, const GemmPart& part, core::BF16* to) {
    Pack::template pack<false>(columns_of(b, part), to);
  }

  template <class C>
  RW_BF16 static void multiply(const GemmPart& part, const core::BF16* packed_a,
                               const core::BF16* packed_b, const GemmTarget<C>& into) {
    Square::begin();
    const std::int64_t depth = packed_depth(part.depth);  // of all planes
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const core::BF16* b = packed_b + (column - part.column) * depth;
      for (std::int64_t row = part.row; row < part.row_end; row += kRows) {
        const GemmPart at{row, part.row_end, column, part.column_end, 0, depth};
        square(at, packed_a + (row - part.row) * depth, b, into, ahead_of(at, part, b, into));
      }
    }
    Square::end();
  }

 private:
  static constexpr int kLinesAtOnce = Pack::kPlanes == 1 ? 8 : 10;  // of 32 and 96 among kMostTiles
  using Ahead = SquareAhead<Pack::kPlanes == 1 ? 1 : 2, kLinesAtOnce>;

  /// `at`: one square of `part`, the packed columns of which begin at b. Behind the last panel it is asked for
  /// again, which costs nothing.
  template <class C>
  static Ahead ahead_of(const GemmPart& at, const GemmPart& part, const core::BF16* b,
                        const GemmTarget<C>& into) {
    const std::int64_t share = at.depth / Pack::kPlanes / kGrain * kLinesAtOnce * 32;
    const core::BF16* next = at.column + kColumns < at.column_end ? b + kColumns * at.depth : b;
    return {reinterpret_cast<const char*>(into.c + at.row * into.stride + at.column),
            into.stride * std::int64_t{sizeof(C)}, std::min(kRows, at.row_end - at.row),
            reinterpret_cast<const char*>(next + (at.row - part.row) / kRows * share)};
  }

  /// What begins at a row and a column of c.
  template <class C>
  RW_BF16_INLINE static void square(const GemmPart& at, const core::BF16* a, const core::BF16* b,
                                    const GemmTarget<C>& into, const Ahead& ahead) {
    const std::int64_t rows = std::min(kRows, at.row_end - at.row);
    const std::int64_t columns = std::min(kColumns, at.column_end - at.column);
    C* to = into.c + at.row * into.stride + at.column;
    alignas(64) float sums[kRows * kColumns];
    Square::template multiply<Accumulate::kNo>(a, b, at.depth, {sums, kColumns, 16 * kColumns, 16},
                                               ahead);
    for (std::int64_t i = 0; i < rows; ++i) {
      store_row(sums + i * kColumns, to + i * into.stride, columns, into.add);
    }
  }

  RW_BF16_INLINE static void store_row(const float* sums, float* to, std::int64_t columns,
                                       Accumulate add) {
    for (std::int64_t half = 0; half < kColumns; half += 16) {
      const std::int64_t left = std::clamp<std::int64_t>(columns - half, 0, 16);
      const auto lanes = static_cast<__mmask16>((1U << left) - 1);
      __m512 x = _mm512_load_ps(sums + half);
      if (add == Accumulate::kYes) x = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, to + half), x);
      _mm512_mask_storeu_ps(to + half, lanes, x);
    }
  }
  /// Nearest, ties to even; squares have left no subnormal number.
  RW_BF16_INLINE static void store_row(const float* sums, core::BF16* to, std::int64_t columns,
                                       Accumulate /*add*/) {
    const __m512 low = _mm512_load_ps(sums);
    const __m512 high = _mm512_load_ps(sums + 16);
    const auto row = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    const auto lanes =
        static_cast<__mmask32>(columns == kColumns ? 0xffffffffU : (1U << columns) - 1);
    _mm512_mask_storeu_epi16(to, lanes, row);
  }
};
template <class T>
using AmxEngine = Bf16Squares<T, AmxSquare<T>>;
using DotEngine = Bf16Squares<core::BF16, DotSquare>;

}  // namespace rw::kernels
