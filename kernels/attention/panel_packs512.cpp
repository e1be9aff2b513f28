// Part of Ropewalk, MIT licence.
#include "kernels/attention/panel_packs.h"
#include "kernels/matmul/gemm_tile512.h"

namespace rw::kernels {
namespace {

using core::BF16;

constexpr int kSixteen = static_cast<int>(kLanes);

/// The first `count` of sixteen numbers, the others 0.
RW_AVX512_INLINE __m512 load_some(const float* from, std::int64_t count) {
  const auto lanes = static_cast<__mmask16>(count >= kLanes ? 0xffff : (1 << count) - 1);
  return _mm512_maskz_loadu_ps(lanes, from);
}
RW_AVX512_INLINE __m512 load_some(const BF16* from, std::int64_t count) {
  if (count >= kLanes) return load16(from);
  alignas(32) BF16 some[kLanes] = {};
  std::copy_n(from, count, some);
  return load16(some);
}

/// Sixteen rows of sixteen, turned.
RW_AVX512_INLINE void turn16(__m512 (&row)[kSixteen]) {
  __m512d four[kSixteen];  // number 4 i + j: column 4 L + j of rows 4 i to 4 i + 3 in quarter L
#pragma GCC unroll 4
  for (int i = 0; i < kSixteen; i += 4) {
    const __m512d low = _mm512_castps_pd(_mm512_unpacklo_ps(row[i], row[i + 1]));
    const __m512d high = _mm512_castps_pd(_mm512_unpackhi_ps(row[i], row[i + 1]));
    const __m512d next_low = _mm512_castps_pd(_mm512_unpacklo_ps(row[i + 2], row[i + 3]));
    const __m512d next_high = _mm512_castps_pd(_mm512_unpackhi_ps(row[i + 2], row[i + 3]));
    four[i] = _mm512_unpacklo_pd(low, next_low);
    four[i + 1] = _mm512_unpackhi_pd(low, next_low);
    four[i + 2] = _mm512_unpacklo_pd(high, next_high);
    four[i + 3] = _mm512_unpackhi_pd(high, next_high);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 a = _mm512_castpd_ps(four[j]);
    const __m512 b = _mm512_castpd_ps(four[4 + j]);
    const __m512 c = _mm512_castpd_ps(four[8 + j]);
    const __m512 d = _mm512_castpd_ps(four[12 + j]);
    const __m512 even[] = {_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(c, d, 0x88)};
    const __m512 odd[] = {_mm512_shuffle_f32x4(a, b, 0xdd), _mm512_shuffle_f32x4(c, d, 0xdd)};
    row[j] = _mm512_shuffle_f32x4(even[0], even[1], 0x88);
    row[4 + j] = _mm512_shuffle_f32x4(odd[0], odd[1], 0x88);
    row[8 + j] = _mm512_shuffle_f32x4(even[0], even[1], 0xdd);
    row[12 + j] = _mm512_shuffle_f32x4(odd[0], odd[1], 0xdd);
  }
}

template <class T>
RW_AVX512 void rows(const HeadRows<T>& from, std::int64_t tokens, std::int64_t width, float* to) {
  for (std::int64_t t = 0; t < tokens; t += kTileRows, to += kTileRows * width) {
    const std::int64_t lanes = std::min(kTileRows, tokens - t);
    std::int64_t k = 0;
    for (; lanes == kTileRows && k + kLanes <= width; k += kLanes) {
      turn6x16(from.row(t) + k, from.stride, to + k * kTileRows);
    }
    pack_slowly<kTileRows>(PanelSource<T>{from.row(t), from.stride, 1, lanes, width}, k, to);
  }
}

/// Where six numbers in a row come from in two of three vectors: eight sixes in 48 numbers.
struct SixOf48 {
  alignas(64) std::int32_t at[8][kLanes] = {};
  constexpr SixOf48() {
    for (int six = 0; six < 8; ++six) {
      for (int i = 0; i < 6; ++i) at[six][i] = six * 6 % kSixteen + i;
    }
  }
};
constexpr SixOf48 kSixOf48;

template <class T>
RW_AVX512 void columns(const HeadRows<T>& from, std::int64_t tokens, std::int64_t width,
                       float* to) {
  for (std::int64_t d = 0; d < width; d += 48) {
    const std::int64_t left = width - d;
    for (std::int64_t t = 0; t < tokens; ++t) {
      const T* row = from.row(t) + d;
      __m512 part[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const std::int64_t count = i < 3 ? left - i * kLanes : 0;
        part[i] = count > 0 ? load_some(row + i * kLanes, count) : _mm512_setzero_ps();
      }
#pragma GCC unroll 8
      for (int six = 0; six < 8; ++six) {
        if (six * kTileRows >= left) continue;
        const int first = six * 6 / kSixteen;
        const __m512 x = _mm512_permutex2var_ps(part[first], _mm512_load_si512(kSixOf48.at[six]),
                                                part[first + 1]);
        _mm512_mask_storeu_ps(to + (d + six * kTileRows) * tokens + t * kTileRows, 0x3f, x);
      }
    }
  }
}

template <class T>
RW_AVX512 void queries(const QueryRows<T>& from, float scale, float* to) {
  const __m512 by = _mm512_set1_ps(scale);
  for (std::int64_t first = 0; first < kPanelQueries; first += kLanes, to += from.width * kLanes) {
    for (std::int64_t d = 0; d < from.width; d += kLanes) {
      const std::int64_t dims = std::min(kLanes, from.width - d);
      __m512 row[kSixteen];
#pragma GCC unroll 16
      for (int i = 0; i < kSixteen; ++i) {
        row[i] = first + i < from.count ? load_some(from.rows.row(first + i) + d, dims)
                                        : _mm512_setzero_ps();
      }
      turn16(row);
#pragma GCC unroll 16
      for (int i = 0; i < kSixteen; ++i) {
        if (i < dims) _mm512_store_ps(to + (d + i) * kLanes, _mm512_mul_ps(row[i], by));
      }
    }
  }
}

template <class T>
RW_AVX512 void query_columns(const QueryRows<T>& from, float scale, float* to) {
  const __m512 by = _mm512_set1_ps(scale);
  for (std::int64_t i = 0; i < kPanelQueries; ++i) {
    for (std::int64_t d = 0; d < from.width; d += kLanes) {
      const __m512 x =
          i < from.count ? load_some(from.rows.row(i) + d, from.width - d) : _mm512_setzero_ps();
      _mm512_store_ps(to + d * kPanelQueries + i * kLanes, _mm512_mul_ps(x, by));
    }
  }
}

template <class T>
RW_AVX512 void write(const float* sums, const float* factors, std::int64_t width,
                     std::int64_t count, const MutableHeadRows<T>& to) {
  const __m512 by = _mm512_load_ps(factors);
  for (std::int64_t d = 0; d < width; d += kLanes) {
    const std::int64_t dims = std::min(kLanes, width - d);
    const auto lanes = static_cast<__mmask16>(dims == kLanes ? 0xffff : (1 << dims) - 1);
    __m512 row[kSixteen];
#pragma GCC unroll 16
    for (int i = 0; i < kSixteen; ++i) {
      row[i] = i < dims ? _mm512_mul_ps(_mm512_load_ps(sums + (d + i) * kLanes), by)
                        : _mm512_setzero_ps();
    }
    turn16(row);
#pragma GCC unroll 16
    for (int i = 0; i < kSixteen; ++i) {
      if (i < count) store16(to.row(i) + d, lanes, row[i]);
    }
  }
}

}  // namespace

template <class T>
const PanelPacks<T> PanelPacks512<T>::kTable{rows,          columns,       queries,
                                             query_columns, panel_dots<T>, write};
template struct PanelPacks512<float>;
template struct PanelPacks512<BF16>;

}  // namespace rw::kernels
