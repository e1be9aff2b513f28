// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/swiglu/swiglu.h"

namespace rw::kernels {

struct SwigluTwins {
  static constexpr core::Op kOp = core::Op::kSwiglu;
  void (*forward)(const Tensor& gate_up, Tensor& out, Stream& stream);
  void (*backward)(const Tensor& gate_up, const Tensor& dout, Tensor& dgate_up, Stream& stream);
};
extern const SwigluTwins kSwigluCpu;

}  // namespace rw::kernels
