// Part of Ropewalk, MIT licence.
#include "kernels/matmul/matmul.h"

#include "kernels/check.h"
#include "kernels/matmul/twins.h"

namespace rw::kernels {

void matmul(const Tensor& a, const Tensor& b, Tensor& c, MatmulOptions options, Stream& stream) {
  const char* op = "matmul";
  require_rank(op, "a", a, 2);
  require_rank(op, "b", b, 2);
  require_rank(op, "c", c, 2);
  const MatmulSizes sizes{c.shape()[0], c.shape()[1],
                          a.shape()[options.a == Transpose::kYes ? 0 : 1]};
  const auto [m, n, k] = sizes;
  if (m < 1 || n < 1 || k < 1) {
    refuse(op, "a " + a.text() + ", b " + b.text() + ", c " + c.text(), "every size at least 1");
  }
  using core::DType;
  using core::Shape;
  const DType in = float_dtype(op, "a", a);
  const DType out = in == DType::kBF16 ? float_dtype(op, "c", c) : DType::kF32;
  require_arguments(op, stream,
                    {{"a", &a, options.a == Transpose::kYes ? Shape{k, m} : Shape{m, k}, in},
                     {"b", &b, options.b == Transpose::kYes ? Shape{n, k} : Shape{k, n}, in},
                     {"c", &c, Shape{m, n}, out}});
  if (out == DType::kBF16 && options.c == Accumulate::kYes) {
    refuse(op, "c " + c.text() + " to add to", "f32, or c overwritten");
  }
  if (overlap(a, c)) refuse(op, "c overlapping a", "memory of its own for c");
  if (overlap(b, c)) refuse(op, "c overlapping b", "memory of its own for c");
  core::twins<MatmulTwins>(c.device()).matmul(a, b, c, sizes, options, stream);
}

}  // namespace rw::kernels
