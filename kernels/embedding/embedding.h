// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// out[n, :] = table[tokens[n], :]. tokens [N] i32; table [V, D] f32; out [N, D]. Throws
/// Error{kShape} naming the first token outside [0, V) (CPU; on CUDA such rows give NaN).
void embedding_forward(const Tensor& tokens, const Tensor& table, Tensor& out, Stream& stream);
/// dtable[tokens[n], :] += dout[n, :], rows added in order of n whatever the number of threads.
void embedding_backward(const Tensor& tokens, const Tensor& dout, Tensor& dtable, Stream& stream);
/// table[ids[n], :] = from[n, :], what embedding_forward took back in its place. ids [N] i32, each once;
/// from [N, D] f32; table [V, D]. Refuses ids as embedding_forward does.
void scatter_rows(const Tensor& ids, const Tensor& from, Tensor& table, Stream& stream);

}  // namespace rw::kernels
