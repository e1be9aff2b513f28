// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/attention/panels.h"
#include "kernels/matmul/gemm_tile.h"

namespace rw::kernels {

inline constexpr std::int64_t kLanes = kTileColumns;  // queries of one panel
inline constexpr std::int64_t kGroup =
    kPanelQueries / kLanes;                 // panels of queries that go together
inline constexpr std::int64_t kKeys = 384;  // of one block: a multiple of six

inline std::int64_t panel_round_up(std::int64_t x, std::int64_t to) {
  return (x + to - 1) / to * to;
}

/// Sizes of the packed arrays of one key/value head and one group of queries.
struct PanelRoom {
  std::int64_t tokens = 0, width = 0;
  std::int64_t elems = 0;  // taken so far

  std::int64_t row_elems() const { return panel_round_up(tokens, kTileRows) * width; }
  std::int64_t column_elems() const { return panel_round_up(width, kTileRows) * tokens; }
  std::int64_t query_elems() const { return kGroup * width * kLanes; }
  std::int64_t dims() const { return panel_round_up(width, kTileRows); }  // of sums: whole sixes
  std::int64_t sum_elems() const { return kGroup * dims() * kLanes; }
  std::int64_t key_dims() const { return panel_round_up(width, kLanes); }
  std::int64_t key_sum_elems() const { return panel_round_up(tokens, kTileRows) * key_dims(); }
  std::int64_t block_elems() const { return kGroup * kKeys * kLanes; }
  std::int64_t row_panel_elems() const { return key_dims() * kPanelQueries; }

  /// The next `count` floats of scratch; nullptr where only the size is wanted.
  float* take(float* scratch, std::int64_t count) {
    float* at = scratch == nullptr ? nullptr : scratch + elems;
    elems += panel_round_up(count, kLanes);
    return at;
  }
};

struct ForwardRoom : PanelRoom {
  float *k, *v;      // [T/6, Dh, 6], [Dh/6, T, 6]
  float *q, *p, *o;  // [4, Dh, 16], [4, keys, 16], [4, dims, 16]
  ForwardRoom(std::int64_t t, std::int64_t d, float* scratch) : PanelRoom{t, d} {
    k = take(scratch, row_elems());
    v = take(scratch, column_elems());
    q = take(scratch, query_elems());
    p = take(scratch, block_elems());
    o = take(scratch, sum_elems());
  }
};

struct BackwardRoom : PanelRoom {
  float *k, *v, *k_columns;   // [T/6, Dh, 6] twice, [Dh/6, T, 6]
  float *q, *dout;            // [4, Dh, 16]
  float *q_rows, *dout_rows;  // [Dh/16, 64, 16]
  float *p, *ds, *dq;         // [4, keys, 16] twice, [4, dims, 16]
  float *dk, *dv;             // sums of the head, [T/6 * 6, key_dims]
  float* turned;              // [64, 6]
  BackwardRoom(std::int64_t t, std::int64_t d, float* scratch) : PanelRoom{t, d} {
    k = take(scratch, row_elems());
    v = take(scratch, row_elems());
    k_columns = take(scratch, column_elems());
    q = take(scratch, query_elems());
    dout = take(scratch, query_elems());
    q_rows = take(scratch, row_panel_elems());
    dout_rows = take(scratch, row_panel_elems());
    p = take(scratch, block_elems());
    ds = take(scratch, block_elems());
    dq = take(scratch, sum_elems());
    dk = take(scratch, key_sum_elems());
    dv = take(scratch, key_sum_elems());
    turned = take(scratch, kPanelQueries * kTileRows);
  }
};

/// Keys of one block that one panel of queries is computed with: whole sixes.
struct KeyBlock {
  std::int64_t first_key, first_query, tokens;
  std::int64_t keys(std::int64_t panel) const {
    const std::int64_t seen = std::min(tokens, first_query + (panel + 1) * kLanes) - first_key;
    return std::min(kKeys, panel_round_up(std::max<std::int64_t>(seen, 0), kTileRows));
  }
  std::int64_t real(std::int64_t keys) const { return std::min(keys, tokens - first_key); }
};

/// What grows by weightsᵀ [keys, 64] · panels [64, Dh].
struct KeySum {
  const float *weights, *panels;
  float* to;
};

/// Largest score and sum of exponentials of sixteen queries so far.
struct SoftmaxLanes {
  alignas(64) float largest[kLanes];
  alignas(64) float sum[kLanes] = {};
  SoftmaxLanes() { std::fill_n(largest, kLanes, -std::numeric_limits<float>::infinity()); }
  float log_sum(std::int64_t lane) const {
    return static_cast<float>(static_cast<double>(largest[lane]) +
                              std::log(static_cast<double>(sum[lane])));
  }
};

/// scores and dscores [keys, 16] of one panel, lse and along [16].
struct ProbabilityLanes {
  const float *lse, *along;
  float *scores, *dscores;
};

/// What attention on panels consists of, once per instruction set; all give the same bits.
struct PanelKernels {
  /// to [4, keys, 16] = packed keys times packed queries, tile by tile, none above the diagonal.
  void (*scores)(const KeyBlock& block, const float* packed, const float* queries,
                 std::int64_t width, float* to);
  /// sums [4, dims, 16] += columns [Dh/6, T, 6] over this block's keys times weights [4, keys, 16].
  void (*weigh)(const KeyBlock& block, const float* columns, const float* weights,
                const PanelRoom& room, float* sums);
  /// Makes exponentials of the scores of one panel and takes them into the running softmax; what was
  /// summed before is scaled.
  void (*take_block)(const KeyBlock& block, std::int64_t panel, float* scores,
                     SoftmaxLanes& running, float* sums, std::int64_t dims);
  /// The scores of one panel become probabilities p = exp(score − lse), dscores p · (dscores − along).
  void (*probabilities)(const KeyBlock& block, std::int64_t panel, const ProbabilityLanes& at);
  /// dv += pᵀ · dout and dk += dsᵀ · q over the queries of one group.
  void (*add_keys)(const KeyBlock& block, const BackwardRoom& room);
};
/// The best for this CPU.
const PanelKernels& panel_kernels();
extern const PanelKernels kPanelKernelsAvx2, kPanelKernels512;

}  // namespace rw::kernels
