// Part of Ropewalk, MIT licence.
#include "kernels/reduce/reduce.h"

#include "kernels/check.h"
#include "kernels/reduce/twins.h"

namespace rw::kernels {

double sum_of_squares(const Tensor& x, Stream& stream) {
  require_arguments("sum_of_squares", stream, {{"x", &x, x.shape()}});
  return core::twins<ReduceTwins>(x.device()).sum_of_squares(x, stream);
}

double sum(const Tensor& x, Stream& stream) {
  require_arguments("sum", stream, {{"x", &x, x.shape()}});
  return core::twins<ReduceTwins>(x.device()).sum(x, stream);
}

}  // namespace rw::kernels
