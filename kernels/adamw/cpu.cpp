// Part of Ropewalk, MIT licence.
#include "kernels/adamw/math.h"
#include "kernels/adamw/twins.h"
#include "kernels/multiversion.h"
#include "kernels/parallel.h"

namespace rw::kernels {
namespace {

/// The arrays of one parameter from some element on.
struct Arrays {
  float* param;
  const float* grad;
  float* exp_avg;
  float* exp_avg_sq;
};

RW_CLONES void update_part(const Arrays& at, const AdamwFactors& factors, std::int64_t elems) {
  const AdamwFactors by = factors;
  float* param = at.param;
  const float* grad = at.grad;
  float* exp_avg = at.exp_avg;
  float* exp_avg_sq = at.exp_avg_sq;
#pragma omp simd
  for (std::int64_t i = 0; i < elems; ++i) {
    adamw_element(by, grad[i], param[i], exp_avg[i], exp_avg_sq[i]);
  }
}

void update_cpu(Tensor& param, const Tensor& grad, Tensor& exp_avg, Tensor& exp_avg_sq,
                const AdamwStep& options, Stream& /*stream*/) {
  const AdamwFactors factors = adamw_factors(options);
  const Arrays all{param.data<float>(), grad.data<float>(), exp_avg.data<float>(),
                   exp_avg_sq.data<float>()};
  for_elems(param.elems(), [&](std::int64_t begin, std::int64_t end) {
    update_part({all.param + begin, all.grad + begin, all.exp_avg + begin, all.exp_avg_sq + begin},
                factors, end - begin);
  });
}

}  // namespace

const AdamwTwins kAdamwCpu{update_cpu};

}  // namespace rw::kernels
