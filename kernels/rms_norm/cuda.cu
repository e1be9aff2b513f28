// Part of Ropewalk, MIT licence.
#include "kernels/cuda/cuda_block.cuh"
#include "kernels/cuda/cuda_check.h"
#include "kernels/rms_norm/twins.h"

namespace rw::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 32;  // of one block of the weight's gradient
constexpr int kRows = 8;      // rows it works on at a time

/// One row of the forward pass per block. delta and sum may be null: no residual.
__global__ void forward_kernel(const float* x, const float* delta, const float* weight, float eps,
                               float* sum, float* y, float* rstd, std::int64_t width) {
  const std::int64_t row = blockIdx.x;
  const float* from = x + row * width;
  float squares = 0;
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) {
    float value = from[i];
    if (delta != nullptr) {
      value += delta[row * width + i];
      sum[row * width + i] = value;
    }
    squares += value * value;
  }
  squares = cuda::block_sum<kThreads>(squares);
  const float scale = 1.0F / sqrtf(squares / static_cast<float>(width) + eps);
  if (threadIdx.x == 0) rstd[row] = scale;
  const float* again = delta != nullptr ? sum + row * width : from;  // each thread reads its own
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) {
    y[row * width + i] = again[i] * scale * weight[i];
  }
}

struct BackwardInput {
  const float* dy;
  const float* x;
  const float* weight;
  const float* rstd;
  const float* dresidual;  // may be null
  float* dx;
};

__global__ void backward_input_kernel(BackwardInput at, std::int64_t width) {
  const std::int64_t row = blockIdx.x;
  const float* dy = at.dy + row * width;
  const float* x = at.x + row * width;
  float along = 0;
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) along += dy[i] * at.weight[i] * x[i];
  along = cuda::block_sum<kThreads>(along);
  const float scale = at.rstd[row];
  const float back = along * scale * scale / static_cast<float>(width);
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) {
    const float through = scale * (dy[i] * at.weight[i] - x[i] * back);
    const float residual = at.dresidual != nullptr ? at.dresidual[row * width + i] : 0.0F;
    at.dx[row * width + i] = residual + through;
  }
}

/// A block has 32 columns; thread row r adds rows r, r + 8, … in order, then the eight are added in
/// order: no atomics, the same bits every time.
__global__ void backward_weight_kernel(const float* dy, const float* x, const float* rstd,
                                       float* dweight, std::int64_t rows, std::int64_t width) {
  __shared__ float partial[kRows][kColumns];
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  float sum = 0;
  if (column < width) {
    for (std::int64_t row = threadIdx.y; row < rows; row += kRows) {
      sum += dy[row * width + column] * x[row * width + column] * rstd[row];
    }
  }
  partial[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  float total = 0;
  for (int row = 0; row < kRows; ++row) total += partial[row][threadIdx.x];
  dweight[column] += total;
}

void forward_cuda(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& rstd,
                  Stream& stream) {
  const std::int64_t rows = x.shape()[0];
  if (rows == 0) return;
  forward_kernel<<<cuda::blocks_for(rows, 1), kThreads, 0, cuda::native(stream)>>>(
      x.data<float>(), nullptr, weight.data<float>(), eps, nullptr, y.data<float>(),
      rstd.data<float>(), x.shape()[1]);
  cuda::check_launch("rms_norm forward");
}

void add_forward_cuda(const Tensor& x, const Tensor& delta, const Tensor& weight, float eps,
                      Tensor& sum, Tensor& y, Tensor& rstd, Stream& stream) {
  const std::int64_t rows = x.shape()[0];
  if (rows == 0) return;
  forward_kernel<<<cuda::blocks_for(rows, 1), kThreads, 0, cuda::native(stream)>>>(
      x.data<float>(), delta.data<float>(), weight.data<float>(), eps, sum.data<float>(),
      y.data<float>(), rstd.data<float>(), x.shape()[1]);
  cuda::check_launch("rms_norm add_forward");
}

void backward_cuda(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                   const Tensor& dresidual, Tensor& dx, Tensor& dweight, Stream& stream) {
  const std::int64_t rows = x.shape()[0];
  const std::int64_t width = x.shape()[1];
  if (rows == 0 || width == 0) return;
  backward_weight_kernel<<<cuda::blocks_for(width, kColumns), dim3(kColumns, kRows), 0,
                           cuda::native(stream)>>>(
      dy.data<float>(), x.data<float>(), rstd.data<float>(), dweight.data<float>(), rows, width);
  cuda::check_launch("rms_norm backward_weight");
  const BackwardInput at{dy.data<float>(),
                         x.data<float>(),
                         weight.data<float>(),
                         rstd.data<float>(),
                         dresidual.defined() ? dresidual.data<float>() : nullptr,
                         dx.data<float>()};  // may be dy: last
  backward_input_kernel<<<cuda::blocks_for(rows, 1), kThreads, 0, cuda::native(stream)>>>(at,
                                                                                          width);
  cuda::check_launch("rms_norm backward_input");
}

}  // namespace

extern const RmsNormTwins kRmsNormCuda;
const RmsNormTwins kRmsNormCuda{forward_cuda, add_forward_cuda, backward_cuda};

}  // namespace rw::kernels
