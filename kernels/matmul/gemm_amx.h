// Part of Ropewalk, MIT licence.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "kernels/matmul/gemm_amx_pack.h"
#include "kernels/matmul/gemm_worker.h"

namespace rw::kernels {

/// Eight tile registers of 16 rows of 64 bytes, in the layout of LDTILECFG.
struct alignas(64) AmxTileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
inline constexpr AmxTileConfig kAmxTileConfig;

/// Where a sum of 32 x 32 lies: four quarters of sixteen rows, `stride` floats apart; the lower ones begin
/// `lower` floats behind the upper ones, the right ones `right` behind the left ones.
struct AmxSums {
  float* data = nullptr;
  std::int64_t stride = 0, lower = 0, right = 0;
};

/// What a tile asks for while it is multiplied, a few lines with every 32 of depth (a burst in front of the
/// tile holds its operands up, and so do loops of unknown length): the rows of c that its sums go to, and its
/// share of the next panel of b.
template <int kRowsAtOnce, int kLinesAtOnce>
struct AmxAhead {
  const char* row = nullptr;  // of c
  std::int64_t stride = 0, rows = 0;
  const char* line = nullptr;  // of b

  RW_AMX_INLINE void step() {
    if (rows > 0) {
#pragma GCC unroll 2
      for (int i = 0; i < kRowsAtOnce; ++i, row += stride) {
        _mm_prefetch(row, _MM_HINT_T0);
        _mm_prefetch(row + 64, _MM_HINT_T0);
      }
      rows -= kRowsAtOnce;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLinesAtOnce; ++i, line += 64) _mm_prefetch(line, _MM_HINT_T1);
  }
};
struct AmxNothingAhead {
  void step() {}
};

/// One tile register holds 16 rows of 64 bytes. As an operand on the left: sixteen rows of a, 32 deep; on
/// the right: sixteen pairs of k for sixteen columns of b; as a sum: 16 x 16 numbers in f32. A tile of c is
/// 2 x 2 of these, so that each of four operands is used twice.
///
/// Packed, a panel of 32 rows (or columns) is [depth / 32][planes][2 halves][16][32] in bf16 (AmxPack): tiles
/// just as they are loaded. Depth is filled up with zeros. f32 operands are multiplied plane by plane: six
/// products of nine; those left out are below 2^-26 of each term, a quarter of what f32 rounds away.
template <class T>
struct AmxTiles {
  using Packed = core::BF16;
  using Pack = AmxPack<T>;
  static constexpr std::int64_t kRows = 32, kColumns = 32;
  static constexpr std::int64_t kMostTiles = Pack::kPlanes == 1 ? 4 : 10, kLeastTiles = 1;
  static constexpr std::int64_t kGrain = Pack::kGrain;
  static constexpr std::int64_t kMostDepth = Pack::kPlanes == 1 ? 1024 : 512;
  static constexpr std::int64_t kColumnElems = std::int64_t{4} << 20;
  static std::int64_t packed_depth(std::int64_t depth) {
    return (depth + kGrain - 1) / kGrain * kGrain * Pack::kPlanes;
  }

  RW_AMX static void pack_a(const GemmMatrix<T>& a, const GemmPart& part, core::BF16* to) {
    Pack::template pack<true>(rows_of(a, part), to);
  }
  RW_AMX static void pack_b(const GemmMatrix<T>& b, const GemmPart& part, core::BF16* to) {
    Pack::template pack<false>(columns_of(b, part), to);
  }

  template <class C>
  RW_AMX static void multiply(const GemmPart& part, const core::BF16* packed_a,
                              const core::BF16* packed_b, const GemmTarget<C>& into) {
    _tile_loadconfig(&kAmxTileConfig);
    const std::int64_t depth = packed_depth(part.depth);  // of all planes
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const core::BF16* b = packed_b + (column - part.column) * depth;
      for (std::int64_t row = part.row; row < part.row_end; row += kRows) {
        const GemmPart at{row, part.row_end, column, part.column_end, 0, depth};
        tile(at, packed_a + (row - part.row) * depth, b, into, ahead_of(at, part, b, into));
      }
    }
    _tile_release();
  }

