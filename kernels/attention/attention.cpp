// Part of Ropewalk, MIT licence.
#include "kernels/attention/attention.h"

#include "kernels/attention/twins.h"
#include "kernels/check.h"

namespace rw::kernels {
namespace {

using core::Shape;

void require_layout(const char* op, const HeadLayout& at) {
  const bool positive =
      at.batch > 0 && at.tokens > 0 && at.heads > 0 && at.kv_heads > 0 && at.head_dim > 0;
  if (positive && at.heads % at.kv_heads == 0) return;
  refuse(op,
         "batch " + std::to_string(at.batch) + ", tokens " + std::to_string(at.tokens) +
             ", heads " + std::to_string(at.heads) + ", kv_heads " + std::to_string(at.kv_heads) +
             ", head_dim " + std::to_string(at.head_dim),
         "positive sizes and heads a multiple of kv_heads");
}

Shape qkv_shape(const HeadLayout& at) { return {at.batch * at.tokens, at.width()}; }
Shape out_shape(const HeadLayout& at) { return {at.batch * at.tokens, at.heads * at.head_dim}; }
Shape lse_shape(const HeadLayout& at) { return {at.batch, at.heads, at.tokens}; }
Shape rstd_shape(const HeadLayout& at) { return {at.batch * at.tokens, at.heads + at.kv_heads}; }

core::TwinsCall<AttentionTwins> table(const Tensor& tensor) {
  return core::twins<AttentionTwins>(tensor.device());
}

}  // namespace

void attention_forward(const Tensor& qkv, Tensor& out, Tensor& lse, const HeadLayout& layout,
                       Stream& stream) {
  const char* op = "attention_forward";
  require_layout(op, layout);
  const core::DType dtype = float_dtype(op, "qkv", qkv);
  require_arguments(op, stream,
                    {{"qkv", &qkv, qkv_shape(layout), dtype},
                     {"out", &out, out_shape(layout), dtype},
                     {"lse", &lse, lse_shape(layout)}});
  table(qkv).forward(qkv, out, lse, layout, stream);
}

void attention_backward(const Tensor& qkv, const Tensor& out, const Tensor& lse, const Tensor& dout,
                        Tensor& dqkv, const HeadLayout& layout, Stream& stream) {
  const char* op = "attention_backward";
  require_layout(op, layout);
  const core::DType dtype = float_dtype(op, "qkv", qkv);
  require_arguments(op, stream,
                    {{"qkv", &qkv, qkv_shape(layout), dtype},
                     {"out", &out, out_shape(layout), dtype},
                     {"lse", &lse, lse_shape(layout)},
                     {"dout", &dout, out_shape(layout), dtype},
                     {"dqkv", &dqkv, qkv_shape(layout), dtype}});
  if (overlap(qkv, dqkv)) refuse(op, "dqkv overlapping qkv", "memory of its own for dqkv");
  table(qkv).backward(qkv, out, lse, dout, dqkv, layout, stream);
}

void qk_norm_forward(const Tensor& in, const Tensor& q_weight, const Tensor& k_weight, float eps,
                     Tensor& out, Tensor& rstd, const HeadLayout& layout, Stream& stream) {
  const char* op = "qk_norm_forward";
  require_layout(op, layout);
  const core::DType dtype = float_dtype(op, "in", in);
  require_arguments(op, stream,
                    {{"in", &in, qkv_shape(layout), dtype},
                     {"q_weight", &q_weight, {layout.head_dim}},
                     {"k_weight", &k_weight, {layout.head_dim}},
                     {"out", &out, qkv_shape(layout), dtype},
                     {"rstd", &rstd, rstd_shape(layout)}});
  if (overlap(in, out)) refuse(op, "out overlapping in", "memory of its own for out");
  table(in).qk_norm_forward(in, {q_weight, k_weight}, eps, out, rstd, layout, stream);
}

void qk_norm_backward_input(const Tensor& dout, const Tensor& in, const Tensor& q_weight,
                            const Tensor& k_weight, const Tensor& rstd, Tensor& din,
                            const HeadLayout& layout, Stream& stream) {
  const char* op = "qk_norm_backward_input";
  require_layout(op, layout);
  const core::DType dtype = float_dtype(op, "in", in);
  require_arguments(op, stream,
                    {{"dout", &dout, qkv_shape(layout), dtype},
                     {"in", &in, qkv_shape(layout), dtype},
                     {"q_weight", &q_weight, {layout.head_dim}},
                     {"k_weight", &k_weight, {layout.head_dim}},
                     {"rstd", &rstd, rstd_shape(layout)},
                     {"din", &din, qkv_shape(layout), dtype}});
  table(in).qk_norm_backward_input(dout, in, {q_weight, k_weight}, rstd, din, layout, stream);
}

void qk_norm_backward_weight(const Tensor& dout, const Tensor& in, const Tensor& rstd,
                             Tensor& dq_weight, Tensor& dk_weight, const HeadLayout& layout,
                             Stream& stream) {
  const char* op = "qk_norm_backward_weight";
  require_layout(op, layout);
  const core::DType dtype = float_dtype(op, "in", in);
  require_arguments(op, stream,
                    {{"dout", &dout, qkv_shape(layout), dtype},
                     {"in", &in, qkv_shape(layout), dtype},
                     {"rstd", &rstd, rstd_shape(layout)},
                     {"dq_weight", &dq_weight, {layout.head_dim}},
                     {"dk_weight", &dk_weight, {layout.head_dim}}});
  table(in).qk_norm_backward_weight(dout, in, rstd, dq_weight, dk_weight, layout, stream);
}

}  // namespace rw::kernels
