// Part of Ropewalk, MIT licence.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/heads.h"
#include "kernels/attention/panel_packs.h"
#include "kernels/matmul/gemm_bf16.h"

namespace rw::kernels {
namespace {

using core::BF16;

constexpr std::int64_t kTile = 32;  // keys, queries or dimensions of one product
constexpr std::int64_t kSquare = kTile * kTile;
constexpr std::int64_t kForwardKeys = 512;  // of one block
constexpr std::int64_t kBackwardTiles = 4;  // of queries in a group, and of keys in a block
constexpr std::int64_t kBackwardQueries = kBackwardTiles * kTile;
constexpr float kLog2E = 1.44269504F;

/// Sizes of the packed arrays of one key/value head and one group of queries.
struct Bf16Room {
  std::int64_t tokens = 0, width = 0;
  std::int64_t elems = 0;  // floats taken so far

  std::int64_t keys() const { return DotEngine::packed_depth(tokens); }
  std::int64_t dims() const { return DotEngine::packed_depth(width); }
  std::int64_t key_elems() const { return keys() * dims(); }

  float* take(float* scratch, std::int64_t count) {
    float* at = scratch == nullptr ? nullptr : scratch + elems;
    elems += count;
    return at;
  }
  BF16* take_bf16(float* scratch, std::int64_t count) {
    return reinterpret_cast<BF16*>(take(scratch, count / 2));
  }
};

/// Panels as Bf16Squares packs them; beside each, what its rows (left operands) or columns (right
/// ones) and its depth are.
struct Bf16ForwardRoom : Bf16Room {
  BF16 *k, *v;    // left: keys, dims; dims, keys
  BF16 *q, *p;    // right: queries, dims; queries, keys
  float* scores;  // [keys of a block, 32]
  float* o;       // [2, dims, 16]
  Bf16ForwardRoom(std::int64_t t, std::int64_t d, float* scratch) : Bf16Room{t, d} {
    k = take_bf16(scratch, key_elems());
    v = take_bf16(scratch, key_elems());
    q = take_bf16(scratch, kTile * dims());
    p = take_bf16(scratch, kTile * kForwardKeys);
    scores = take(scratch, kTile * kForwardKeys);
    o = take(scratch, kTile * dims());
  }
};

struct Bf16BackwardRoom : Bf16Room {
  BF16 *k, *v, *k_columns;         // left: keys, dims (twice); dims, keys
  BF16 *q, *dout;                  // right: queries, dims
  BF16 *q_columns, *dout_columns;  // right: dims, queries
  BF16 *p, *ds;                    // left: keys of a block, queries
  BF16* ds_columns;                // right: queries, keys of a block
  float* dq;                       // [2, dims, 16] for every tile of queries
  float *dk, *dv;                  // sums of the head, [keys, dims]
  Bf16BackwardRoom(std::int64_t t, std::int64_t d, float* scratch) : Bf16Room{t, d} {
    k = take_bf16(scratch, key_elems());
    v = take_bf16(scratch, key_elems());
    k_columns = take_bf16(scratch, key_elems());
    q = take_bf16(scratch, kBackwardQueries * dims());
    dout = take_bf16(scratch, kBackwardQueries * dims());
    q_columns = take_bf16(scratch, kBackwardQueries * dims());
    dout_columns = take_bf16(scratch, kBackwardQueries * dims());
    p = take_bf16(scratch, kBackwardTiles * kBackwardTiles * kSquare);
    ds = take_bf16(scratch, kBackwardTiles * kBackwardTiles * kSquare);
    ds_columns = take_bf16(scratch, kBackwardTiles * kBackwardTiles * kSquare);
    dq = take(scratch, kBackwardQueries * dims());
    dk = take(scratch, key_elems());
    dv = take(scratch, key_elems());
  }
};

/// Rows of a head as panels of tiles. Left and right as in a product; kYes: rows of the head are the depth.
RW_BF16_INLINE void pack_left(const HeadRows<BF16>& rows, std::int64_t count, std::int64_t width,
                              Transpose turned, BF16* to) {
  const bool deep = turned == Transpose::kYes;
  DotEngine::pack_a({rows.data, rows.stride, turned},
                    {0, deep ? width : count, 0, 0, 0, deep ? count : width}, to);
}
RW_BF16_INLINE void pack_right(const HeadRows<BF16>& rows, std::int64_t count, std::int64_t width,
                               Transpose turned, BF16* to) {
  const bool deep = turned == Transpose::kNo;
  DotEngine::pack_b({rows.data, rows.stride, turned},
                    {0, 0, 0, deep ? width : count, 0, deep ? count : width}, to);
}

/// 2^x for x <= 0, 0 below 2^-126 and where a lane is not in `seen`. Relative error 1.7e-7, of 2^0 none.
RW_BF16_INLINE __m512 exp2_of(__m512 x, __mmask16 seen) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(0.00132647273F);
  for (const float c : {0.00967151299F, 0.0555073358F, 0.240222424F, 0.693147004F, 1.0F}) {
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  }
  seen = _mm512_mask_cmp_ps_mask(seen, x, _mm512_set1_ps(-126.0F), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(seen, p, n);
}

/// Lanes of half `half` of a tile of queries that see key `key` of the tile on the diagonal.
RW_BF16_INLINE __mmask16 lanes_from(std::int64_t key, std::int64_t half) {
  const std::int64_t hidden = std::clamp<std::int64_t>(key - 16 * half, 0, 16);
  return static_cast<__mmask16>(0xffffU << hidden);
}

struct RunningSoftmax {
  alignas(64) float largest[kTile];
  alignas(64) float sum[kTile] = {};
  RunningSoftmax() { std::fill_n(largest, kTile, -std::numeric_limits<float>::infinity()); }
};

/// Hides the keys behind each query in the tile on the diagonal.
RW_BF16 void hide(float* scores) {
  const __m512 never = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (std::int64_t key = 1; key < kTile; ++key) {
    for (std::int64_t half = 0; half < 2; ++half) {
      const auto hidden = static_cast<__mmask16>(~lanes_from(key, half));
      _mm512_mask_store_ps(scores + key * kTile + half * 16, hidden, never);
    }
  }
}

RW_BF16_INLINE __m512 largest_of(const float* scores, std::int64_t keys, __m512 before) {
  __m512 most[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) most[i] = before;
  for (std::int64_t k = 0; k < keys; k += 8) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      most[i] = _mm512_max_ps(most[i], _mm512_load_ps(scores + (k + i) * kTile));
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) most[i] = _mm512_max_ps(most[i], most[i + 4]);
  return _mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3]));
}

