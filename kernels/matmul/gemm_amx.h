// Part of Ropewalk, MIT licence.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "kernels/matmul/gemm_worker.h"

/// Code for bf16 tiles within a program that must start without them. Every CPU that has tiles has these.
#define RW_AMX \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")))
#define RW_AMX_INLINE                                                                       \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma"), \
                 always_inline)) inline

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

/// One tile register holds 16 rows of 64 bytes. As an operand on the left: sixteen rows of a, 32 deep; on
/// the right: sixteen pairs of k for sixteen columns of b; as a sum: 16 x 16 numbers in f32. A tile of c is
/// 2 x 2 of these, so that each of four operands is used twice.
///
/// Packed, a panel of 32 rows (or columns) is [depth / 32][2 halves][16][32] in bf16: tiles just as they are
/// loaded. Depth is filled up with zeros.
struct AmxEngine {
  using Packed = core::BF16;
  static constexpr std::int64_t kRows = 32, kColumns = 32;
  static constexpr std::int64_t kMostTiles = 4, kLeastTiles = 1;
  static constexpr std::int64_t kGrain = 32;
  static constexpr std::int64_t kMostDepth = 1024;
  static constexpr std::int64_t kColumnElems = std::int64_t{4} << 20;
  static std::int64_t packed_depth(std::int64_t depth) {
    return (depth + kGrain - 1) / kGrain * kGrain;
  }

  RW_AMX static void pack_a(const GemmMatrix<core::BF16>& a, const GemmPart& part, core::BF16* to) {
    pack<true>(rows_of(a, part), to);
  }
  RW_AMX static void pack_b(const GemmMatrix<core::BF16>& b, const GemmPart& part, core::BF16* to) {
    pack<false>(columns_of(b, part), to);
  }

  template <class C>
  RW_AMX static void multiply(const GemmPart& part, const core::BF16* packed_a,
                              const core::BF16* packed_b, const GemmTarget<C>& into) {
    _tile_loadconfig(&kAmxTileConfig);
    const std::int64_t depth = packed_depth(part.depth);
    for (std::int64_t column = part.column; column < part.column_end; column += kColumns) {
      const core::BF16* b = packed_b + (column - part.column) * depth;
      for (std::int64_t row = part.row; row < part.row_end; row += kRows) {
        const GemmPart at{row, part.row_end, column, part.column_end, 0, depth};
        tile(at, packed_a + (row - part.row) * depth, b, into);
      }
    }
    _tile_release();
  }

