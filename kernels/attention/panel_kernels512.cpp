// Part of Ropewalk, MIT licence.
// Four panels of queries, or of dimensions, at once: 24 sums of sixteen lanes.
#include "kernels/attention/panel_kernels.h"
#include "kernels/attention/panel_math.h"
#include "kernels/matmul/gemm_tile512.h"

namespace rw::kernels {
namespace {

constexpr int kPanels = static_cast<int>(kGroup);
using Tile = GemmTile512<kPanels>;

/// exp8 (panel_math.h) on sixteen lanes: the same bits.
RW_AVX512_INLINE __m512 exp16(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504F)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4F), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4F);
  for (const float c :
       {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  }
  p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0F));
  const __mmask16 seen = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3F), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(seen, p, n);
}

/// mask_scores (panel_math.h).
RW_AVX512_INLINE void mask16(std::int64_t first_key, std::int64_t first_query, std::int64_t keys,
                             float* scores) {
  const __m512 never = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (std::int64_t k = std::max<std::int64_t>(0, first_query + 1 - first_key); k < keys; ++k) {
    const std::int64_t hidden = std::min(kLanes, first_key + k - first_query);  // lanes in front
    _mm512_mask_store_ps(scores + k * kLanes, static_cast<__mmask16>((1U << hidden) - 1), never);
  }
}

/// The first panel of those that come to a key of the block: later panels see all that earlier ones do.
std::int64_t first_panel(const KeyBlock& block, std::int64_t key) {
  std::int64_t first = 0;
  while (first + 1 < kGroup && key >= block.keys(first)) ++first;
  return first;
}

RW_AVX512 void scores(const KeyBlock& block, const float* packed, const float* queries,
                      std::int64_t width, float* to) {
  for (std::int64_t key = 0; key < block.keys(kGroup - 1); key += kTileRows) {
    const float* rows = packed + (block.first_key + key) * width;
    const std::int64_t first = first_panel(block, key);
    Tile tile;
    tile.clear();
    tile.add(static_cast<int>(first), rows, {queries, width * kLanes}, width);
    tile.store_panels(static_cast<int>(first), to + key * kLanes, kKeys * kLanes, Accumulate::kNo);
  }
}

RW_AVX512 void weigh(const KeyBlock& block, const float* columns, const float* weights,
                     const PanelRoom& room, float* sums) {
  const std::int64_t first = first_panel(block, 0);
  for (std::int64_t d = 0; d < room.width; d += kTileRows) {
    const float* rows = columns + d * room.tokens + block.first_key * kTileRows;
    Tile tile;
    tile.clear();
    std::int64_t done = 0;
    for (std::int64_t g = first; g < kGroup; ++g) {  // what panel g sees more than those before it
      const std::int64_t depth = block.real(block.keys(g));
      tile.add(static_cast<int>(g), rows + done * kTileRows,
               {weights + done * kLanes, kKeys * kLanes}, depth - done);
      done = depth;
    }
    tile.store_panels(static_cast<int>(first), sums + d * kLanes, room.dims() * kLanes,
                      Accumulate::kYes);
  }
}

/// The largest of sixteen lanes; keys are sixes, and six maxima are worked out side by side.
RW_AVX512_INLINE __m512 largest_of(const float* scores, std::int64_t keys, __m512 before) {
  __m512 most[kTileRows];
#pragma GCC unroll 6
  for (int i = 0; i < kTileRows; ++i) most[i] = before;
  for (std::int64_t k = 0; k < keys; k += kTileRows) {
#pragma GCC unroll 6
    for (int i = 0; i < kTileRows; ++i) {
      most[i] = _mm512_max_ps(most[i], _mm512_load_ps(scores + (k + i) * kLanes));
    }
  }
  return _mm512_max_ps(_mm512_max_ps(_mm512_max_ps(most[0], most[1]), most[2]),
                       _mm512_max_ps(_mm512_max_ps(most[3], most[4]), most[5]));
}

RW_AVX512 void take_block(const KeyBlock& block, std::int64_t panel, float* scores,
                          SoftmaxLanes& running, float* sums, std::int64_t dims) {
  const std::int64_t keys = block.keys(panel);
  if (keys <= 0) return;
  mask16(block.first_key, block.first_query + panel * kLanes, keys, scores);
  const __m512 before = _mm512_load_ps(running.largest);
  const __m512 largest = largest_of(scores, keys, before);
  const __m512 factor = exp16(_mm512_sub_ps(before, largest));
  __m512 sum = _mm512_mul_ps(_mm512_load_ps(running.sum), factor);
  for (std::int64_t k = 0; k < keys; ++k) {
    float* row = scores + k * kLanes;
    const __m512 p = exp16(_mm512_sub_ps(_mm512_load_ps(row), largest));
    _mm512_store_ps(row, p);
    sum = _mm512_add_ps(sum, p);
  }
  _mm512_store_ps(running.largest, largest);
  _mm512_store_ps(running.sum, sum);
  if (block.first_key == 0) return;
  for (std::int64_t d = 0; d < dims; ++d) {
    float* row = sums + d * kLanes;
    _mm512_store_ps(row, _mm512_mul_ps(_mm512_load_ps(row), factor));
  }
}

RW_AVX512 void probabilities(const KeyBlock& block, std::int64_t panel,
                             const ProbabilityLanes& at) {
  const std::int64_t keys = block.keys(panel);
  if (keys <= 0) return;
  mask16(block.first_key, block.first_query + panel * kLanes, keys, at.scores);
  const __m512 lse = _mm512_load_ps(at.lse);
  const __m512 along = _mm512_load_ps(at.along);
  for (std::int64_t k = 0; k < keys; ++k) {
    float* score = at.scores + k * kLanes;
    float* dscore = at.dscores + k * kLanes;
    const __m512 p = exp16(_mm512_sub_ps(_mm512_load_ps(score), lse));
    _mm512_store_ps(score, p);
    _mm512_store_ps(dscore, _mm512_mul_ps(p, _mm512_sub_ps(_mm512_load_ps(dscore), along)));
  }
}

/// The weights of six keys, [6, 16] for every panel of queries from `first` on, times the queries' rows.
template <int kDimPanels>
RW_AVX512_INLINE void add_rows(std::int64_t first, const KeySum& sum, std::int64_t stride) {
  GemmTile512<kDimPanels> tile;
  tile.clear();
  for (std::int64_t g = first; g < kGroup; ++g) {
    tile.add_sixteen(sum.weights + g * kKeys * kLanes,
                     {sum.panels + g * kLanes * kLanes, kPanelQueries * kLanes});
  }
  tile.add_to(sum.to, stride);
}

RW_AVX512 void add_keys(const KeyBlock& block, const BackwardRoom& room) {
  const KeySum sums[] = {{room.p, room.dout_rows, room.dv}, {room.ds, room.q_rows, room.dk}};
  const std::int64_t dims = room.key_dims();
  for (std::int64_t key = 0; key < block.keys(kGroup - 1); key += kTileRows) {
    const std::int64_t first = first_panel(block, key);
    for (const KeySum& sum : sums) {
      for (std::int64_t d = 0; d < dims; d += kPanels * kLanes) {
        const KeySum at{sum.weights + key * kLanes, sum.panels + d * kPanelQueries,
                        sum.to + (block.first_key + key) * dims + d};
        with_panels((dims - d) / kLanes, [&](auto panels) RW_AVX512 {
          add_rows<decltype(panels)::value>(first, at, dims);
        });
      }
    }
  }
}

}  // namespace

const PanelKernels kPanelKernels512{scores, weigh, take_block, probabilities, add_keys};

}  // namespace rw::kernels
