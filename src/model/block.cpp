// Part of Ropewalk, MIT licence.
#include "model/block.h"

#include <string>

#include "kernels/elementwise/elementwise.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"

namespace rw::model {
using core::Tensor;
using kernels::Accumulate;
using kernels::Transpose;

namespace {

Tensor rows_like(const Tensor& x, std::int64_t columns, core::DType dtype = core::DType::kF32) {
  return Tensor::empty({x.shape()[0], columns}, dtype, x.device());
}

/// x in the dtype of products: itself, or a rounded copy.
Tensor rounded(const Tensor& x, core::DType dtype, core::Stream& stream) {
  if (x.dtype() == dtype) return x;
  Tensor out = Tensor::empty(x.shape(), dtype, x.device());
  kernels::convert(x, out, stream);
  return out;
}

Tensor row_vector(const Tensor& x) {
  return Tensor::empty({x.shape()[0]}, core::DType::kF32, x.device());
}

Tensor zeros_like(const Tensor& x, core::Stream& stream) {
  Tensor out = Tensor::like(x);
  core::fill_zero(out, stream);
  return out;
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, core::DType dtype, core::Stream& stream) {
  Tensor y = rows_like(x, weight.shape()[0], dtype);
  kernels::matmul(x, weight, y, {.b = Transpose::kYes}, stream);
  return y;
}

Tensor linear_backward_input(const Tensor& dy, const Tensor& weight, core::DType dtype,
                             core::Stream& stream) {
  Tensor dx = rows_like(dy, weight.shape()[1], dtype);
  kernels::matmul(dy, weight, dx, {}, stream);
  return dx;
}

void linear_backward_weight(const Tensor& dy, const Tensor& x, Tensor& dweight,
                            core::Stream& stream, Accumulate add) {
  kernels::matmul(dy, x, dweight, {.a = Transpose::kYes, .c = add}, stream);
}

std::int64_t BlockSaved::bytes() const {
  std::size_t sum = 0;
  for (const Tensor* tensor :
       {&x,     &input_rstd, &raw_qkv, &qk_rstd,     &qkv,        &lse,        &delta,
        &x_mid, &post_rstd,  &gate_up, &normed,      &attended,   &normed_mid, &gated,
        &dqkv,  &dx_mid,     &dy,      &dinput_norm, &dpost_norm, &dq_norm,    &dk_norm}) {
    if (tensor->defined()) sum += tensor->bytes();
  }
  return static_cast<std::int64_t>(sum);
}

BlockWeights bind_block(const Options& options, const Params& params, std::int64_t layer) {
  const std::string at = "model.layers." + std::to_string(layer) + ".";
  BlockWeights out;
  out.input_norm = params.weight(at + "input_layernorm.weight");
  out.qkv = params.weight(at + "self_attn.qkv_proj.weight");
  out.output = params.weight(at + "self_attn.o_proj.weight");
  out.post_norm = params.weight(at + "post_attention_layernorm.weight");
  out.gate_up = params.weight(at + "mlp.gate_up_proj.weight");
  out.down = params.weight(at + "mlp.down_proj.weight");
  if (options.name == "qwen3") {
    out.q_norm = params.weight(at + "self_attn.q_norm.weight");
    out.k_norm = params.weight(at + "self_attn.k_norm.weight");
  }
  return out;
}

Block::Block(const Options& options, const Params& params, std::int64_t layer, Recompute recompute)
    : options_(options),
      eps_(static_cast<float>(options.rms_norm_eps)),
      recompute_(recompute),
      weights_(bind_block(options, params, layer)) {}

kernels::HeadLayout Block::heads(const BlockPass& pass) const {
  return {.batch = pass.batch,
          .tokens = pass.tokens,
          .heads = options_.num_attention_heads,
          .kv_heads = options_.num_key_value_heads,
          .head_dim = options_.head_dim};
}

// The fill functions make what is not there from what is: everything in the forward pass, in the
// backward pass what was let go.

void Block::fill_qkv(BlockSaved& keep, const BlockPass& pass, core::Stream& stream) const {
  const kernels::HeadLayout layout = heads(pass);
  const bool qk_norm = weights_.q_norm.value.defined();
  if (!keep.raw_qkv.defined()) {
    keep.qkv = linear(keep.normed, weights_.qkv.compute(), compute(), stream);
    if (qk_norm) keep.raw_qkv = keep.qkv;
  }
  if (qk_norm) {
    keep.qkv = Tensor::like(keep.raw_qkv);
    keep.qk_rstd = rows_like(keep.x, layout.heads + layout.kv_heads);
    kernels::qk_norm_forward(keep.raw_qkv, weights_.q_norm.value, weights_.k_norm.value, eps_,
                             keep.qkv, keep.qk_rstd, layout, stream);
  }
  kernels::rope(keep.qkv, pass.positions, pass.rope->cos, pass.rope->sin,
                layout.heads + layout.kv_heads, kernels::Rotation::kForward, stream);
}

void Block::fill_attention(BlockSaved& keep, const BlockPass& pass, core::Stream& stream) const {
  if (!keep.normed.defined()) {
    keep.normed = rows_like(keep.x, options_.hidden_size, compute());
    keep.input_rstd = row_vector(keep.x);
    kernels::rms_norm_forward(keep.x, weights_.input_norm.value, eps_, keep.normed, keep.input_rstd,
                              stream);
  }
  if (!keep.qkv.defined()) fill_qkv(keep, pass, stream);
  if (keep.attended.defined()) return;
  const kernels::HeadLayout layout = heads(pass);
  keep.attended = rows_like(keep.x, layout.heads * layout.head_dim, compute());
  keep.lse = Tensor::empty({layout.batch, layout.heads, layout.tokens}, core::DType::kF32,
                           keep.x.device());
  kernels::attention_forward(keep.qkv, keep.attended, keep.lse, layout, stream);
}

void Block::fill_mlp(BlockSaved& keep, core::Stream& stream) const {
  if (!keep.normed_mid.defined()) {
    if (!keep.delta.defined()) {
      keep.delta = linear(keep.attended, weights_.output.compute(), core::DType::kF32, stream);
    }
    keep.x_mid = Tensor::like(keep.x);
    keep.normed_mid = rows_like(keep.x, options_.hidden_size, compute());
    keep.post_rstd = row_vector(keep.x);
    kernels::add_rms_norm_forward(keep.x, keep.delta, weights_.post_norm.value, eps_, keep.x_mid,
                                  keep.normed_mid, keep.post_rstd, stream);
    if (recompute_ != Recompute::kSelective) keep.delta = {};
  }
  if (!keep.gate_up.defined()) {
    keep.gate_up = linear(keep.normed_mid, weights_.gate_up.compute(), compute(), stream);
  }
  if (keep.gated.defined()) return;
  keep.gated = rows_like(keep.x, options_.intermediate_size, compute());
  kernels::swiglu_forward(keep.gate_up, keep.gated, stream);
}

Tensor Block::forward(const Tensor& x, const BlockPass& pass, BlockSaved* saved,
                      core::Stream& stream) const {
  const Recompute recompute = saved == nullptr ? Recompute::kFull : recompute_;
  BlockSaved keep;
  keep.x = x;
  const auto need = [&](Half half) {
    if (pass.needed) pass.needed(bucket(half));
  };
  need(Half::kAttention);
  fill_attention(keep, pass, stream);
  need(Half::kMlp);
  if (recompute != Recompute::kNone) {
    keep.normed = {};
    if (recompute == Recompute::kFull || keep.raw_qkv.defined()) keep.qkv = {};
  }
  if (recompute == Recompute::kFull) keep.raw_qkv = {};
  fill_mlp(keep, stream);
  if (recompute != Recompute::kNone) keep.normed_mid = {};
  if (recompute == Recompute::kFull) keep.gate_up = keep.attended = {};
  Tensor y = linear(keep.gated, weights_.down.compute(), core::DType::kF32, stream);
  kernels::add(keep.x_mid, y, y, stream);
  if (saved == nullptr) return y;
  if (recompute == Recompute::kSelective) keep.gated = keep.x_mid = {};
  if (recompute == Recompute::kFull) {
    keep = {};
    keep.x = x;
  }
  *saved = keep;
  return y;
}

Tensor Block::mlp_backward_input(BlockSaved& saved, const Tensor& dy, const BlockPass& pass,
                                 core::Stream& stream) const {
  fill_attention(saved, pass, stream);
  fill_mlp(saved, stream);
  saved.delta = {};
  saved.dy = rounded(dy, compute(), stream);
  {
    const Tensor dgated =
        linear_backward_input(saved.dy, weights_.down.compute(), compute(), stream);
    kernels::swiglu_backward(saved.gate_up, dgated, saved.gate_up, stream);
  }
  Tensor dx_mid =
      linear_backward_input(saved.gate_up, weights_.gate_up.compute(), core::DType::kF32, stream);
  saved.dpost_norm = zeros_like(weights_.post_norm.value, stream);
  kernels::rms_norm_backward(dx_mid, saved.x_mid, weights_.post_norm.value, saved.post_rstd, dy,
                             dx_mid, saved.dpost_norm, stream);
  saved.x_mid = saved.post_rstd = {};
  saved.dx_mid = rounded(dx_mid, compute(), stream);
  return dx_mid;
}

void Block::attention_backward(BlockSaved& saved, const BlockPass& pass,
                               core::Stream& stream) const {
  const kernels::HeadLayout layout = heads(pass);
  saved.dqkv = Tensor::like(saved.qkv);
  {
    const Tensor dout =
        linear_backward_input(saved.dx_mid, weights_.output.compute(), compute(), stream);
    kernels::attention_backward(saved.qkv, saved.attended, saved.lse, dout, saved.dqkv, layout,
                                stream);
  }
  saved.qkv = saved.lse = {};
  kernels::rope(saved.dqkv, pass.positions, pass.rope->cos, pass.rope->sin,
                layout.heads + layout.kv_heads, kernels::Rotation::kBackward, stream);
  if (!weights_.q_norm.value.defined()) return;
  saved.dq_norm = zeros_like(weights_.q_norm.value, stream);
  saved.dk_norm = zeros_like(weights_.k_norm.value, stream);
  kernels::qk_norm_backward_weight(saved.dqkv, saved.raw_qkv, saved.qk_rstd, saved.dq_norm,
                                   saved.dk_norm, layout, stream);
  kernels::qk_norm_backward_input(saved.dqkv, saved.raw_qkv, weights_.q_norm.value,
                                  weights_.k_norm.value, saved.qk_rstd, saved.dqkv, layout, stream);
  saved.raw_qkv = saved.qk_rstd = {};
}

Tensor Block::attention_backward_input(BlockSaved& saved, const Tensor& dx_mid,
                                       const BlockPass& pass, core::Stream& stream) const {
  attention_backward(saved, pass, stream);
  Tensor dx = linear_backward_input(saved.dqkv, weights_.qkv.compute(), core::DType::kF32, stream);
  saved.dinput_norm = zeros_like(weights_.input_norm.value, stream);
  kernels::rms_norm_backward(dx, saved.x, weights_.input_norm.value, saved.input_rstd, dx_mid, dx,
                             saved.dinput_norm, stream);
  saved.x = saved.input_rstd = {};
  return dx;
}

void Block::backward_weight(Half half, BlockSaved& saved, Accumulate matrices,
                            core::Stream& stream) {
  half == Half::kMlp ? mlp_weight(saved, matrices, stream)
                     : attention_weight(saved, matrices, stream);
}

void Block::mlp_weight(BlockSaved& saved, Accumulate matrices, core::Stream& stream) {
  linear_backward_weight(saved.dy, saved.gated, weights_.down.grad, stream, matrices);
  linear_backward_weight(saved.gate_up, saved.normed_mid, weights_.gate_up.grad, stream, matrices);
  kernels::accumulate(saved.dpost_norm, weights_.post_norm.grad, stream);
  saved.dy = saved.gated = saved.gate_up = saved.normed_mid = saved.dpost_norm = {};
}

void Block::attention_weight(BlockSaved& saved, Accumulate matrices, core::Stream& stream) {
  linear_backward_weight(saved.dx_mid, saved.attended, weights_.output.grad, stream, matrices);
  if (saved.dq_norm.defined()) {
    kernels::accumulate(saved.dq_norm, weights_.q_norm.grad, stream);
    kernels::accumulate(saved.dk_norm, weights_.k_norm.grad, stream);
  }
  linear_backward_weight(saved.dqkv, saved.normed, weights_.qkv.grad, stream, matrices);
  kernels::accumulate(saved.dinput_norm, weights_.input_norm.grad, stream);
  saved = {};
}

}  // namespace rw::model
