// Part of Ropewalk, MIT licence.
#include "kernels/attention/qk_norm.h"

#include "core/buffer.h"
#include "kernels/parallel.h"
#include "kernels/rms_norm/row.h"

namespace rw::kernels {
namespace {

constexpr std::int64_t kRows = 128;  // of one partial sum of the weights' gradients

std::int64_t rows_of(const HeadLayout& layout) { return layout.batch * layout.tokens; }

template <class T>
void forward(const Tensor& in, const QkNormWeights& weights, float eps, Tensor& out, Tensor& rstd,
             const HeadLayout& layout) {
  const T* from = in.data<T>();
  const float* q_weight = weights.q.data<float>();
  const float* k_weight = weights.k.data<float>();
  T* to = out.data<T>();
  float* scale = rstd.data<float>();
  const std::int64_t normed = layout.heads + layout.kv_heads;
  const std::int64_t width = layout.width();
  const std::int64_t dim = layout.head_dim;
  for_rows(rows_of(layout), width, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t head = 0; head < normed; ++head) {
        const std::int64_t at = n * width + head * dim;
        scale[n * normed + head] =
            norm_row(from + at, head < layout.heads ? q_weight : k_weight, eps, to + at, dim);
      }
      const std::int64_t values = n * width + normed * dim;
      std::copy_n(from + values, width - normed * dim, to + values);
    }
  });
}

template <class T>
void backward_input(const Tensor& dout, const Tensor& in, const QkNormWeights& weights,
                    const Tensor& rstd, Tensor& din, const HeadLayout& layout) {
  const T* grad = dout.data<T>();
  const T* from = in.data<T>();
  const float* q_weight = weights.q.data<float>();
  const float* k_weight = weights.k.data<float>();
  const float* scale = rstd.data<float>();
  T* to = din.data<T>();
  const std::int64_t normed = layout.heads + layout.kv_heads;
  const std::int64_t width = layout.width();
  const std::int64_t dim = layout.head_dim;
  for_rows(rows_of(layout), width, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t head = 0; head < normed; ++head) {
        const std::int64_t at = n * width + head * dim;
        const float* weight = head < layout.heads ? q_weight : k_weight;
        norm_row_backward(NormRowBackward<T, T>{grad + at, from + at, weight, nullptr, to + at},
                          scale[n * normed + head], dim);
      }
      const std::int64_t values = n * width + normed * dim;
      if (to != grad) std::copy_n(grad + values, width - normed * dim, to + values);
    }
  });
}

/// Partial sums over blocks of kRows rows, then over blocks in order: the number of threads does
/// not reach a bit.
template <class T>
void backward_weight(const Tensor& dout, const Tensor& in, const Tensor& rstd, Tensor& dq_weight,
                     Tensor& dk_weight, const HeadLayout& layout) {
  const T* grad = dout.data<T>();
  const T* from = in.data<T>();
  const float* scale = rstd.data<float>();
  const std::int64_t rows = rows_of(layout);
  const std::int64_t normed = layout.heads + layout.kv_heads;
  const std::int64_t width = layout.width();
  const std::int64_t dim = layout.head_dim;
  const std::int64_t blocks = (rows + kRows - 1) / kRows;
  const core::Buffer memory(static_cast<std::size_t>(blocks * 2 * dim) * sizeof(float),
                            core::Device{});
  auto* sums = static_cast<float*>(memory.address());  // [blocks, 2, dim]
  for_rows(blocks, kRows * width, [=](std::int64_t begin, std::int64_t end) {
    std::fill(sums + begin * 2 * dim, sums + end * 2 * dim, 0.0F);
    for (std::int64_t n = begin * kRows; n < std::min(rows, end * kRows); ++n) {
      float* block = sums + n / kRows * 2 * dim;
      for (std::int64_t head = 0; head < normed; ++head) {
        const std::int64_t at = n * width + head * dim;
        norm_row_backward_weight(grad + at, from + at, scale[n * normed + head],
                                 block + (head < layout.heads ? 0 : dim), dim);
      }
    }
  });
  float* dq = dq_weight.data<float>();
  float* dk = dk_weight.data<float>();
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (std::int64_t i = 0; i < dim; ++i) {
      dq[i] += sums[block * 2 * dim + i];
      dk[i] += sums[block * 2 * dim + dim + i];
    }
  }
}

}  // namespace

void qk_norm_forward_cpu(const Tensor& in, const QkNormWeights& weights, float eps, Tensor& out,
                         Tensor& rstd, const HeadLayout& layout, Stream& /*stream*/) {
  core::visit_float(in.dtype(), [&](auto tag) {
    forward<typename decltype(tag)::type>(in, weights, eps, out, rstd, layout);
  });
}

void qk_norm_backward_input_cpu(const Tensor& dout, const Tensor& in, const QkNormWeights& weights,
                                const Tensor& rstd, Tensor& din, const HeadLayout& layout,
                                Stream& /*stream*/) {
  core::visit_float(in.dtype(), [&](auto tag) {
    backward_input<typename decltype(tag)::type>(dout, in, weights, rstd, din, layout);
  });
}

void qk_norm_backward_weight_cpu(const Tensor& dout, const Tensor& in, const Tensor& rstd,
                                 Tensor& dq_weight, Tensor& dk_weight, const HeadLayout& layout,
                                 Stream& /*stream*/) {
  core::visit_float(in.dtype(), [&](auto tag) {
    backward_weight<typename decltype(tag)::type>(dout, in, rstd, dq_weight, dk_weight, layout);
  });
}

}  // namespace rw::kernels
