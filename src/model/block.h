// Part of Ropewalk, MIT licence.
#pragma once
#include <cstdint>
#include <functional>

#include "core/tensor.h"
#include "kernels/attention/attention.h"
#include "kernels/matmul/matmul.h"
#include "model/options.h"
#include "model/params.h"
#include "model/rope_table.h"

namespace rw::model {

/// What all blocks of one pass share. N = B·T rows.
struct BlockPass {
  std::int64_t batch = 0;           // B
  std::int64_t tokens = 0;          // T
  core::Tensor positions;           // [N] i32
  const RopeTable* rope = nullptr;  // longer than every position
  /// Forward calls it before it reads the values of a bucket; may be empty.
  std::function<void(int bucket)> needed = {};
};

/// Products and what they read are in the dtype of Weight::compute(), `compute` below: f32 or bf16.
/// The residual stream, its gradient and all sums are f32.

/// What one block keeps of one micro-batch. Forward fills the first group and the second, and lets
/// go of what Recompute says; mlp_backward_input makes that again, the backward_input functions use the first group up, turn
/// gate_up into its gradient, and add the third.
struct BlockSaved {
  core::Tensor x, input_rstd;      // [N, D], [N]
  core::Tensor raw_qkv, qk_rstd;   // qwen3: before QK-norm [N, width] compute, [N, H + Hkv]
  core::Tensor qkv, lse;           // rotated [N, width] compute, [B, H, T]
  core::Tensor delta;              // kSelective: output projection [N, D]; x_mid is x + delta
  core::Tensor x_mid, post_rstd;   // after attention's residual [N, D], [N]
  core::Tensor gate_up;            // [N, 2F] compute; after mlp_backward_input its gradient
  core::Tensor normed, attended;   // inputs of the qkv and the output projection, compute
  core::Tensor normed_mid, gated;  // inputs of gate_up and down, compute
  core::Tensor dqkv, dx_mid, dy;   // output gradients of qkv, output and down projection, compute
  core::Tensor dinput_norm, dpost_norm, dq_norm, dk_norm;  // small: gradients of norm weights
  std::int64_t bytes() const;
};

/// The weights of one block; values and gradients are those of Params.
struct BlockWeights {
  Weight input_norm, qkv, output, post_norm, gate_up, down;
  Weight q_norm, k_norm;  // qwen3 only
};
BlockWeights bind_block(const Options& options, const Params& params, std::int64_t layer);

/// Of a block, each a bucket of its own: attention with the norm before it, the MLP with its norm.
enum class Half : std::uint8_t { kAttention, kMlp };

/// One decoder layer: RMSNorm, qkv GEMM, (QK-norm,) RoPE, attention, output GEMM, residual;
/// RMSNorm, gate_up GEMM, SwiGLU, down GEMM, residual.
class Block {
 public:
  Block(const Options& options, const Params& params, std::int64_t layer,
        Recompute recompute = Recompute::kNone);
  int bucket(Half half) const {
    return half == Half::kAttention ? weights_.qkv.bucket : weights_.down.bucket;
  }

  /// x [N, D] -> y [N, D]. `saved` may be nullptr: nothing is kept. With Recompute, mlp_backward_input
  /// costs in addition: kSelective the element-wise passes, kFull all of forward but the down GEMM.
  core::Tensor forward(const core::Tensor& x, const BlockPass& pass, BlockSaved* saved,
                       core::Stream& stream) const;
  /// dy [N, D] -> dx_mid [N, D], a new tensor: the gradient between attention and MLP. No gradient of a
  /// parameter changes here or in attention_backward_input, which follows.
  core::Tensor mlp_backward_input(BlockSaved& saved, const core::Tensor& dy, const BlockPass& pass,
                                  core::Stream& stream) const;
  /// dx_mid [N, D] -> dx [N, D], a new tensor.
  core::Tensor attention_backward_input(BlockSaved& saved, const core::Tensor& dx_mid,
                                        const BlockPass& pass, core::Stream& stream) const;
  /// Adds the gradients of a half, some time after its input's, and lets go of what `saved` keeps for them.
  /// The MLP's come first. matrices kNo: those of matrices are written, not added
  /// (Params::hold_grad_beside_matrices).
  void backward_weight(Half half, BlockSaved& saved, kernels::Accumulate matrices,
                       core::Stream& stream);

 private:
  kernels::HeadLayout heads(const BlockPass& pass) const;
  void fill_attention(BlockSaved& keep, const BlockPass& pass, core::Stream& stream) const;
  void fill_qkv(BlockSaved& keep, const BlockPass& pass, core::Stream& stream) const;
  void fill_mlp(BlockSaved& keep, core::Stream& stream) const;
  core::DType compute() const { return weights_.qkv.compute().dtype(); }
  void mlp_weight(BlockSaved& saved, kernels::Accumulate matrices, core::Stream& stream);
  void attention_weight(BlockSaved& saved, kernels::Accumulate matrices, core::Stream& stream);
  void attention_backward(BlockSaved& saved, const BlockPass& pass, core::Stream& stream) const;

  Options options_;
  float eps_;
  Recompute recompute_;
  BlockWeights weights_;
};

/// y = x · weightᵀ of a linear layer: x [N, in], weight [out, in] -> [N, out] of `dtype`, which with
/// f32 operands is f32.
core::Tensor linear(const core::Tensor& x, const core::Tensor& weight, core::DType dtype,
                    core::Stream& stream);
/// Its input gradient: dy [N, out], weight [out, in] -> [N, in] of `dtype`.
core::Tensor linear_backward_input(const core::Tensor& dy, const core::Tensor& weight,
                                   core::DType dtype, core::Stream& stream);
/// Its weight gradient: dweight [out, in] += dyᵀ · x, or = with kNo.
void linear_backward_weight(const core::Tensor& dy, const core::Tensor& x, core::Tensor& dweight,
                            core::Stream& stream,
                            kernels::Accumulate add = kernels::Accumulate::kYes);

}  // namespace rw::model
