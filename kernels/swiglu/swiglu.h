// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// out[n, f] = silu(gate_up[n, f]) · gate_up[n, F + f],  silu(z) = z / (1 + exp(−z)).
///
///   gate_up  [N, 2F] f32 or bf16: the gate projection, then the up projection (one GEMM makes both)
///   out      [N, F] of the same dtype; overwritten, computed in f32
///   CUDA     f32 only so far; bf16 is refused
void swiglu_forward(const Tensor& gate_up, Tensor& out, Stream& stream);
/// dgate_up [N, 2F] is overwritten; may be gate_up. One dtype for all three.
void swiglu_backward(const Tensor& gate_up, const Tensor& dout, Tensor& dgate_up, Stream& stream);

}  // namespace rw::kernels