/// Takes one block of scores into the running softmax; p becomes its exponentials, what was summed before is
/// scaled.
RW_BF16 void take_block(std::int64_t keys, float scale, RunningSoftmax& running, bool first,
                        const Bf16ForwardRoom& room) {
  const __m512 by = _mm512_set1_ps(scale * kLog2E);
  for (std::int64_t half = 0; half < 2; ++half) {
    const float* scores = room.scores + half * 16;
    const __m512 before = _mm512_load_ps(running.largest + half * 16);
    const __m512 largest = largest_of(scores, keys, before);
    const __m512 shift = _mm512_mul_ps(largest, by);
    const __m512 factor = exp2_of(_mm512_fmsub_ps(before, by, shift), 0xffff);
    __m512 even_sum = _mm512_mul_ps(_mm512_load_ps(running.sum + half * 16), factor);
    __m512 odd_sum = _mm512_setzero_ps();
    for (std::int64_t k = 0; k < keys; k += 2) {
      const float* at = scores + k * kTile;
      const __m512 even = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(at), by, shift), 0xffff);
      const __m512 odd = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(at + kTile), by, shift), 0xffff);
      even_sum = _mm512_add_ps(even_sum, even);
      odd_sum = _mm512_add_ps(odd_sum, odd);
      BF16* to = room.p + k / kTile * kSquare + half * 512 + k % kTile * 16;
      _mm512_store_si512(to, bf16_pairs(even, odd));
    }
    _mm512_store_ps(running.largest + half * 16, largest);
    _mm512_store_ps(running.sum + half * 16, _mm512_add_ps(even_sum, odd_sum));
    if (first) continue;
    for (std::int64_t d = 0; d < room.dims(); ++d) {
      float* row = room.o + (half * room.dims() + d) * 16;
      _mm512_store_ps(row, _mm512_mul_ps(_mm512_load_ps(row), factor));
    }
  }
}

