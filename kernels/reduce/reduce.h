// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

/// Sum of squares of all elements in f64, in an order fixed by the number of elements alone (blocks
/// of 4096, then pairwise over blocks): the same bits for any number of threads. Waits for the
/// device.
double sum_of_squares(const Tensor& x, Stream& stream);
/// Sum of an f32 tensor in f64, same order.
double sum(const Tensor& x, Stream& stream);

}  // namespace rw::kernels
