// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/adamw/adamw.h"

namespace rw::kernels {

struct AdamwTwins {
  static constexpr core::Op kOp = core::Op::kAdamw;
  void (*update)(Tensor& param, const Tensor& grad, Tensor& exp_avg, Tensor& exp_avg_sq,
                 const AdamwStep& options, Stream& stream);
};
extern const AdamwTwins kAdamwCpu;

}  // namespace rw::kernels
