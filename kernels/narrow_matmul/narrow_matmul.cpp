// Part of Ropewalk, MIT licence.
#include "kernels/narrow_matmul/narrow_matmul.h"

#include "kernels/check.h"
#include "kernels/narrow_matmul/twins.h"

namespace rw::kernels {

void narrow_matmul(const Tensor& x, const Tensor& w, Tensor& y, Stream& stream) {
  const char* op = "narrow_matmul";
  require_rank(op, "x", x, 2);
  require_rank(op, "w", w, 2);
  const core::Shape out{x.shape()[0], w.shape()[0]};
  if (out.elems() < 1 || x.shape()[1] < 1) {
    refuse(op, "x " + x.text() + ", w " + w.text(), "every size at least 1");
  }
  require_arguments(op, stream,
                    {{"x", &x, x.shape()},
                     {"w", &w, {out[1], x.shape()[1]}, float_dtype(op, "w", w)},
                     {"y", &y, out}});
  if (overlap(x, y)) refuse(op, "y overlapping x", "memory of its own for y");
  if (overlap(w, y)) refuse(op, "y overlapping w", "memory of its own for y");
  core::twins<NarrowMatmulTwins>(y.device()).narrow_matmul(x, w, y, stream);
}

}  // namespace rw::kernels
