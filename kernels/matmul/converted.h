// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/matmul/gemm.h"
#include "kernels/matmul/twins.h"

namespace rw::kernels {

/// c [m, n] = op(a) [m, k] · op(b) [k, n], or c += it, in f32 by oneDNN: gemm<float, float> for CPUs without AVX2.
/// Rows of c are `stride` floats apart. Throws Error{kDevice} when oneDNN refuses.
void onednn_gemm(const GemmSizes& by, const GemmMatrix<float>& a, const GemmMatrix<float>& b,
                 float* c, std::int64_t stride);

/// The product of bf16 matrices by oneDNN's f32 product, where our own GEMM (gemm.h) does not run; arguments as in
/// MatmulTwins. Blocks of a and b are converted to f32 scratch (14 MiB, kept and reused), multiplied and added up
/// in f32; a bf16 c is rounded once.
void matmul_converted(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                      MatmulOptions options);

}  // namespace rw::kernels
