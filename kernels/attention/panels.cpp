// Part of Ropewalk, MIT licence.
#include "kernels/attention/panels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/panel_math.h"

namespace rw::kernels {
namespace {

using core::BF16;

constexpr std::int64_t kGroup = kPanelQueries / kLanes;  // panels of queries that go together
constexpr std::int64_t kKeys = 384;                      // of one block: a multiple of six

std::int64_t round_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }

/// Sizes of the packed arrays of one key/value head and one group of queries.
struct Room {
  std::int64_t tokens = 0, width = 0;
  std::int64_t elems = 0;  // taken so far

  std::int64_t row_elems() const { return round_up(tokens, kTileRows) * width; }
  std::int64_t column_elems() const { return round_up(width, kTileRows) * tokens; }
  std::int64_t query_elems() const { return kGroup * width * kLanes; }
  std::int64_t dims() const { return round_up(width, 24); }  // of sums: whole sixes, whole eights
  std::int64_t sum_elems() const { return kGroup * dims() * kLanes; }
  std::int64_t block_elems() const { return kGroup * kKeys * kLanes; }
  std::int64_t row_panel_elems() const { return round_up(width, kLanes) * kPanelQueries; }

  /// The next `count` floats of scratch; nullptr where only the size is wanted.
  float* take(float* scratch, std::int64_t count) {
    float* at = scratch == nullptr ? nullptr : scratch + elems;
    elems += round_up(count, kLanes);
    return at;
  }
};

struct ForwardRoom : Room {
  float *k, *v;      // [T/6, Dh, 6], [Dh/6, T, 6]
  float *q, *p, *o;  // [4, Dh, 16], [4, keys, 16], [4, dims, 16]
  float* rows;       // [16, dims]
  ForwardRoom(std::int64_t t, std::int64_t d, float* scratch) : Room{t, d} {
    k = take(scratch, row_elems());
    v = take(scratch, column_elems());
    q = take(scratch, query_elems());
    p = take(scratch, block_elems());
    o = take(scratch, sum_elems());
    rows = take(scratch, kLanes * dims());
  }
};

struct BackwardRoom : Room {
  float *k, *v, *k_columns;   // [T/6, Dh, 6] twice, [Dh/6, T, 6]
  float *q, *dout;            // [4, Dh, 16]
  float *q_rows, *dout_rows;  // [Dh/16, 64, 16]
  float *p, *ds, *dq;         // [4, keys, 16] twice, [4, dims, 16]
  float *turned, *rows;       // [64, 6], [16, dims]
  BackwardRoom(std::int64_t t, std::int64_t d, float* scratch) : Room{t, d} {
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
    turned = take(scratch, kPanelQueries * kTileRows);
    rows = take(scratch, kLanes * dims());
  }
};

float score_scale(std::int64_t width) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
}

/// Keys of one block that one panel of queries is computed with: whole sixes.
struct Block {
  std::int64_t first_key, first_query, tokens;
  std::int64_t keys(std::int64_t panel) const {
    const std::int64_t seen = std::min(tokens, first_query + (panel + 1) * kLanes) - first_key;
    return std::min(kKeys, round_up(std::max<std::int64_t>(seen, 0), kTileRows));
  }
  std::int64_t real(std::int64_t keys) const { return std::min(keys, tokens - first_key); }
};

