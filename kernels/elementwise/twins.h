// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/elementwise/elementwise.h"

namespace rw::kernels {

struct ElementwiseTwins {
  static constexpr core::Op kOp = core::Op::kElementwise;
  void (*add)(const Tensor& a, const Tensor& b, Tensor& out, Stream& stream);
  void (*scale)(Tensor& x, float factor, Stream& stream);
  void (*fill)(Tensor& x, float value, Stream& stream);
  void (*convert)(const Tensor& x, Tensor& out, Stream& stream);
};
extern const ElementwiseTwins kElementwiseCpu;

}  // namespace rw::kernels
