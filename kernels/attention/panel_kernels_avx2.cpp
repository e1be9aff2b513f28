// Part of Ropewalk, MIT licence.
#include "kernels/attention/panel_kernels.h"
#include "kernels/attention/panel_math.h"
#include "kernels/matmul/gemm.h"

namespace rw::kernels {
namespace {

RW_AVX2 void scores(const KeyBlock& block, const float* packed, const float* queries,
                    std::int64_t width, float* to) {
  for (std::int64_t key = 0; key < block.keys(kGroup - 1); key += kTileRows) {
    const float* rows = packed + (block.first_key + key) * width;
    for (std::int64_t g = 0; g < kGroup; ++g) {
      if (key >= block.keys(g)) continue;
      GemmTile tile;
      gemm_tile(rows, queries + g * width * kLanes, width, tile);
      store_tile(tile, to + (g * kKeys + key) * kLanes, kLanes, kTileRows, kLanes, Accumulate::kNo);
    }
  }
}

RW_AVX2 void weigh(const KeyBlock& block, const float* columns, const float* weights,
                   const PanelRoom& room, float* sums) {
  for (std::int64_t d = 0; d < room.width; d += kTileRows) {
    const float* rows = columns + d * room.tokens + block.first_key * kTileRows;
    for (std::int64_t g = 0; g < kGroup; ++g) {
      const std::int64_t depth = block.real(block.keys(g));
      if (depth <= 0) continue;
      GemmTile tile;
      gemm_tile(rows, weights + g * kKeys * kLanes, depth, tile);
      store_tile(tile, sums + (g * room.dims() + d) * kLanes, kLanes, kTileRows, kLanes,
                 Accumulate::kYes);
    }
  }
}

RW_AVX2 void take_block(const KeyBlock& block, std::int64_t panel, float* scores,
                        SoftmaxLanes& running, float* sums, std::int64_t dims) {
  const std::int64_t keys = block.keys(panel);
  if (keys <= 0) return;
  mask_scores(block.first_key, block.first_query + panel * kLanes, keys, scores);
  const LaneFactor factor = take_scores(scores, keys, running);
  if (block.first_key == 0) return;
  for (std::int64_t d = 0; d < dims; ++d) factor.apply(sums + d * kLanes);
}

RW_AVX2 void probabilities(const KeyBlock& block, std::int64_t panel, const ProbabilityLanes& at) {
  const std::int64_t keys = block.keys(panel);
  if (keys <= 0) return;
  mask_scores(block.first_key, block.first_query + panel * kLanes, keys, at.scores);
  take_probabilities(at, keys);
}

RW_AVX2 void add_keys(const KeyBlock& block, const BackwardRoom& room) {
  const KeySum sums[] = {{room.p, room.dout_rows, room.dv}, {room.ds, room.q_rows, room.dk}};
  for (std::int64_t key = 0; key < block.keys(kGroup - 1); key += kTileRows) {
    std::int64_t first = 0;  // panel that sees these keys
    while (key >= block.keys(first)) ++first;
    const std::int64_t depth = (kGroup - first) * kLanes;
    for (const KeySum& sum : sums) {
      for (std::int64_t g = first; g < kGroup; ++g) {
        pack_panel<kTileRows>(PanelSource<float>{sum.weights + (g * kKeys + key) * kLanes, kLanes,
                                                 1, kTileRows, kLanes},
                              room.turned + (g - first) * kLanes * kTileRows);
      }
      float* to = sum.to + (block.first_key + key) * room.key_dims();
      for (std::int64_t d = 0; d < room.width; d += kLanes) {
        GemmTile tile;
        gemm_tile(room.turned, sum.panels + d * kPanelQueries + first * kLanes * kLanes, depth,
                  tile);
        store_tile(tile, to + d, room.key_dims(), kTileRows, kLanes, Accumulate::kYes);
      }
    }
  }
}

}  // namespace

const PanelKernels kPanelKernelsAvx2{scores, weigh, take_block, probabilities, add_keys};

const PanelKernels& panel_kernels() {
  return gemm_runs_here(GemmEngine::kAvx512) ? kPanelKernels512 : kPanelKernelsAvx2;
}

}  // namespace rw::kernels
