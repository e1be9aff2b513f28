// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/attention/twins.h"

namespace rw::kernels {

/// The CPU's QK-norm; arguments as in AttentionTwins.
void qk_norm_forward_cpu(const Tensor& in, const QkNormWeights& weights, float eps, Tensor& out,
                         Tensor& rstd, const HeadLayout& layout, Stream& stream);
void qk_norm_backward_input_cpu(const Tensor& dout, const Tensor& in, const QkNormWeights& weights,
                                const Tensor& rstd, Tensor& din, const HeadLayout& layout,
                                Stream& stream);
void qk_norm_backward_weight_cpu(const Tensor& dout, const Tensor& in, const Tensor& rstd,
                                 Tensor& dq_weight, Tensor& dk_weight, const HeadLayout& layout,
                                 Stream& stream);

}  // namespace rw::kernels
