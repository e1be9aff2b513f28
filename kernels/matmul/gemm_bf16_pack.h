// Part of Ropewalk, MIT licence.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/matmul/gemm_pack.h"

/// Code for bf16 instructions within a program that must start without them. Every CPU that has AVX512_BF16 has
/// these, but for tiles: they are in what must be called by name (gemm_amx.h), no compiler chooses them.
#define RW_BF16 \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")))
#define RW_BF16_INLINE                                                                      \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma"), \
                 always_inline)) inline

namespace rw::kernels {

/// Numbers of two vectors in bf16, each beside its neighbour in the other one.
RW_BF16_INLINE __m512i bf16_pairs(__m512 even, __m512 odd) {
  alignas(64) static constexpr std::int16_t kInterleave[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
  return _mm512_permutexvar_epi16(_mm512_load_si512(kInterleave), both);
}

/// What the tiles of one panel of 32 lanes (rows of a or columns of b) consist of: for every 32 of depth and
/// every plane, two halves of 16 lanes. bf16 has one plane. f32 has three: the number in bf16, what is left of
/// it in bf16, and what is left of that, which together are the number (8 bits and a sign each), down to 2^-108;
/// smaller numbers lose their last planes.
template <class T>
struct Bf16Pack {
  static constexpr int kPlanes = std::is_same_v<T, float> ? 3 : 1;
  static constexpr std::int64_t kLanes = 32, kGrain = 32;
  static constexpr std::int64_t kHalf = 512;                  // numbers of one tile register
  static constexpr std::int64_t kStep = 2 * kHalf * kPlanes;  // of 32 of depth
  using Lanes = PanelSource<T>;

  /// kByLane: tiles of a, a row for every lane; else those of b, a row for every pair of k. Lanes that lie
  /// side by side are packed 32 deep at a time, 512 of them; meanwhile the next 32 deep are asked for.
  template <bool kByLane>
  RW_BF16_INLINE static void pack(const Lanes& all, core::BF16* to) {
    const bool beside = all.lane_stride == 1;
    const std::int64_t together = beside ? 512 : kLanes;
    const std::int64_t panel = (all.depth + kGrain - 1) / kGrain * kStep;
    for (std::int64_t first = 0; first < all.lanes; first += together) {
      const std::int64_t end = std::min(all.lanes, first + together);
      for (std::int64_t k = 0; k < all.depth; k += kGrain) {
        ask_for(all, first, end, k + kGrain);
        for (std::int64_t lane = first; lane < end; lane += kLanes) {
          core::BF16* at = to + lane / kLanes * panel + k / kGrain * kStep;
          pack_half<kByLane>(all, lane, k, at);
          pack_half<kByLane>(all, lane + kLanes / 2, k, at + kHalf);
        }
      }
    }
  }

 private:
  /// Lanes [first, end) from depth k on or, at the end of the depth, the lanes behind them.
  RW_BF16_INLINE static void ask_for(const Lanes& all, std::int64_t first, std::int64_t end,
                                     std::int64_t k) {
    constexpr std::int64_t kLine = 64 / std::int64_t{sizeof(T)};
    if (k >= all.depth) {
      k = 0;
      first = std::exchange(end, std::min(all.lanes, 2 * end - first));
    }
    const T* from = all.from + first * all.lane_stride + k * all.depth_stride;
    const auto ask = [](const T* at)
                         RW_BF16 { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); };
    if (all.lane_stride == 1) {
      for (std::int64_t i = k; i < std::min(k + kGrain, all.depth); ++i, from += all.depth_stride) {
        for (std::int64_t lane = 0; lane < end - first; lane += kLine) ask(from + lane);
      }
    } else {
      for (std::int64_t lane = first; lane < end; ++lane, from += all.lane_stride) {
        ask(from);
        if (kLine < kGrain) ask(from + kLine);
      }
    }
  }
  /// One tile of every plane: sixteen lanes, 32 deep.
  template <bool kByLane>
  RW_BF16_INLINE static void pack_half(const Lanes& all, std::int64_t lane, std::int64_t k,
                                       core::BF16* to) {
    const std::int64_t lanes = std::clamp<std::int64_t>(all.lanes - lane, 0, 16);
    const std::int64_t depth = std::min(kGrain, all.depth - k);
    const T* from = all.from + lane * all.lane_stride + k * all.depth_stride;
    __m512i rows[kPlanes][16];
    if (all.depth_stride == 1) {
      rows_of_lanes(from, all.lane_stride, lanes, depth, rows);
    } else {
      rows_of_pairs(from, all.depth_stride, lanes, depth, rows);
    }
    for (int plane = 0; plane < kPlanes; ++plane) {
      if ((all.depth_stride == 1) != kByLane) turn(rows[plane]);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        _mm512_store_si512(to + plane * 2 * kHalf + i * 32, rows[plane][i]);
      }
    }
  }

