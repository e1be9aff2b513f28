// Part of Ropewalk, MIT licence.
#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/attention/tile.h"
#include "kernels/row_math.h"

namespace rw::kernels {

/// Attention of one key/value head and of the query heads that share it: the keys are packed once, then
/// groups of queries go over them, and in the end the gradients of the keys are written. Every query's
/// numbers depend on nothing but its own head; sums over queries run in the order of the calls.
///
/// Scratch is the caller's: forward_elems or backward_elems floats, at a multiple of 64 bytes, the same for
/// all calls of one head.
template <class T>
struct HeadKernels {
  std::int64_t forward_queries, backward_queries;  // of a group
  std::int64_t (*forward_elems)(std::int64_t tokens, std::int64_t head_dim);
  std::int64_t (*backward_elems)(std::int64_t tokens, std::int64_t head_dim);

  /// Packs k and v [tokens, head_dim]; for backward, sets the sums of their gradients to 0 too.
  void (*pack_forward_keys)(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                            std::int64_t head_dim, float* scratch);
  void (*pack_backward_keys)(const HeadRows<T>& k, const HeadRows<T>& v, std::int64_t tokens,
                             std::int64_t head_dim, float* scratch);
  /// One group of queries that begins at `begin`, a multiple of its size, as far as there are any.
  void (*forward)(const ForwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                  float* scratch);
  /// What is due to dk and dv is added to the sums in scratch, dq is overwritten; the head's dk and dv are
  /// not looked at.
  void (*backward)(const BackwardHead<T>& head, std::int64_t begin, std::int64_t tokens,
                   float* scratch);
  /// The sums, as rows [tokens, head_dim].
  void (*write_key_gradients)(const MutableHeadRows<T>& dk, const MutableHeadRows<T>& dv,
                              std::int64_t tokens, std::int64_t head_dim, float* scratch);
};

/// The best for this CPU, by instruction set alone; null where there is neither AVX2 nor more.
template <class T>
const HeadKernels<T>* head_kernels();
template <>
const HeadKernels<float>* head_kernels();
template <>
const HeadKernels<core::BF16>* head_kernels();

/// bf16 instructions: tiles (AMX-BF16), dot products of pairs (AVX512_BF16). Operands of the products are bf16, probabilities and the gradients of scores too;
/// sums, scores and softmax are f32. Scores are made as [32 keys, 32 queries], so that queries are the lanes
/// of softmax and what it gives is already the right-hand operand of the next product.
extern const HeadKernels<core::BF16> kAmxHeads, kDotHeads;

/// Sums in memory, `stride` floats a row, as rows of a head.
template <class T>
void write_rows(const float* sums, std::int64_t stride, std::int64_t tokens, std::int64_t head_dim,
                const MutableHeadRows<T>& to) {
  for (std::int64_t t = 0; t < tokens; ++t) {
    if constexpr (std::is_same_v<T, float>) {
      std::copy_n(sums + t * stride, head_dim, to.row(t));
    } else {
      row_convert(sums + t * stride, to.row(t), head_dim);
    }
  }
}

}  // namespace rw::kernels
