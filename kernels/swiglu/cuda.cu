// Part of Ropewalk, MIT licence.
#include "kernels/cuda/cuda_check.h"
#include "kernels/swiglu/math.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kPerBlock = 4 * kThreads;

__device__ float sigmoid(float z) { return 1.0F / (1.0F + expf(-z)); }

__global__ void forward_kernel(const float* gate_up, float* out, std::int64_t rows,
                               std::int64_t width) {
  const std::int64_t elems = rows * width;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < elems;
       i += stride) {
    const std::int64_t row = i / width;
    const float* gate = gate_up + row * 2 * width + (i - row * width);
    out[i] = swiglu_value(gate[0], gate[width], sigmoid(gate[0]));
  }
}

/// dgate_up may be gate_up: a thread reads both of its numbers before it writes them.
__global__ void backward_kernel(const float* gate_up, const float* dout, float* dgate_up,
                                std::int64_t rows, std::int64_t width) {
  const std::int64_t elems = rows * width;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < elems;
       i += stride) {
    const std::int64_t row = i / width;
    const std::int64_t at = row * 2 * width + (i - row * width);
    const float gate = gate_up[at];
    const float up = gate_up[at + width];
    const float sigma = sigmoid(gate);
    dgate_up[at] = dout[i] * up * silu_slope(gate, sigma);
    dgate_up[at + width] = swiglu_value(gate, dout[i], sigma);
  }
}

void forward_cuda(const Tensor& gate_up, Tensor& out, Stream& stream) {
  if (out.elems() == 0) return;
  forward_kernel<<<cuda::blocks_for(out.elems(), kPerBlock), kThreads, 0, cuda::native(stream)>>>(
      gate_up.data<float>(), out.data<float>(), out.shape()[0], out.shape()[1]);
  cuda::check_launch("swiglu forward");
}

void backward_cuda(const Tensor& gate_up, const Tensor& dout, Tensor& dgate_up, Stream& stream) {
  if (dout.elems() == 0) return;
  backward_kernel<<<cuda::blocks_for(dout.elems(), kPerBlock), kThreads, 0, cuda::native(stream)>>>(
      gate_up.data<float>(), dout.data<float>(), dgate_up.data<float>(), dout.shape()[0],
      dout.shape()[1]);
  cuda::check_launch("swiglu backward");
}

}  // namespace

extern const SwigluTwins kSwigluCuda;
const SwigluTwins kSwigluCuda{forward_cuda, backward_cuda};

}  // namespace rw::kernels