/// Where the sums [dims, 32 queries] of dimensions d to d + 31 lie.
SquareSums dims_of(float* sums, std::int64_t dims, std::int64_t d) {
  return {sums + d * 16, 16, 16 * 16, dims * 16};
}

template <class Square>
RW_BF16_INLINE void add_tiles(bool first, const BF16* a, const BF16* b, std::int64_t depth,
                              const SquareSums& sums) {
  if (first) {
    Square::template multiply<Accumulate::kNo>(a, b, depth, sums);
  } else {
    Square::template multiply<Accumulate::kYes>(a, b, depth, sums);
  }
}

template <class Square>
RW_BF16 void forward(const ForwardHead<BF16>& head, std::int64_t begin, std::int64_t tokens,
                     float* scratch) {
  const std::int64_t width = head.head_dim;
  const Bf16ForwardRoom room(tokens, width, scratch);
  const std::int64_t queries = std::min(kTile, tokens - begin);
  const float scale = score_scale(width);
  pack_right({head.q.row(begin), head.q.stride}, queries, width, Transpose::kYes, room.q);
  RunningSoftmax running;
  Square::begin();
  for (std::int64_t first = 0; first < begin + kTile; first += kForwardKeys) {
    const std::int64_t keys = std::min(kForwardKeys, begin + kTile - first);
    for (std::int64_t key = 0; key < keys; key += kTile) {
      Square::template multiply<Accumulate::kNo>(
          room.k + (first + key) * room.dims(), room.q, room.dims(),
          {room.scores + key * kTile, kTile, 16 * kTile, 16});
    }
    if (first + keys > begin) hide(room.scores + (begin - first) * kTile);
    take_block(keys, scale, running, first == 0, room);
    for (std::int64_t d = 0; d < room.dims(); d += kTile) {
      add_tiles<Square>(first == 0, room.v + d * room.keys() + first * kTile, room.p, keys,
                        dims_of(room.o, room.dims(), d));
    }
  }
  Square::end();
  for (std::int64_t half = 0; half * 16 < queries; ++half) {
    alignas(64) float factors[16];
    for (std::int64_t i = 0; i < 16; ++i) factors[i] = 1.0F / running.sum[half * 16 + i];
    const std::int64_t at = begin + half * 16;
    panel_packs<BF16>().write(room.o + half * room.dims() * 16, factors, width,
                              std::min<std::int64_t>(16, tokens - at),
                              {head.out.row(at), head.out.stride});
  }
  for (std::int64_t i = 0; i < queries && head.lse != nullptr; ++i) {
    head.lse[begin + i] =
        static_cast<float>(static_cast<double>(running.largest[i]) * static_cast<double>(scale) +
                           std::log(static_cast<double>(running.sum[i])));
  }
}

/// Of the queries of a tile: lse in powers of two, and along times the scale.
struct TileQueries {
  const float *lse, *along;
  float scale;
};
/// Where what comes of one tile of keys and one of queries goes.
struct TileProbabilities {
  BF16 *p, *ds, *ds_columns;
};

/// Scores and products of dout with the values [32 keys, 32 queries] become p = exp(score - lse) and
/// ds = p (product - along) times the scale. kDiagonal: keys behind a query are hidden.
template <bool kDiagonal>
RW_BF16_INLINE void take_tile(const float* scores, const float* products, const TileQueries& of,
                              const TileProbabilities& to) {
  const __m512 by = _mm512_set1_ps(of.scale * kLog2E);
  const __m512 scale = _mm512_set1_ps(of.scale);
  const __m512 lse[] = {_mm512_load_ps(of.lse), _mm512_load_ps(of.lse + 16)};
  const __m512 along[] = {_mm512_load_ps(of.along), _mm512_load_ps(of.along + 16)};
  for (std::int64_t key = 0; key < kTile; key += 2) {
    __m512 p[2][2], ds[2][2];  // of two keys and two halves of the queries
#pragma GCC unroll 2
    for (int odd = 0; odd < 2; ++odd) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const std::int64_t at = (key + odd) * kTile + half * 16;
        const __mmask16 seen = kDiagonal ? lanes_from(key + odd, half) : __mmask16{0xffff};
        const __m512 x = _mm512_fmsub_ps(_mm512_load_ps(scores + at), by, lse[half]);
        p[odd][half] = exp2_of(x, seen);
        const __m512 y = _mm512_fmsub_ps(_mm512_load_ps(products + at), scale, along[half]);
        ds[odd][half] = _mm512_mul_ps(p[odd][half], y);
      }
      const std::int64_t row = (key + odd) * kTile;
      _mm512_store_si512(to.p + row, (__m512i)_mm512_cvtne2ps_pbh(p[odd][1], p[odd][0]));
      _mm512_store_si512(to.ds + row, (__m512i)_mm512_cvtne2ps_pbh(ds[odd][1], ds[odd][0]));
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      _mm512_store_si512(to.ds_columns + half * 512 + key * 16,
                         bf16_pairs(ds[0][half], ds[1][half]));
    }
  }
}

