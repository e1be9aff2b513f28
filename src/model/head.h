// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>

#include "core/tensor.h"
#include "model/options.h"
#include "model/params.h"

namespace rw::model {

/// Logits [rows, V] held at once, at most (one row is always allowed).
inline constexpr std::int64_t kLogitsBytes = std::int64_t{32} << 20;

/// What the head keeps between forward and backward_weight.
struct HeadSaved {
  core::Tensor dx;       // [N, D], the input gradient, ready after forward
  core::Tensor normed;   // [N, D]; this and the rest are undefined once gradients are added
  core::Tensor dnorm;    // [D]
  core::Tensor dlogits;  // [N, V] when all rows fit into the limit; otherwise made again in
                         // backward_weight, chunk by chunk, from targets and scale
  core::Tensor targets;  // [N] i32
  float scale = 0;
  std::int64_t bytes() const;
};

struct HeadLoss {
  double sum = 0;  // nats, f64 over the rows in order
  std::int64_t tokens = 0;
};

/// Final norm, logits and loss. Works on chunks of rows, so that the logits stay within a limit;
/// their gradient overwrites them.
class Head {
 public:
  Head(const Options& options, const Params& params, std::int64_t logits_bytes = kLogitsBytes);
  int bucket() const { return norm_.bucket; }
  /// Of the matrix: the same, or with a tied embedding the embedding's.
  int matrix_bucket() const { return matrix_.bucket; }

  /// What forward does about the gradients of norm and matrix: adds them at once, or keeps what
  /// backward_weight needs. The same bits.
  enum class Gradients { kAdd, kKeep };
  /// x [N, D]; targets [N] i32, negative: padding. Without `saved`: loss only. With it: also
  /// saved->dx, the gradient of sum(losses) · scale.
  HeadLoss forward(const core::Tensor& x, const core::Tensor& targets, float scale,
                   HeadSaved* saved, Gradients gradients, core::Stream& stream);
  /// Adds the gradients of norm and matrix, unless forward has, and empties `saved`.
  void backward_weight(HeadSaved& saved, core::Stream& stream);

 private:
  std::int64_t chunk_rows(std::int64_t rows) const;

  float eps_;
  std::int64_t logits_bytes_;
  Weight norm_;
  Weight matrix_;  // [V, D]
};

}  // namespace rw::model
