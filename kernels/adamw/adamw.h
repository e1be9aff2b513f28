// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// AdamW as PyTorch's: decoupled decay, bias correction, eps outside the root.
struct AdamwStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  std::int64_t step = 1;     // from 1; gives the bias corrections
  float gradient_scale = 1;  // clipping factor, multiplied into grad as it is read
};
/// param, grad, exp_avg, exp_avg_sq: f32, one shape. One pass over memory; grad is read only.
void adamw_update(Tensor& param, const Tensor& grad, Tensor& exp_avg, Tensor& exp_avg_sq,
                  const AdamwStep& options, Stream& stream);

}  // namespace rw::kernels
