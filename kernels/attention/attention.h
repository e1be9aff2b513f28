// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// Layout of a fused projection buffer: row n = b·T + t holds H query heads, then Hkv key heads,
/// then Hkv value heads, each Dh wide: [B·T, (H + 2·Hkv)·Dh]. H is a multiple of Hkv: query head h
/// reads key/value head h / (H / Hkv).
struct HeadLayout {
  std::int64_t batch = 1;     // B
  std::int64_t tokens = 1;    // T
  std::int64_t heads = 1;     // H
  std::int64_t kv_heads = 1;  // Hkv
  std::int64_t head_dim = 1;  // Dh
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// Causal softmax attention, scale 1/sqrt(Dh), tiled: no [T, T] matrix in memory, work on the lower
/// triangle only.
///
///   qkv   [B·T, width] f32 or bf16, already rotated    out  [B·T, H·Dh], same dtype
///   lse   [B, H, T] f32, log-sum-exp of each row's scaled scores, kept for the backward pass
///   bf16  scores, softmax and sums in f32, results rounded once. On CPUs with bf16 tiles probabilities
///         and gradients of scores are rounded too, where a product takes them; elsewhere each tile is
///         converted as it is read. On CUDA f32 only so far; bf16 is refused
void attention_forward(const Tensor& qkv, Tensor& out, Tensor& lse, const HeadLayout& layout,
                       Stream& stream);

/// dqkv [B·T, width] is overwritten; probabilities are recomputed from lse. qkv, out, dout and dqkv
/// have one dtype, f32 or bf16.
void attention_backward(const Tensor& qkv, const Tensor& out, const Tensor& lse, const Tensor& dout,
                        Tensor& dqkv, const HeadLayout& layout, Stream& stream);

/// QK-norm (Qwen3): RMSNorm over Dh of every query head with q_weight [Dh] and every key head with
/// k_weight [Dh]; value heads are copied. in, out [B·T, width] f32 or bf16, different buffers of one
/// dtype; weights and rstd [B·T, H + Hkv] f32.
void qk_norm_forward(const Tensor& in, const Tensor& q_weight, const Tensor& k_weight, float eps,
                     Tensor& out, Tensor& rstd, const HeadLayout& layout, Stream& stream);
/// din may be dout. dq_weight, dk_weight [Dh] are added to by qk_norm_backward_weight.
void qk_norm_backward_input(const Tensor& dout, const Tensor& in, const Tensor& q_weight,
                            const Tensor& k_weight, const Tensor& rstd, Tensor& din,
                            const HeadLayout& layout, Stream& stream);
void qk_norm_backward_weight(const Tensor& dout, const Tensor& in, const Tensor& rstd,
                             Tensor& dq_weight, Tensor& dk_weight, const HeadLayout& layout,
                             Stream& stream);

}  // namespace rw::kernels
