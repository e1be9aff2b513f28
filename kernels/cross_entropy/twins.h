// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/cross_entropy/cross_entropy.h"

namespace rw::kernels {

struct CrossEntropyTwins {
  static constexpr core::Op kOp = core::Op::kCrossEntropy;
  void (*forward)(const Tensor& logits, const Tensor& targets, Tensor& losses, Stream& stream);
  void (*forward_backward)(Tensor& logits, const Tensor& targets, float scale, Tensor& losses,
                           Stream& stream);
};
extern const CrossEntropyTwins kCrossEntropyCpu;

}  // namespace rw::kernels
