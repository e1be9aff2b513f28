// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

enum class Transpose : std::uint8_t { kNo, kYes };
enum class Accumulate : std::uint8_t { kNo, kYes };  // kYes: adds to what `c` holds
struct MatmulOptions {
  Transpose a = Transpose::kNo;
  Transpose b = Transpose::kNo;
  Accumulate c = Accumulate::kNo;
};

/// c = op(a) · op(b), or c += …; op transposes when the option says so.
///
///   a        [M, K] ([K, M] transposed) f32 or bf16, contiguous, read only
///   b        [K, N] ([N, K] transposed), dtype of a; a linear layer's weight [out, in] is b
///            transposed
///   c        [M, N] f32, must not overlap a or b; M, N, K >= 1. With bf16 a and b also bf16, but
///            not to add to; added up in f32 and rounded once
///   bf16     on bf16 instructions where the CPU has them (gemm.h), otherwise widened in the kernel; on CUDA
///            refused so far
///   done     on return on the CPU; on CUDA queued on `stream`
///   throws   Error{kShape} on any mismatch, before anything runs
///   bits     depend on shapes, dtypes, number of threads and instruction set only
void matmul(const Tensor& a, const Tensor& b, Tensor& c, MatmulOptions options, Stream& stream);

}  // namespace rw::kernels
