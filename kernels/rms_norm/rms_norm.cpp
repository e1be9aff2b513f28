// Part of Ropewalk, MIT licence.
#include "kernels/rms_norm/rms_norm.h"

#include "kernels/check.h"
#include "kernels/rms_norm/twins.h"

namespace rw::kernels {
namespace {

core::TwinsCall<RmsNormTwins> table(const Tensor& tensor) {
  return core::twins<RmsNormTwins>(tensor.device());
}

}  // namespace

void rms_norm_forward(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& rstd,
                      Stream& stream) {
  const char* op = "rms_norm_forward";
  require_rank(op, "x", x, 2);
  const core::Shape& shape = x.shape();
  require_arguments(op, stream,
                    {{"x", &x, shape},
                     {"weight", &weight, {shape[1]}},
                     {"y", &y, shape, float_dtype(op, "y", y)},
                     {"rstd", &rstd, {shape[0]}}});
  table(x).forward(x, weight, eps, y, rstd, stream);
}

void add_rms_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight, float eps,
                          Tensor& sum, Tensor& y, Tensor& rstd, Stream& stream) {
  const char* op = "add_rms_norm_forward";
  require_rank(op, "x", x, 2);
  const core::Shape& shape = x.shape();
  require_arguments(op, stream,
                    {{"x", &x, shape},
                     {"delta", &delta, shape},
                     {"weight", &weight, {shape[1]}},
                     {"sum", &sum, shape},
                     {"y", &y, shape, float_dtype(op, "y", y)},
                     {"rstd", &rstd, {shape[0]}}});
  table(x).add_forward(x, delta, weight, eps, sum, y, rstd, stream);
}

void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd,
                       const Tensor& dresidual, Tensor& dx, Tensor& dweight, Stream& stream) {
  const char* op = "rms_norm_backward";
  require_rank(op, "x", x, 2);
  const core::Shape& shape = x.shape();
  require_arguments(op, stream,
                    {{"x", &x, shape},
                     {"dy", &dy, shape, float_dtype(op, "dy", dy)},
                     {"weight", &weight, {shape[1]}},
                     {"rstd", &rstd, {shape[0]}},
                     {"dx", &dx, shape},
                     {"dweight", &dweight, {shape[1]}}});
  if (dresidual.defined()) require_arguments(op, stream, {{"dresidual", &dresidual, shape}});
  table(x).backward(dy, x, weight, rstd, dresidual, dx, dweight, stream);
}

}  // namespace rw::kernels