  /// sums [32, 32] = panels a · b, or += them. The tiles must have been set up (kAmxTileConfig).
  template <Accumulate kAdd>
  RW_AMX_INLINE static void multiply_tiles(const core::BF16* a, const core::BF16* b,
                                           std::int64_t depth, const AmxSums& sums) {
    constexpr int kTileBytes = 64;
    constexpr std::int64_t kRegisterElems = 512;
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
    for (std::int64_t k = 0; k < depth;
         k += kGrain, a += 2 * kRegisterElems, b += 2 * kRegisterElems) {
      _tile_loadd(4, a, kTileBytes);
      _tile_loadd(6, b, kTileBytes);
      _tile_loadd(7, b + kRegisterElems, kTileBytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(5, a + kRegisterElems, kTileBytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums.data, bytes);
    _tile_stored(1, sums.data + sums.right, bytes);
    _tile_stored(2, lower, bytes);
    _tile_stored(3, lower + sums.right, bytes);
  }

 private:
  using Lanes = PanelSource<core::BF16>;

  /// What begins at a row and a column of c.
  template <class C>
  RW_AMX_INLINE static void tile(const GemmPart& at, const core::BF16* a, const core::BF16* b,
                                 const GemmTarget<C>& into) {
    const std::int64_t rows = std::min(kRows, at.row_end - at.row);
    const std::int64_t columns = std::min(kColumns, at.column_end - at.column);
    C* to = into.c + at.row * into.stride + at.column;
    into.prefetch(to, rows, columns);
    alignas(64) float sums[kRows * kColumns];
    multiply_tiles<Accumulate::kNo>(a, b, at.depth, {sums, kColumns, 16 * kColumns, 16});
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

  /// kByLane: tiles of a, a row for every lane; else those of b, a row for every pair of k. Lanes that lie
  /// side by side are packed 32 deep at a time, 512 of them while the next 32 rows are asked for.
  template <bool kByLane>
  RW_AMX_INLINE static void pack(const Lanes& all, core::BF16* to) {
    const bool beside = all.lane_stride == 1;
    const std::int64_t together = beside ? 512 : kRows;
    const std::int64_t panel = kRows * packed_depth(all.depth);
    for (std::int64_t first = 0; first < all.lanes; first += together) {
      const std::int64_t end = std::min(all.lanes, first + together);
      for (std::int64_t k = 0; k < all.depth; k += kGrain) {
        if (beside) ask_for(all, first, end, k + kGrain);
        for (std::int64_t lane = first; lane < end; lane += kRows) {
          core::BF16* at = to + lane / kRows * panel + k * kRows;
          pack_half<kByLane>(all, lane, k, at);
          pack_half<kByLane>(all, lane + kRows / 2, k, at + kGrain * kRows / 2);
        }
      }
    }
  }
  RW_AMX_INLINE static void ask_for(const Lanes& all, std::int64_t first, std::int64_t end,
                                    std::int64_t k) {
    for (std::int64_t i = k; i < std::min(k + kGrain, all.depth); ++i) {
      for (std::int64_t lane = first; lane < end; lane += 32) {
        _mm_prefetch(reinterpret_cast<const char*>(all.from + i * all.depth_stride + lane),
                     _MM_HINT_T0);
      }
    }
  }
  /// One tile: sixteen lanes, 32 deep.
  template <bool kByLane>
  RW_AMX_INLINE static void pack_half(const Lanes& all, std::int64_t lane, std::int64_t k,
                                      core::BF16* to) {
    const std::int64_t lanes = std::clamp<std::int64_t>(all.lanes - lane, 0, 16);
    const std::int64_t depth = std::min(kGrain, all.depth - k);
    const core::BF16* from = all.from + lane * all.lane_stride + k * all.depth_stride;
    __m512i rows[16];
    if (all.depth_stride == 1) {
      rows_of_lanes(from, all.lane_stride, lanes, depth, rows);
    } else {
      rows_of_pairs(from, all.depth_stride, lanes, depth, rows);
    }
    if ((all.depth_stride == 1) != kByLane) turn(rows);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * 32, rows[i]);
  }
  /// rows[l]: 32 numbers of lane l.
  RW_AMX_INLINE static void rows_of_lanes(const core::BF16* from, std::int64_t stride,
                                          std::int64_t lanes, std::int64_t depth, __m512i* rows) {
    const auto there = static_cast<__mmask32>(depth == 32 ? 0xffffffffU : (1U << depth) - 1);
#pragma GCC unroll 16
    for (int l = 0; l < 16; ++l) {
      rows[l] =
          l < lanes ? _mm512_maskz_loadu_epi16(there, from + l * stride) : _mm512_setzero_si512();
    }
  }
  /// rows[p]: numbers 2p and 2p + 1 of each of 16 lanes.
  RW_AMX_INLINE static void rows_of_pairs(const core::BF16* from, std::int64_t stride,
                                          std::int64_t lanes, std::int64_t depth, __m512i* rows) {
    const auto there = static_cast<__mmask16>((1U << lanes) - 1);
#pragma GCC unroll 16
    for (int p = 0; p < 16; ++p) {
      const __m512i even = row_of(from, stride, 2 * p, depth, there);
      const __m512i odd = row_of(from, stride, 2 * p + 1, depth, there);
      rows[p] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
    }
  }
  RW_AMX_INLINE static __m512i row_of(const core::BF16* from, std::int64_t stride, std::int64_t k,
                                      std::int64_t depth, __mmask16 lanes) {
    if (k >= depth) return _mm512_setzero_si512();
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from + k * stride));
  }
  /// Sixteen rows of sixteen 32-bit numbers, turned.
  RW_AMX_INLINE static void turn(__m512i* rows) {
    __m512i two[16], four[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      two[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
      two[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {  // four[i + c]: columns c, c + 4, c + 8, c + 12 of four rows
      four[i] = _mm512_unpacklo_epi64(two[i], two[i + 2]);
      four[i + 1] = _mm512_unpackhi_epi64(two[i], two[i + 2]);
      four[i + 2] = _mm512_unpacklo_epi64(two[i + 1], two[i + 3]);
      four[i + 3] = _mm512_unpackhi_epi64(two[i + 1], two[i + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m512i even_low = _mm512_shuffle_i32x4(four[c], four[4 + c], 0x88);
      const __m512i odd_low = _mm512_shuffle_i32x4(four[c], four[4 + c], 0xdd);
      const __m512i even_high = _mm512_shuffle_i32x4(four[8 + c], four[12 + c], 0x88);
      const __m512i odd_high = _mm512_shuffle_i32x4(four[8 + c], four[12 + c], 0xdd);
      rows[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
      rows[c + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
      rows[c + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
      rows[c + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
    }
  }
};

}  // namespace rw::kernels