  /// sums [32, 32] = panels a · b, or += them; depth as packed. The tiles must have been set up
  /// (kAmxTileConfig).
  template <Accumulate kAdd, class NextLines = AmxNothingAhead>
  RW_AMX_INLINE static void multiply_tiles(const core::BF16* a, const core::BF16* b,
                                           std::int64_t depth, const AmxSums& sums,
                                           NextLines ahead = {}) {
    const std::int64_t bytes = sums.stride * 4;
    float* lower = sums.data + sums.lower;
    if constexpr (kAdd == Accumulate::kYes) {
      _tile_loadd(0, sums.data, bytes);
      _tile_loadd(1, sums.data + sums.right, bytes);
      _tile_loadd(2, lower, bytes);
      _tile_loadd(3, lower + sums.right, bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    const core::BF16* end = a + depth * kRows;
    for (; a != end; a += Pack::kStep, b += Pack::kStep) {
      ahead.step();
      if constexpr (Pack::kPlanes == 1) {
        add_step(a, b);
      } else {
        add_planes(a, b);
      }
    }
    _tile_stored(0, sums.data, bytes);
    _tile_stored(1, sums.data + sums.right, bytes);
    _tile_stored(2, lower, bytes);
    _tile_stored(3, lower + sums.right, bytes);
  }

 private:
  static constexpr int kTileBytes = 64;
  static constexpr std::int64_t kPlane = 2 * Pack::kHalf;
  static constexpr int kLinesAtOnce = Pack::kPlanes == 1 ? 8 : 10;  // of 32 and 96 among kMostTiles
  using Ahead = AmxAhead<Pack::kPlanes == 1 ? 1 : 2, kLinesAtOnce>;

  RW_AMX_INLINE static void load_left(const core::BF16* a) {
    _tile_loadd(4, a, kTileBytes);
    _tile_loadd(5, a + Pack::kHalf, kTileBytes);
  }
  RW_AMX_INLINE static void load_right(const core::BF16* b) {
    _tile_loadd(6, b, kTileBytes);
    _tile_loadd(7, b + Pack::kHalf, kTileBytes);
  }
  RW_AMX_INLINE static void add_loaded() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  RW_AMX_INLINE static void add_step(const core::BF16* a, const core::BF16* b) {
    load_left(a);
    load_right(b);
    add_loaded();
  }
  /// Each product but the last shares a plane with the one before it.
  RW_AMX_INLINE static void add_planes(const core::BF16* a, const core::BF16* b) {
    load_left(a + 2 * kPlane);
    load_right(b);
    add_loaded();
    load_left(a + kPlane);
    add_loaded();
    load_right(b + kPlane);
    add_loaded();
    load_left(a);
    add_loaded();
    load_right(b + 2 * kPlane);
    add_loaded();
    load_right(b);
    add_loaded();
  }

  /// `at`: one tile of `part`, the packed columns of which begin at b. Behind the last panel it is asked for
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
  RW_AMX_INLINE static void tile(const GemmPart& at, const core::BF16* a, const core::BF16* b,
                                 const GemmTarget<C>& into, const Ahead& ahead) {
    const std::int64_t rows = std::min(kRows, at.row_end - at.row);
    const std::int64_t columns = std::min(kColumns, at.column_end - at.column);
    C* to = into.c + at.row * into.stride + at.column;
    alignas(64) float sums[kRows * kColumns];
    multiply_tiles<Accumulate::kNo>(a, b, at.depth, {sums, kColumns, 16 * kColumns, 16}, ahead);
    for (std::int64_t i = 0; i < rows; ++i) {
      store_row(sums + i * kColumns, to + i * into.stride, columns, into.add);
    }
  }

  RW_AMX_INLINE static void store_row(const float* sums, float* to, std::int64_t columns,
                                      Accumulate add) {
    for (std::int64_t half = 0; half < kColumns; half += 16) {
      const std::int64_t left = std::clamp<std::int64_t>(columns - half, 0, 16);
      const auto lanes = static_cast<__mmask16>((1U << left) - 1);
      __m512 x = _mm512_load_ps(sums + half);
      if (add == Accumulate::kYes) x = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, to + half), x);
      _mm512_mask_storeu_ps(to + half, lanes, x);
    }
  }
  /// Nearest, ties to even; tiles have left no subnormal number.
  RW_AMX_INLINE static void store_row(const float* sums, core::BF16* to, std::int64_t columns,
                                      Accumulate /*add*/) {
    const __m512 low = _mm512_load_ps(sums);
    const __m512 high = _mm512_load_ps(sums + 16);
    const auto row = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    const auto lanes =
        static_cast<__mmask32>(columns == kColumns ? 0xffffffffU : (1U << columns) - 1);
    _mm512_mask_storeu_epi16(to, lanes, row);
  }
};
using AmxEngine = AmxTiles<core::BF16>;

}  // namespace rw::kernels
