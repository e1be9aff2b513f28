// Part of Ropewalk, MIT licence.
#pragma once

namespace rw::optim {

/// What gradients of global L2 norm `norm` are multiplied by so that the norm is at most
/// `max_norm`: min(1, max_norm / (norm + 1e-6)), as PyTorch's clip_grad_norm_. 1 when max_norm <=
/// 0: no clipping.
double clip_factor(double norm, double max_norm);

}  // namespace rw::optim
