// Part of Ropewalk, MIT licence.
#include "kernels/rope/rope.h"

#include "kernels/check.h"
#include "kernels/rope/twins.h"

namespace rw::kernels {

void rope(Tensor& x, const Tensor& positions, const Tensor& cos, const Tensor& sin,
          std::int64_t rotated_heads, Rotation rotation, Stream& stream) {
  const char* op = "rope";
  require_rank(op, "x", x, 2);
  require_rank(op, "cos", cos, 2);
  require_arguments(op, stream,
                    {{"x", &x, x.shape(), float_dtype(op, "x", x)},
                     {"positions", &positions, {x.shape()[0]}, core::DType::kI32},
                     {"cos", &cos, cos.shape()},
                     {"sin", &sin, cos.shape()}});
  const std::int64_t head_dim = 2 * cos.shape()[1];
  if (rotated_heads < 0 || rotated_heads * head_dim > x.shape()[1]) {
    refuse(op,
           std::to_string(rotated_heads) + " rotated heads of " + std::to_string(head_dim) +
               " in x " + x.text(),
           "at most the width of x");
  }
  core::twins<RopeTwins>(x.device()).rope(x, positions, cos, sin, rotated_heads, rotation, stream);
}

}  // namespace rw::kernels
