// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// losses[n] = logsumexp(logits[n, :]) − logits[n, targets[n]] in nats, computed in f32 with
/// f64-safe sums. logits [N, V] f32 or bf16; targets [N] i32, a negative target is padding: loss 0,
/// gradient 0; losses [N] f32.
void cross_entropy_forward(const Tensor& logits, const Tensor& targets, Tensor& losses,
                           Stream& stream);
/// The same, and overwrites logits by their gradient: (softmax(logits)[n, v] − [v = targets[n]]) ·
/// scale, worked out in f32 and rounded once to the dtype of logits. One copy of [N, V].
void cross_entropy_forward_backward(Tensor& logits, const Tensor& targets, float scale,
                                    Tensor& losses, Stream& stream);

}  // namespace rw::kernels
