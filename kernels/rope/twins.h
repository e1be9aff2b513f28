// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/rope/rope.h"

namespace rw::kernels {

struct RopeTwins {
  static constexpr core::Op kOp = core::Op::kRope;
  void (*rope)(Tensor& x, const Tensor& positions, const Tensor& cos, const Tensor& sin,
               std::int64_t rotated_heads, Rotation rotation, Stream& stream);
};
extern const RopeTwins kRopeCpu;

}  // namespace rw::kernels
