// Part of Ropewalk, MIT licence.
#include <algorithm>

#include "core/dry_run.h"
#include "kernels/parallel.h"
#include "kernels/rms_norm/row.h"
#include "kernels/rms_norm/twins.h"
#include "kernels/row_math.h"

namespace rw::kernels {
namespace {

constexpr std::int64_t kNormRows = 128;

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

/// Sums of up to kNormRows rows each, in order, before they join the rest.
class WeightSums {
 public:
  explicit WeightSums(const Tensor& x)
      : memory_(Tensor::empty({(x.shape()[0] + kNormRows - 1) / kNormRows, x.shape()[1]})) {}
  std::int64_t blocks() const { return memory_.shape()[0]; }
  float* of(std::int64_t block) { return memory_.data<float>() + block * memory_.shape()[1]; }

 private:
  core::MemoryLabel label_{"norm scratch"};
  Tensor memory_;
};

/// A thread has whole blocks of rows: each row is read once for both gradients, and the threads do not touch
/// the order of the sums.
template <class Dy>
void backward_blocks(const NormRowBackward<Dy, float>& first, const Tensor& rstd, WeightSums& sums,
                     std::int64_t width) {
  const float* scale = rstd.data<float>();
  const std::int64_t rows = rstd.shape()[0];
  for_parts(sums.blocks(), kNormRows * width, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      float* sum = sums.of(block);
      std::fill_n(sum, width, 0.0F);
      for (std::int64_t n = block * kNormRows; n < std::min(rows, (block + 1) * kNormRows); ++n) {
        const std::int64_t at = n * width;
        norm_row_backward_weight(first.dy + at, first.x + at, scale[n], sum, width);
        const float* residual = first.dresidual != nullptr ? first.dresidual + at : nullptr;
        norm_row_backward(NormRowBackward<Dy, float>{first.dy + at, first.x + at, first.weight,
                                                     residual, first.dx + at},
                          scale[n], width);
      }
    }
  });
}

void backward_cpu(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                  const Tensor& dresidual, Tensor& dx, Tensor& dweight, Stream& /*stream*/) {
  const std::int64_t width = x.shape()[1];
  WeightSums sums(x);
  core::visit_float(dy.dtype(), [&](auto tag) {
    using Dy = typename decltype(tag)::type;
    backward_blocks<Dy>({dy.data<Dy>(), x.data<float>(), weight.data<float>(),
                         dresidual.defined() ? dresidual.data<float>() : nullptr, dx.data<float>()},
                        rstd, sums, width);
  });
  for (std::int64_t block = 0; block < sums.blocks(); ++block) {
    row_add(sums.of(block), dweight.data<float>(), width);
  }
}

}  // namespace

void rms_norm_backward_scratch(const Tensor& /*dy*/, const Tensor& x, const Tensor& /*weight*/,
                               const Tensor& /*rstd*/, const Tensor& /*dresidual*/, Tensor& /*dx*/,
                               Tensor& /*dweight*/, Stream& /*stream*/) {
  const WeightSums sums(x);
}

const RmsNormTwins kRmsNormCpu{forward_cpu, add_forward_cpu, backward_cpu};

}  // namespace rw::kernels
