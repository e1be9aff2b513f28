// Part of Ropewalk, MIT licence.
#include "kernels/attention/panel_packs.h"
#include "kernels/matmul/gemm.h"
#include "kernels/matmul/gemm_tile.h"

namespace rw::kernels {
namespace {

using core::BF16;

RW_AVX2_INLINE void scale_panel(float* panel, std::int64_t elems, float scale) {
  const __m256 by = _mm256_set1_ps(scale);
  for (std::int64_t i = 0; i < elems; i += 8) {
    _mm256_store_ps(panel + i, _mm256_mul_ps(_mm256_load_ps(panel + i), by));
  }
}

template <class T>
RW_AVX2 void rows(const HeadRows<T>& from, std::int64_t tokens, std::int64_t width, float* to) {
  for (std::int64_t t = 0; t < tokens; t += kTileRows) {
    const PanelSource<T> source{from.row(t), from.stride, 1, std::min(kTileRows, tokens - t),
                                width};
    pack_panel<kTileRows>(source, to + t * width);
  }
}

template <class T>
RW_AVX2 void columns(const HeadRows<T>& from, std::int64_t tokens, std::int64_t width, float* to) {
  constexpr std::int64_t kAtOnce = 16;  // rows, so that whole cache lines are used up
  for (std::int64_t t = 0; t < tokens; t += kAtOnce) {
    for (std::int64_t d = 0; d < width; d += kTileRows) {
      const PanelSource<T> source{from.row(t) + d, 1, from.stride, std::min(kTileRows, width - d),
                                  std::min(kAtOnce, tokens - t)};
      pack_panel<kTileRows>(source, to + d * tokens + t * kTileRows);
    }
  }
}

template <class T>
RW_AVX2 void queries(const QueryRows<T>& from, float scale, float* to) {
  for (std::int64_t first = 0; first < kPanelQueries; first += kLanes, to += from.width * kLanes) {
    const std::int64_t lanes = std::clamp<std::int64_t>(from.count - first, 0, kLanes);
    const T* row = lanes > 0 ? from.rows.row(first) : nullptr;
    pack_panel<kLanes>(PanelSource<T>{row, from.rows.stride, 1, lanes, from.width}, to);
    scale_panel(to, from.width * kLanes, scale);
  }
}

template <class T>
RW_AVX2 void query_columns(const QueryRows<T>& from, float scale, float* to) {
  for (std::int64_t d = 0; d < from.width; d += kLanes, to += kPanelQueries * kLanes) {
    const PanelSource<T> source{from.rows.data + d, 1, from.rows.stride,
                                std::min(kLanes, from.width - d), from.count};
    pack_panel<kLanes>(source, to);
    scale_panel(to, from.count * kLanes, scale);
    std::fill(to + from.count * kLanes, to + kPanelQueries * kLanes, 0.0F);
  }
}

template <class T>
RW_AVX2_INLINE float dot(const T* a, const T* b, std::int64_t width) {
  __m256 sum = _mm256_setzero_ps();
  std::int64_t i = 0;
  for (; i + 8 <= width; i += 8) sum = _mm256_fmadd_ps(load8(a + i), load8(b + i), sum);
  alignas(32) float lane[8];
  _mm256_store_ps(lane, sum);
  float out =
      ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
  for (; i < width; ++i) out += static_cast<float>(a[i]) * static_cast<float>(b[i]);
  return out;
}
template <class T>
RW_AVX2 void dots(const QueryRows<T>& a, const HeadRows<T>& b, float* to) {
  for (std::int64_t i = 0; i < a.count; ++i) to[i] = dot(a.rows.row(i), b.row(i), a.width);
}

template <class T>
RW_AVX2 void write(const float* sums, const float* factors, std::int64_t width, std::int64_t count,
                   const MutableHeadRows<T>& to) {
  const __m256 by[] = {_mm256_load_ps(factors), _mm256_load_ps(factors + 8)};
  alignas(64) float scaled[8 * kLanes] = {};
  alignas(64) float turned[kLanes * 8];
  for (std::int64_t d = 0; d < width; d += 8) {
    const std::int64_t real = std::min<std::int64_t>(8, width - d);
    for (std::int64_t i = 0; i < real; ++i) {
      for (std::int64_t half = 0; half < 2; ++half) {
        const __m256 x = _mm256_load_ps(sums + (d + i) * kLanes + half * 8);
        _mm256_store_ps(scaled + i * kLanes + half * 8, _mm256_mul_ps(x, by[half]));
      }
    }
    turn8(scaled, kLanes, turned, 8);
    turn8(scaled + 8, kLanes, turned + 64, 8);
    for (std::int64_t i = 0; i < count; ++i) {
      T* row = to.row(i) + d;
      if (real == 8) {
        store8(row, _mm256_load_ps(turned + i * 8));
      } else {
        for (std::int64_t j = 0; j < real; ++j) row[j] = T(turned[i * 8 + j]);
      }
    }
  }
}

}  // namespace

template <class T>
void panel_dots(const QueryRows<T>& a, const HeadRows<T>& b, float* to) {
  dots(a, b, to);
}
template void panel_dots(const QueryRows<float>&, const HeadRows<float>&, float*);
template void panel_dots(const QueryRows<BF16>&, const HeadRows<BF16>&, float*);

template <class T>
const PanelPacks<T> PanelPacksAvx2<T>::kTable{rows, columns, queries, query_columns, dots, write};
template struct PanelPacksAvx2<float>;
template struct PanelPacksAvx2<BF16>;

template <class T>
const PanelPacks<T>& panel_packs() {
  return gemm_runs_here(GemmEngine::kAvx512) ? PanelPacks512<T>::kTable : PanelPacksAvx2<T>::kTable;
}
template const PanelPacks<float>& panel_packs();
template const PanelPacks<BF16>& panel_packs();

}  // namespace rw::kernels
