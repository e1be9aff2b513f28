// Part of Ropewalk, MIT licence.
#pragma once
#include "core/tensor.h"

namespace rw::kernels {
using core::Stream;
using core::Tensor;

void add(const Tensor& a, const Tensor& b, Tensor& out,
         Stream& stream);  // out = a + b; out may be a or b; f32, one shape
void accumulate(const Tensor& x, Tensor& sum, Stream& stream);  // sum += x
void scale(Tensor& x, float factor, Stream& stream);            // x *= factor
void fill(Tensor& x, float value, Stream& stream);
/// out = x in another float dtype (f32 <-> bf16), nearest even; same number of elements.
void convert(const Tensor& x, Tensor& out, Stream& stream);

}  // namespace rw::kernels
