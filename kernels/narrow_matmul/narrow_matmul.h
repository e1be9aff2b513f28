// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// y = x · wᵀ for few rows of x (decoding): bound by reading w, which is read once for all rows.
///
///   x       [M, K] f32, any M >= 1; made for M up to some dozens, above that matmul() is faster
///   w       [N, K] f32 or bf16 (widened as it is read, products and sums in f32)
///   y       [M, N] f32; overwritten; memory of its own
///   done    on return on the CPU
///   throws  Error{kShape} on any mismatch, before anything runs; Error{kDevice} on a device that
///           has no twin
///   bits    of a row of y depend on that row of x, on w and on the instruction set: neither on the
///           other rows nor on the number of threads; bf16 weights give those of f32 weights of the
///           same values
///   cost    about bytes(w) / read bandwidth while 2·M operations per element of w are the faster
void narrow_matmul(const Tensor& x, const Tensor& w, Tensor& y, Stream& stream);

}  // namespace rw::kernels
