// Part of Ropewalk, MIT licence.
#include "kernels/adamw/math.h"
#include "kernels/adamw/twins.h"
#include "kernels/cuda/cuda_check.h"

namespace rw::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kPerBlock = 4 * kThreads;

__global__ void update_kernel(AdamwFactors by, const float* grad, float* param, float* exp_avg,
                              float* exp_avg_sq, std::int64_t elems) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < elems;
       i += stride) {
    adamw_element(by, grad[i], param[i], exp_avg[i], exp_avg_sq[i]);
  }
}

void update_cuda(Tensor& param, const Tensor& grad, Tensor& exp_avg, Tensor& exp_avg_sq,
                 const AdamwStep& options, Stream& stream) {
  const std::int64_t elems = param.elems();
  if (elems == 0) return;
  update_kernel<<<cuda::blocks_for(elems, kPerBlock), kThreads, 0, cuda::native(stream)>>>(
      adamw_factors(options), grad.data<float>(), param.data<float>(), exp_avg.data<float>(),
      exp_avg_sq.data<float>(), elems);
  cuda::check_launch("adamw update");
}

}  // namespace

extern const AdamwTwins kAdamwCuda;
const AdamwTwins kAdamwCuda{update_cuda};

}  // namespace rw::kernels
