// Part of Ropewalk, MIT licence.
#include "kernels/parallel.h"
#include "kernels/rms_norm/row.h"
#include "kernels/rms_norm/twins.h"

namespace rw::kernels {
namespace {

constexpr std::int64_t kColumns = 128;  // of one slab of the weight's gradient
constexpr std::int64_t kRows = 128;     // added up before they join the rest

void forward_cpu(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& rstd,
                 Stream& /*stream*/) {
  core::visit_float(y.dtype(), [&](auto tag) {
    const std::int64_t width = x.shape()[1];
    const float* from = x.data<float>();
    const float* by = weight.data<float>();
    auto* to = y.data<typename decltype(tag)::type>();
    float* scale = rstd.data<float>();
    for_rows(x.shape()[0], width, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        scale[n] = norm_row(from + n * width, by, eps, to + n * width, width);
      }
    });
  });
}

void add_forward_cpu(const Tensor& x, const Tensor& delta, const Tensor& weight, float eps,
                     Tensor& sum, Tensor& y, Tensor& rstd, Stream& /*stream*/) {
  core::visit_float(y.dtype(), [&](auto tag) {
    const std::int64_t width = x.shape()[1];
    const float* from = x.data<float>();
    const float* more = delta.data<float>();
    const float* by = weight.data<float>();
    float* total = sum.data<float>();
    auto* to = y.data<typename decltype(tag)::type>();
    float* scale = rstd.data<float>();
    for_rows(x.shape()[0], width, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t at = n * width;
        scale[n] = add_norm_row(from + at, more + at, by, eps, total + at, to + at, width);
      }
    });
  });
}

void backward_input_cpu(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                        const Tensor& dresidual, Tensor& dx, Stream& /*stream*/) {
  core::visit_float(dy.dtype(), [&](auto tag) {
    using Row = NormRowBackward<typename decltype(tag)::type, float>;
    const std::int64_t width = x.shape()[1];
    const Row first{dy.data<typename decltype(tag)::type>(), x.data<float>(), weight.data<float>(),
                    dresidual.defined() ? dresidual.data<float>() : nullptr, dx.data<float>()};
    const float* scale = rstd.data<float>();
    for_rows(x.shape()[0], width, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t at = n * width;
        const float* residual = first.dresidual != nullptr ? first.dresidual + at : nullptr;
        norm_row_backward(Row{first.dy + at, first.x + at, first.weight, residual, first.dx + at},
                          scale[n], width);
      }
    });
  });
}

/// One slab of columns per thread and all rows in order: the threads do not touch the order.
template <class Dy>
void backward_weight_slabs(const Tensor& dy, const Tensor& x, const Tensor& rstd, Tensor& dweight) {
  const std::int64_t rows = x.shape()[0];
  const std::int64_t width = x.shape()[1];
  const Dy* grad = dy.data<Dy>();
  const float* from = x.data<float>();
  const float* scale = rstd.data<float>();
  float* to = dweight.data<float>();
  for_parts(width, rows, kColumns, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = begin; column < end; column += kColumns) {
      const std::int64_t columns = std::min(kColumns, end - column);
      for (std::int64_t row = 0; row < rows; row += kRows) {
        float part[kColumns] = {};
        for (std::int64_t n = row; n < std::min(rows, row + kRows); ++n) {
          const std::int64_t at = n * width + column;
          norm_row_backward_weight(grad + at, from + at, scale[n], part, columns);
        }
        for (std::int64_t i = 0; i < columns; ++i) to[column + i] += part[i];
      }
    }
  });
}
void backward_weight_cpu(const Tensor& dy, const Tensor& x, const Tensor& rstd, Tensor& dweight,
                         Stream& /*stream*/) {
  core::visit_float(dy.dtype(), [&](auto tag) {
    backward_weight_slabs<typename decltype(tag)::type>(dy, x, rstd, dweight);
  });
}

}  // namespace

const RmsNormTwins kRmsNormCpu{forward_cpu, add_forward_cpu, backward_input_cpu,
                               backward_weight_cpu};

}  // namespace rw::kernels
