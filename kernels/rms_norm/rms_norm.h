// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// y[n, d] = x[n, d] · rstd[n] · weight[d], rstd[n] = 1 / sqrt(mean_d x² + eps). x [N, D] f32; y
/// [N, D] f32 or bf16; weight [D], rstd [N] f32. Computed in f32; a bf16 y is rounded once. On CUDA
/// y, and dy below, are f32 so far; bf16 is refused.
void rms_norm_forward(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& rstd,
                      Stream& stream);
/// The residual add in the same pass: sum = x + delta, then y = norm(sum). delta, sum [N, D] f32;
/// sum may be x.
void add_rms_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight, float eps,
                          Tensor& sum, Tensor& y, Tensor& rstd, Stream& stream);
/// dx = dresidual + the norm's input gradient (dresidual may be undefined: none; dx may be
/// dresidual or, when it is f32, dy); dweight[d] += sum_n dy[n, d] · x[n, d] · rstd[n], in an order
/// fixed by N alone. dy [N, D] f32 or bf16; dresidual, dx [N, D] f32; dweight [D] f32. One pass over memory
/// on the CPU, by at most N / 128 threads, whose sums of 128 rows each take D floats.
void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                       const Tensor& dresidual, Tensor& dx, Tensor& dweight, Stream& stream);

}  // namespace rw::kernels
