// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/rms_norm/rms_norm.h"

namespace rw::kernels {

struct RmsNormTwins {
  static constexpr core::Op kOp = core::Op::kRmsNorm;
  void (*forward)(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& rstd,
                  Stream& stream);
  void (*add_forward)(const Tensor& x, const Tensor& delta, const Tensor& weight, float eps,
                      Tensor& sum, Tensor& y, Tensor& rstd, Stream& stream);
  void (*backward_input)(const Tensor& dy, const Tensor& x, const Tensor& weight,
                         const Tensor& rstd, const Tensor& dresidual, Tensor& dx, Stream& stream);
  void (*backward_weight)(const Tensor& dy, const Tensor& x, const Tensor& rstd, Tensor& dweight,
                          Stream& stream);
};
extern const RmsNormTwins kRmsNormCpu;

}  // namespace rw::kernels
