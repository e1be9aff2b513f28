// Part of Ropewalk, MIT licence.
#pragma once
#include "kernels/matmul/twins.h"

namespace rw::kernels {

/// The product of bf16 matrices by oneDNN's f32 product, where neither bf16 instructions nor our own
/// GEMM (gemm.h) are there; arguments as in MatmulTwins. Blocks of a and b are converted to f32 scratch (14 MiB, kept and reused), multiplied and added up in f32; a bf16 c
/// is rounded once.
void matmul_converted(const Tensor& a, const Tensor& b, Tensor& c, const MatmulSizes& sizes,
                      MatmulOptions options);

}  // namespace rw::kernels