  /// rows[plane][l]: 32 numbers of lane l.
  RW_BF16_INLINE static void rows_of_lanes(const core::BF16* from, std::int64_t stride,
                                           std::int64_t lanes, std::int64_t depth,
                                           __m512i (*rows)[16]) {
    const auto there = static_cast<__mmask32>(depth == 32 ? 0xffffffffU : (1U << depth) - 1);
#pragma GCC unroll 16
    for (int l = 0; l < 16; ++l) {
      rows[0][l] =
          l < lanes ? _mm512_maskz_loadu_epi16(there, from + l * stride) : _mm512_setzero_si512();
    }
  }
  RW_BF16_INLINE static void rows_of_lanes(const float* from, std::int64_t stride,
                                           std::int64_t lanes, std::int64_t depth,
                                           __m512i (*rows)[16]) {
    const auto there = static_cast<__mmask32>(depth == 32 ? 0xffffffffU : (1U << depth) - 1);
    const auto low = static_cast<__mmask16>(there), high = static_cast<__mmask16>(there >> 16U);
    for (int l = 0; l < 16; ++l) {
      __m512 x = _mm512_setzero_ps(), y = _mm512_setzero_ps();
      if (l < lanes) {
        x = _mm512_maskz_loadu_ps(low, from + l * stride);
        y = _mm512_maskz_loadu_ps(high, from + l * stride + 16);
      }
#pragma GCC unroll 3
      for (int plane = 0; plane < kPlanes; ++plane) {
        const auto both = (__m512i)_mm512_cvtne2ps_pbh(y, x);
        rows[plane][l] = both;
        x = _mm512_sub_ps(x, widened(_mm512_castsi512_si256(both)));
        y = _mm512_sub_ps(y, widened(_mm512_extracti64x4_epi64(both, 1)));
      }
    }
  }
  RW_BF16_INLINE static __m512 widened(__m256i bf16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
  }

  /// rows[plane][p]: numbers 2p and 2p + 1 of each of 16 lanes.
  RW_BF16_INLINE static void rows_of_pairs(const core::BF16* from, std::int64_t stride,
                                           std::int64_t lanes, std::int64_t depth,
                                           __m512i (*rows)[16]) {
    const auto there = static_cast<__mmask16>((1U << lanes) - 1);
    const auto row_of = [&](std::int64_t k) RW_BF16 {
      return k < depth ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, from + k * stride))
                       : _mm512_setzero_si512();
    };
#pragma GCC unroll 16
    for (int p = 0; p < 16; ++p) {
      rows[0][p] = _mm512_or_si512(row_of(2 * p), _mm512_slli_epi32(row_of(2 * p + 1), 16));
    }
  }
  RW_BF16_INLINE static void rows_of_pairs(const float* from, std::int64_t stride,
                                           std::int64_t lanes, std::int64_t depth,
                                           __m512i (*rows)[16]) {
    const auto there = static_cast<__mmask16>((1U << lanes) - 1);
    const auto row_of = [&](std::int64_t k) RW_BF16 {
      return k < depth ? _mm512_maskz_loadu_ps(there, from + k * stride) : _mm512_setzero_ps();
    };
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U));
    for (int p = 0; p < 16; ++p) {
      __m512 even = row_of(2 * p), odd = row_of(2 * p + 1);
#pragma GCC unroll 3
      for (int plane = 0; plane < kPlanes; ++plane) {
        const __m512i pairs = bf16_pairs(even, odd);
        rows[plane][p] = pairs;
        even = _mm512_sub_ps(even, _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)));
        odd = _mm512_sub_ps(odd, _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)));
      }
    }
  }
  /// Sixteen rows of sixteen 32-bit numbers, turned.
  RW_BF16_INLINE static void turn(__m512i* rows) {
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
