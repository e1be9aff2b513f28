// Part of Ropewalk, MIT licence.
#include "kernels/elementwise/elementwise.h"

#include "kernels/check.h"
#include "kernels/elementwise/twins.h"

namespace rw::kernels {
namespace {

core::TwinsCall<ElementwiseTwins> table(const Tensor& tensor) {
  return core::twins<ElementwiseTwins>(tensor.device());
}

}  // namespace

void add(const Tensor& a, const Tensor& b, Tensor& out, Stream& stream) {
  const core::Shape& shape = out.shape();
  require_arguments("add", stream, {{"out", &out, shape}, {"a", &a, shape}, {"b", &b, shape}});
  table(out).add(a, b, out, stream);
}

void accumulate(const Tensor& x, Tensor& sum, Stream& stream) {
  require_arguments("accumulate", stream, {{"sum", &sum, sum.shape()}, {"x", &x, sum.shape()}});
  table(sum).add(sum, x, sum, stream);
}

void scale(Tensor& x, float factor, Stream& stream) {
  require_arguments("scale", stream, {{"x", &x, x.shape()}});
  table(x).scale(x, factor, stream);
}

void fill(Tensor& x, float value, Stream& stream) {
  require_arguments("fill", stream, {{"x", &x, x.shape()}});
  table(x).fill(x, value, stream);
}

void convert(const Tensor& x, Tensor& out, Stream& stream) {
  const auto is_float = [](core::DType dtype) {
    return dtype == core::DType::kF32 || dtype == core::DType::kBF16;
  };
  require_arguments("convert", stream,
                    {{"x", &x, x.shape(), x.dtype()}, {"out", &out, out.shape(), out.dtype()}});
  if (!is_float(x.dtype()) || !is_float(out.dtype()) || x.elems() != out.elems()) {
    refuse("convert", "x " + x.text() + ", out " + out.text(),
           "f32 or bf16 with the same number of elements");
  }
  table(out).convert(x, out, stream);
}

}  // namespace rw::kernels
