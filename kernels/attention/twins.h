// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/attention/attention.h"

namespace rw::kernels {

/// The weights of QK-norm, or their gradients.
struct QkNormWeights {
  const Tensor& q;
  const Tensor& k;
};

struct AttentionTwins {
  static constexpr core::Op kOp = core::Op::kAttention;
  void (*forward)(const Tensor& qkv, Tensor& out, Tensor& lse, const HeadLayout& layout,
                  Stream& stream);
  void (*backward)(const Tensor& qkv, const Tensor& out, const Tensor& lse, const Tensor& dout,
                   Tensor& dqkv, const HeadLayout& layout, Stream& stream);
  void (*qk_norm_forward)(const Tensor& in, const QkNormWeights& weights, float eps, Tensor& out,
                          Tensor& rstd, const HeadLayout& layout, Stream& stream);
  void (*qk_norm_backward_input)(const Tensor& dout, const Tensor& in, const QkNormWeights& weights,
                                 const Tensor& rstd, Tensor& din, const HeadLayout& layout,
                                 Stream& stream);
  void (*qk_norm_backward_weight)(const Tensor& dout, const Tensor& in, const Tensor& rstd,
                                  Tensor& dq_weight, Tensor& dk_weight, const HeadLayout& layout,
                                  Stream& stream);
};
extern const AttentionTwins kAttentionCpu;

/// For dry runs: take the memory that the CPU's forward and backward take, give it back, and do nothing else.
void attention_forward_scratch(const Tensor& qkv, Tensor& out, Tensor& lse,
                               const HeadLayout& layout, Stream& stream);
void attention_backward_scratch(const Tensor& qkv, const Tensor& out, const Tensor& lse,
                                const Tensor& dout, Tensor& dqkv, const HeadLayout& layout,
                                Stream& stream);

}  // namespace rw::kernels