/// One group of queries while a block of keys passes: keys and queries in tiles.
struct QueryGroup {
  const Bf16BackwardRoom& room;
  std::int64_t tile, tiles;  // the first of its queries, and how many
  TileQueries queries;

  std::int64_t first_that_sees(std::int64_t key_tile) const {
    return std::max<std::int64_t>(0, key_tile - tile);
  }
  std::int64_t depth() const { return tiles * kTile; }
};

/// p, ds and ds_columns of a block of keys.
template <class Square>
RW_BF16 void take_keys(const QueryGroup& group, std::int64_t first, std::int64_t key_tiles) {
  const Bf16BackwardRoom& room = group.room;
  const std::int64_t panel = kTile * room.dims();
  alignas(64) float scores[kSquare];
  alignas(64) float products[kSquare];
  const SquareSums to_scores{scores, kTile, 16 * kTile, 16};
  const SquareSums to_products{products, kTile, 16 * kTile, 16};
  for (std::int64_t k = 0; k < key_tiles; ++k) {
    for (std::int64_t i = group.first_that_sees(first + k); i < group.tiles; ++i) {
      Square::template multiply<Accumulate::kNo>(room.k + (first + k) * panel, room.q + i * panel,
                                                 room.dims(), to_scores);
      Square::template multiply<Accumulate::kNo>(room.v + (first + k) * panel,
                                                 room.dout + i * panel, room.dims(), to_products);
      const TileQueries of{group.queries.lse + i * kTile, group.queries.along + i * kTile,
                           group.queries.scale};
      const std::int64_t by_key = (k * kBackwardTiles + i) * kSquare;
      const std::int64_t by_query = (i * kBackwardTiles + k) * kSquare;
      const TileProbabilities to{room.p + by_key, room.ds + by_key, room.ds_columns + by_query};
      if (first + k == group.tile + i) {
        take_tile<true>(scores, products, of, to);
      } else {
        take_tile<false>(scores, products, of, to);
      }
    }
  }
}

/// dv += p · dout and dk += ds · q over the queries of the group, dq += ds · k over the block of keys.
template <class Square>
RW_BF16 void add_products(const QueryGroup& group, std::int64_t first, std::int64_t key_tiles) {
  const Bf16BackwardRoom& room = group.room;
  const std::int64_t dims = room.dims();
  for (std::int64_t k = 0; k < key_tiles; ++k) {
    const std::int64_t from = group.first_that_sees(first + k);
    const std::int64_t left = (k * kBackwardTiles + from) * kSquare;
    const std::int64_t depth = (group.tiles - from) * kTile;
    for (std::int64_t d = 0; d < dims; d += kTile) {
      const std::int64_t right = d * group.depth() + from * kSquare;
      const std::int64_t at = (first + k) * kTile * dims + d;
      Square::template multiply<Accumulate::kYes>(room.p + left, room.dout_columns + right, depth,
                                                  {room.dv + at, dims, 16 * dims, 16});
      Square::template multiply<Accumulate::kYes>(room.ds + left, room.q_columns + right, depth,
                                                  {room.dk + at, dims, 16 * dims, 16});
    }
  }
  for (std::int64_t i = 0; i < group.tiles; ++i) {
    const std::int64_t seen = std::min(key_tiles, group.tile + i + 1 - first);
    if (seen <= 0) continue;
    for (std::int64_t d = 0; d < dims; d += kTile) {
      add_tiles<Square>(first == 0, room.k_columns + d * room.keys() + first * kSquare,
                        room.ds_columns + i * kBackwardTiles * kSquare, seen * kTile,
                        dims_of(room.dq + i * kTile * dims, dims, d));
    }
  }
}