/// to [4, keys, 16] = packed keys times packed queries, tile by tile, none above the diagonal.
RW_AVX2 void scores(const Block& block, const float* packed, const float* queries,
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

/// sums [4, dims, 16] += columns [Dh/6, T, 6] over this block's keys times weights [4, keys, 16].
RW_AVX2 void weigh(const Block& block, const float* columns, const float* weights, const Room& room,
                   float* sums) {
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

/// Writes the sums of one panel, [dims, 16], as rows of the result, at most kLanes of them.
template <class T>
RW_AVX2 void write_rows(const float* sums, const Room& room, std::int64_t rows, float* turned,
                        const MutableHeadRows<T>& to, std::int64_t first) {
  for (std::int64_t d = 0; d < room.width; d += 8) {
    turn8(sums + d * kLanes, kLanes, turned + d, room.dims());
    turn8(sums + d * kLanes + 8, kLanes, turned + 8 * room.dims() + d, room.dims());
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* from = turned + i * room.dims();
    T* row = to.row(first + i);
    std::int64_t d = 0;
    for (; d + 8 <= room.width; d += 8) store8(row + d, _mm256_loadu_ps(from + d));
    for (; d < room.width; ++d) row[d] = T(from[d]);
  }
}

/// Makes exponentials of the scores of one panel and takes them into the running softmax; what was
/// summed before is scaled.
RW_AVX2 void take_block(const Block& block, std::int64_t panel, float* scores,
                        SoftmaxLanes& running, float* sums, std::int64_t dims) {
  const std::int64_t keys = block.keys(panel);
  if (keys <= 0) return;
  mask_scores(block.first_key, block.first_query + panel * kLanes, keys, scores);
  const SoftmaxLanes::Factor factor = running.take(scores, keys);
  if (block.first_key == 0) return;
  for (std::int64_t d = 0; d < dims; ++d) factor.apply(sums + d * kLanes);
}

template <class T>
RW_AVX2 void pack_forward(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                          std::int64_t head_dim, float* scratch) {
  const ForwardRoom room(tokens, head_dim, scratch);
  pack_rows(k, tokens, head_dim, room.k);
  pack_columns(v, tokens, head_dim, room.v);
}
template <class T>
RW_AVX2 void pack_backward(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                           std::int64_t head_dim, float* scratch) {
  const BackwardRoom room(tokens, head_dim, scratch);
  pack_rows(k, tokens, head_dim, room.k);
  pack_rows(v, tokens, head_dim, room.v);
  pack_columns(k, tokens, head_dim, room.k_columns);
}

template <class T>
RW_AVX2 void forward_group(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                           float* scratch) {
  const std::int64_t width = head.head_dim;
  const ForwardRoom room(tokens, width, scratch);
  pack_queries(head.q, begin, tokens, width, score_scale(width), room.q);
  std::fill_n(room.o, room.sum_elems(), 0.0F);
  SoftmaxLanes running[kGroup];
  const std::int64_t seen = std::min(tokens, begin + kPanelQueries);
  for (std::int64_t key = 0; key < seen; key += kKeys) {
    const Block block{key, begin, tokens};
    scores(block, room.k, room.q, width, room.p);
    for (std::int64_t g = 0; g < kGroup; ++g) {
      take_block(block, g, room.p + g * kKeys * kLanes, running[g],
                 room.o + g * room.dims() * kLanes, room.dims());
    }
    weigh(block, room.v, room.p, room, room.o);
  }
  for (std::int64_t g = 0; g < kGroup && begin + g * kLanes < tokens; ++g) {
    const std::int64_t first = begin + g * kLanes;
    const std::int64_t rows = std::min(kLanes, tokens - first);
    float* sums = room.o + g * room.dims() * kLanes;
    const SoftmaxLanes::Factor factor = running[g].inverse();
    for (std::int64_t d = 0; d < room.dims(); ++d) factor.apply(sums + d * kLanes);
    write_rows(sums, room, rows, room.rows, head.out, first);
    for (std::int64_t i = 0; i < rows && head.lse != nullptr; ++i) {
      head.lse[first + i] = running[g].log_sum(i);
    }
  }
}

/// What grows by weightsᵀ [keys, 64] · panels [64, Dh].
struct KeySum {
  const float *weights, *panels;
  MutableHeadRows<float> to;
};

/// dv += pᵀ · dout and dk += dsᵀ · q over the queries of one group.
RW_AVX2 void add_keys(const Block& block, const BackwardRoom& room,
                      const MutableHeadRows<float>& dk, const MutableHeadRows<float>& dv) {
  const KeySum sums[] = {{room.p, room.dout_rows, dv}, {room.ds, room.q_rows, dk}};
  for (std::int64_t key = 0; key < block.keys(kGroup - 1); key += kTileRows) {
    std::int64_t first = 0;  // panel that sees these keys
    while (key >= block.keys(first)) ++first;
    const std::int64_t rows = block.real(key + kTileRows) - key;
    const std::int64_t depth = (kGroup - first) * kLanes;
    for (const KeySum& sum : sums) {
      for (std::int64_t g = first; g < kGroup; ++g) {
        pack_panel<kTileRows>(PanelSource<float>{sum.weights + (g * kKeys + key) * kLanes, kLanes,
                                                 1, kTileRows, kLanes},
                              room.turned + (g - first) * kLanes * kTileRows);
      }
      for (std::int64_t d = 0; d < room.width; d += kLanes) {
        GemmTile tile;
        gemm_tile(room.turned, sum.panels + d * kPanelQueries + first * kLanes * kLanes, depth,
                  tile);
        store_tile(tile, sum.to.row(block.first_key + key) + d, sum.to.stride, rows,
                   std::min(kLanes, room.width - d), Accumulate::kYes);
      }
    }
  }
}

template <class T>
RW_AVX2 void backward_group(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                            float* scratch) {
  const std::int64_t width = head.head_dim;
  const float scale = score_scale(width);
  const BackwardRoom room(tokens, width, scratch);
  pack_queries(head.q, begin, tokens, width, scale, room.q);
  pack_queries(head.dout, begin, tokens, width, 1.0F, room.dout);
  pack_query_rows(head.q, begin, tokens, width, scale, room.q_rows);
  pack_query_rows(head.dout, begin, tokens, width, 1.0F, room.dout_rows);
  std::fill_n(room.dq, room.sum_elems(), 0.0F);
  alignas(32) float lse[kPanelQueries] = {};
  alignas(32) float along[kPanelQueries] = {};
  for (std::int64_t i = 0; i < std::min(kPanelQueries, tokens - begin); ++i) {
    lse[i] = head.lse[begin + i];
    along[i] = dot(head.dout.row(begin + i), head.out.row(begin + i), width);
  }
  const std::int64_t seen = std::min(tokens, begin + kPanelQueries);
  for (std::int64_t key = 0; key < seen; key += kKeys) {
    const Block block{key, begin, tokens};
    scores(block, room.k, room.q, width, room.p);
    scores(block, room.v, room.dout, width, room.ds);
    for (std::int64_t g = 0; g < kGroup; ++g) {
      const std::int64_t at = g * kKeys * kLanes;
      if (block.keys(g) <= 0) continue;
      mask_scores(key, begin + g * kLanes, block.keys(g), room.p + at);
      probabilities({lse + g * kLanes, along + g * kLanes, room.p + at, room.ds + at},
                    block.keys(g));
    }
    weigh(block, room.k_columns, room.ds, room, room.dq);
    add_keys(block, room, head.dk, head.dv);
  }
  for (std::int64_t g = 0; g < kGroup && begin + g * kLanes < tokens; ++g) {
    float* sums = room.dq + g * room.dims() * kLanes;
    for (std::int64_t i = 0; i < room.dims() * kLanes; ++i) sums[i] *= scale;
    const std::int64_t first = begin + g * kLanes;
    write_rows(sums, room, std::min(kLanes, tokens - first), room.rows, head.dq, first);
  }
}

}  // namespace

std::int64_t forward_panel_elems(std::int64_t tokens, std::int64_t head_dim) {
  return ForwardRoom(tokens, head_dim, nullptr).elems;
}
std::int64_t backward_panel_elems(std::int64_t tokens, std::int64_t head_dim) {
  return BackwardRoom(tokens, head_dim, nullptr).elems;
}

template <class T>
void pack_forward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                       std::int64_t head_dim, float* scratch) {
  pack_forward(k, v, tokens, head_dim, scratch);
}
template <class T>
void pack_backward_keys(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                        std::int64_t head_dim, float* scratch) {
  pack_backward(k, v, tokens, head_dim, scratch);
}
template <class T>
void attention_forward_panels(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                              float* scratch) {
  forward_group(head, begin, tokens, scratch);
}
template <class T>
void attention_backward_panels(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                               float* scratch) {
  backward_group(head, begin, tokens, scratch);
}

template void pack_forward_keys(const HeadRows<float>&, const HeadRows<float>&, std::int64_t,
                                std::int64_t, float*);
template void pack_forward_keys(const HeadRows<BF16>&, const HeadRows<BF16>&, std::int64_t,
                                std::int64_t, float*);
template void pack_backward_keys(const HeadRows<float>&, const HeadRows<float>&, std::int64_t,
                                 std::int64_t, float*);
template void pack_backward_keys(const HeadRows<BF16>&, const HeadRows<BF16>&, std::int64_t,
                                 std::int64_t, float*);
template void attention_forward_panels(const ForwardHead<float>&, std::int64_t, std::int64_t,
                                       float*);
template void attention_forward_panels(const ForwardHead<BF16>&, std::int64_t, std::int64_t,
                                       float*);
template void attention_backward_panels(const BackwardHead<float>&, std::int64_t, std::int64_t,
                                        float*);
template void attention_backward_panels(const BackwardHead<BF16>&, std::int64_t, std::int64_t,
                                        float*);

}  // namespace rw::kernels
