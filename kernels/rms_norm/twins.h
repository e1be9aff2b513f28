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
  void (*backward)(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                   const Tensor& dresidual, Tensor& dx, Tensor& dweight, Stream& stream);
};
extern const RmsNormTwins kRmsNormCpu;

/// What the CPU twin asks of memory, without its arithmetic (core/dry_run.h).
void rms_norm_backward_scratch(const Tensor& dy, const Tensor& x, const Tensor& weight,
                               const Tensor& rstd, const Tensor& dresidual, Tensor& dx,
                               Tensor& dweight, Stream& stream);

}  // namespace rw::kernels