template <class Square>
RW_BF16 void backward(const BackwardHead<BF16>& head, std::int64_t begin, std::int64_t tokens,
                      float* scratch) {
  const std::int64_t width = head.head_dim;
  const Bf16BackwardRoom room(tokens, width, scratch);
  const std::int64_t count = std::min(kBackwardQueries, tokens - begin);
  const HeadRows<BF16> q{head.q.row(begin), head.q.stride};
  const HeadRows<BF16> dout{head.dout.row(begin), head.dout.stride};
  pack_right(q, count, width, Transpose::kYes, room.q);
  pack_right(dout, count, width, Transpose::kYes, room.dout);
  pack_right(q, count, width, Transpose::kNo, room.q_columns);
  pack_right(dout, count, width, Transpose::kNo, room.dout_columns);
  alignas(64) float lse[kBackwardQueries] = {};
  alignas(64) float along[kBackwardQueries] = {};
  const float scale = score_scale(width);
  panel_packs<BF16>().dots({dout, count, width}, {head.out.row(begin), head.out.stride}, along);
  for (std::int64_t i = 0; i < count; ++i) {
    lse[i] = head.lse[begin + i] * kLog2E;
    along[i] *= scale;
  }
  const QueryGroup group{room, begin / kTile, (count + kTile - 1) / kTile, {lse, along, scale}};
  Square::begin();
  for (std::int64_t first = 0; first < group.tile + group.tiles; first += kBackwardTiles) {
    const std::int64_t key_tiles = std::min(kBackwardTiles, group.tile + group.tiles - first);
    take_keys<Square>(group, first, key_tiles);
    add_products<Square>(group, first, key_tiles);
  }
  Square::end();
  alignas(64) float ones[16];
  std::fill_n(ones, 16, 1.0F);
  for (std::int64_t i = 0; i < count; i += 16) {
    panel_packs<BF16>().write(room.dq + i * room.dims(), ones, width,
                              std::min<std::int64_t>(16, count - i),
                              {head.dq.row(begin + i), head.dq.stride});
  }
}

RW_BF16 void pack_forward_keys(const HeadRows<BF16>& k, const HeadRows<BF16>& v,
                               std::int64_t tokens, std::int64_t head_dim, float* scratch) {
  const Bf16ForwardRoom room(tokens, head_dim, scratch);
  pack_left(k, tokens, head_dim, Transpose::kNo, room.k);
  pack_left(v, tokens, head_dim, Transpose::kYes, room.v);
}
RW_BF16 void pack_backward_keys(const HeadRows<BF16>& k, const HeadRows<BF16>& v,
                                std::int64_t tokens, std::int64_t head_dim, float* scratch) {
  const Bf16BackwardRoom room(tokens, head_dim, scratch);
  pack_left(k, tokens, head_dim, Transpose::kNo, room.k);
  pack_left(v, tokens, head_dim, Transpose::kNo, room.v);
  pack_left(k, tokens, head_dim, Transpose::kYes, room.k_columns);
  std::fill_n(room.dk, room.key_elems(), 0.0F);
  std::fill_n(room.dv, room.key_elems(), 0.0F);
}
void write_key_gradients(const MutableHeadRows<BF16>& dk, const MutableHeadRows<BF16>& dv,
                         std::int64_t tokens, std::int64_t head_dim, float* scratch) {
  const Bf16BackwardRoom room(tokens, head_dim, scratch);
  write_rows(room.dk, room.dims(), tokens, head_dim, dk);
  write_rows(room.dv, room.dims(), tokens, head_dim, dv);
}

std::int64_t forward_elems(std::int64_t tokens, std::int64_t head_dim) {
  return Bf16ForwardRoom(tokens, head_dim, nullptr).elems;
}
std::int64_t backward_elems(std::int64_t tokens, std::int64_t head_dim) {
  return Bf16BackwardRoom(tokens, head_dim, nullptr).elems;
}

template <class Square>
constexpr HeadKernels<BF16> kHeads{kTile,           kBackwardQueries,  forward_elems,
                                   backward_elems,  pack_forward_keys, pack_backward_keys,
                                   forward<Square>, backward<Square>,  write_key_gradients};

}  // namespace

const HeadKernels<BF16> kAmxHeads = kHeads<AmxSquare<BF16>>;
const HeadKernels<BF16> kDotHeads = kHeads<DotSquare>;

}  // namespace rw::kernels
