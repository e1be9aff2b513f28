// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/narrow_matmul/narrow_matmul.h"

namespace rw::kernels {

struct NarrowMatmulTwins {
  static constexpr core::Op kOp = core::Op::kNarrowMatmul;
  void (*narrow_matmul)(const Tensor& x, const Tensor& w, Tensor& y, Stream& stream);
};
extern const NarrowMatmulTwins kNarrowMatmulCpu;

}  // namespace rw::kernels
