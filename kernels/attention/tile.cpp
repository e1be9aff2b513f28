// Part of Ropewalk, MIT licence.
#include "kernels/attention/tile.h"

#include <oneapi/dnnl/dnnl.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/dtype.h"
#include "kernels/multiversion.h"
#include "kernels/row_math.h"
#include "kernels/simd_math.h"

namespace rw::kernels {
namespace {

/// A block of a row-major matrix; `transposed` when the product reads it by columns.
struct Block {
  const float* data;
  std::int64_t stride;
  bool transposed = false;
};

/// c [m, n] = alpha · a [m, k] · b [k, n] + beta · c, on the calling thread: oneDNN runs
/// single-threaded inside a parallel region. It cannot fail for sizes that the caller has checked.
struct Product {
  std::int64_t m, n, k;
  float alpha, beta;
};
void multiply(const Product& by, const Block& a, const Block& b, float* c, std::int64_t stride) {
  dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', by.m, by.n, by.k, by.alpha, a.data,
             a.stride, b.data, b.stride, by.beta, c, stride);
}

/// Floats of scratch, given out from the front.
class Room {
 public:
  explicit Room(float* begin) : next_(begin) {}
  float* take(std::int64_t elems) { return std::exchange(next_, next_ + elems); }

 private:
  float* next_;
};

/// Rows of a head as f32: f32 ones where they lie, bf16 ones converted into room of their own.
template <class T>
class FloatRows {
 public:
  FloatRows(const HeadRows<T>& rows, std::int64_t most, std::int64_t width, Room& room)
      : rows_(rows), width_(width), room_(kConverts ? room.take(most * width) : nullptr) {}
  /// Rows [first, first + count); valid until the next call.
  Block load(std::int64_t first, std::int64_t count) const {
    if constexpr (kConverts) {
      for (std::int64_t i = 0; i < count; ++i) {
        row_convert(rows_.row(first + i), room_ + i * width_, width_);
      }
      return {room_, width_};
    } else {
      return {rows_.row(first), rows_.stride};
    }
  }

 private:
  static constexpr bool kConverts = !std::is_same_v<T, float>;
  HeadRows<T> rows_;
  std::int64_t width_;
  float* room_;
};

/// Rows that sums grow in: those of the result when they are f32, room for them otherwise.
template <class T>
MutableHeadRows<float> sums_of(const MutableHeadRows<T>& result, std::int64_t begin,
                               std::int64_t width, Room& room) {
  if constexpr (std::is_same_v<T, float>) {
    return {result.row(begin), result.stride};
  } else {
    return {room.take(kQueryTile * width), width};
  }
}
/// Rounds the sums of one tile into the result that begins with query `begin`.
template <class T>
void store(const MutableHeadRows<float>& sums, const MutableHeadRows<T>& result, std::int64_t begin,
           std::int64_t count, std::int64_t width) {
  if constexpr (!std::is_same_v<T, float>) {
    for (std::int64_t i = 0; i < count; ++i) row_convert(sums.row(i), result.row(begin + i), width);
  }
}

/// Largest score and sum of exponentials of each row so far.
struct RunningSoftmax {
  float largest[kQueryTile];
  double sum[kQueryTile];
};

/// Turns one row of scores into exponentials (0 from `visible` on) and takes it into the running
/// softmax; returns the factor for what was summed before.
float take_row(float* scores, std::int64_t visible, std::int64_t keys, float& largest,
               double& sum) {
  const std::int64_t seen = std::clamp<std::int64_t>(visible, 0, keys);
  std::fill(scores + seen, scores + keys, 0.0F);
  if (seen == 0) return 1.0F;
  const float before = largest;
  largest = std::max(before, row_max(scores, seen));
  const float factor = fast_exp(before - largest);
  sum = sum * static_cast<double>(factor) + row_exp(scores, largest, scores, seen);
  return factor;
}

/// scores: exp(score − lse) in place; dscores: P · (dP − along) · scale.
RW_CLONES void backward_row(float* scores, float* dscores, float lse, float along, float scale,
                            std::int64_t keys) {
#pragma omp simd
  for (std::int64_t i = 0; i < keys; ++i) {
    const float p = fast_exp(scores[i] - lse);
    scores[i] = p;
    dscores[i] = p * (dscores[i] - along) * scale;
  }
}

}  // namespace

