// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/embedding/embedding.h"

namespace rw::kernels {

struct EmbeddingTwins {
  static constexpr core::Op kOp = core::Op::kEmbedding;
  void (*forward)(const Tensor& tokens, const Tensor& table, Tensor& out, Stream& stream);
  void (*backward)(const Tensor& tokens, const Tensor& dout, Tensor& dtable, Stream& stream);
  void (*scatter_rows)(const Tensor& ids, const Tensor& from, Tensor& table, Stream& stream);
};
extern const EmbeddingTwins kEmbeddingCpu;

}  // namespace rw::kernels