template <class T>
void attention_forward_tile(const ForwardHead<T>& head, std::int64_t begin, std::int64_t end,
                            float* scratch) {
  const std::int64_t queries = end - begin;
  const std::int64_t width = head.head_dim;
  Room room(scratch);
  float* scores = room.take(kTileElems);
  const Block q = FloatRows<T>(head.q, kQueryTile, width, room).load(begin, queries);
  const FloatRows<T> k_rows(head.k, kKeyTile, width, room);
  const FloatRows<T> v_rows(head.v, kKeyTile, width, room);
  const MutableHeadRows<float> out = sums_of(head.out, begin, width, room);
  RunningSoftmax running;
  std::fill_n(running.largest, queries, -std::numeric_limits<float>::infinity());
  std::fill_n(running.sum, queries, 0.0);
  for (std::int64_t first = 0; first < end; first += kKeyTile) {
    const std::int64_t keys = std::min(kKeyTile, end - first);
    const Block k = k_rows.load(first, keys);
    multiply({queries, keys, width, score_scale(width), 0.0F}, q, {k.data, k.stride, true}, scores,
             keys);
    for (std::int64_t i = 0; i < queries; ++i) {
      const float factor = take_row(scores + i * keys, begin + i + 1 - first, keys,
                                    running.largest[i], running.sum[i]);
      if (first > 0) row_scale(out.row(i), factor, width);
    }
    multiply({queries, width, keys, 1.0F, first > 0 ? 1.0F : 0.0F}, {scores, keys},
             v_rows.load(first, keys), out.data, out.stride);
  }
  for (std::int64_t i = 0; i < queries; ++i) {
    row_scale(out.row(i), static_cast<float>(1.0 / running.sum[i]), width);
    if (head.lse != nullptr) {
      head.lse[begin + i] =
          static_cast<float>(static_cast<double>(running.largest[i]) + std::log(running.sum[i]));
    }
  }
  store(out, head.out, begin, queries, width);
}

template <class T>
void attention_backward_tile(const BackwardHead<T>& head, std::int64_t begin, std::int64_t end,
                             float* scratch) {
  const std::int64_t queries = end - begin;
  const std::int64_t width = head.head_dim;
  const float scale = score_scale(width);
  Room room(scratch);
  float* scores = room.take(kTileElems);
  float* dscores = room.take(kTileElems);
  const Block q = FloatRows<T>(head.q, kQueryTile, width, room).load(begin, queries);
  const Block dout = FloatRows<T>(head.dout, kQueryTile, width, room).load(begin, queries);
  const Block out = FloatRows<T>(head.out, kQueryTile, width, room).load(begin, queries);
  const FloatRows<T> k_rows(head.k, kKeyTile, width, room);
  const FloatRows<T> v_rows(head.v, kKeyTile, width, room);
  const MutableHeadRows<float> dq = sums_of(head.dq, begin, width, room);
  float along[kQueryTile];
  for (std::int64_t i = 0; i < queries; ++i) {
    along[i] = row_dot(dout.data + i * dout.stride, out.data + i * out.stride, width);
  }
  for (std::int64_t first = 0; first < end; first += kKeyTile) {
    const std::int64_t keys = std::min(kKeyTile, end - first);
    const Block k = k_rows.load(first, keys);
    const Block v = v_rows.load(first, keys);
    multiply({queries, keys, width, scale, 0.0F}, q, {k.data, k.stride, true}, scores, keys);
    multiply({queries, keys, width, 1.0F, 0.0F}, dout, {v.data, v.stride, true}, dscores, keys);
    for (std::int64_t i = 0; i < queries; ++i) {
      const std::int64_t seen = std::clamp<std::int64_t>(begin + i + 1 - first, 0, keys);
      float* row = scores + i * keys;
      float* drow = dscores + i * keys;
      backward_row(row, drow, head.lse[begin + i], along[i], scale, seen);
      std::fill(row + seen, row + keys, 0.0F);
      std::fill(drow + seen, drow + keys, 0.0F);
    }
    multiply({keys, width, queries, 1.0F, 1.0F}, {scores, keys, true}, dout, head.dv.row(first),
             head.dv.stride);
    multiply({keys, width, queries, 1.0F, 1.0F}, {dscores, keys, true}, q, head.dk.row(first),
             head.dk.stride);
    multiply({queries, width, keys, 1.0F, first > 0 ? 1.0F : 0.0F}, {dscores, keys}, k, dq.data,
             dq.stride);
  }
  store(dq, head.dq, begin, queries, width);
}

template void attention_forward_tile(const ForwardHead<float>&, std::int64_t, std::int64_t, float*);
template void attention_forward_tile(const ForwardHead<core::BF16>&, std::int64_t, std::int64_t,
                                     float*);
template void attention_backward_tile(const BackwardHead<float>&, std::int64_t, std::int64_t,
                                      float*);
template void attention_backward_tile(const BackwardHead<core::BF16>&, std::int64_t, std::int64_t,
                                      float*);

}  // namespace rw::kernels
