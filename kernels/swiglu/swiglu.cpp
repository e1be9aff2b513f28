// Part of Ropewalk, MIT licence.
#include "kernels/swiglu/swiglu.h"

#include "kernels/check.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {

void swiglu_forward(const Tensor& gate_up, Tensor& out, Stream& stream) {
  const char* op = "swiglu_forward";
  require_rank(op, "out", out, 2);
  const std::int64_t n = out.shape()[0];
  const std::int64_t f = out.shape()[1];
  const core::DType dtype = float_dtype(op, "out", out);
  require_arguments(op, stream,
                    {{"out", &out, {n, f}, dtype}, {"gate_up", &gate_up, {n, 2 * f}, dtype}});
  core::twins<SwigluTwins>(out.device()).forward(gate_up, out, stream);
}

void swiglu_backward(const Tensor& gate_up, const Tensor& dout, Tensor& dgate_up, Stream& stream) {
  const char* op = "swiglu_backward";
  require_rank(op, "dout", dout, 2);
  const std::int64_t n = dout.shape()[0];
  const std::int64_t f = dout.shape()[1];
  const core::DType dtype = float_dtype(op, "dout", dout);
  require_arguments(op, stream,
                    {{"dout", &dout, {n, f}, dtype},
                     {"gate_up", &gate_up, {n, 2 * f}, dtype},
                     {"dgate_up", &dgate_up, {n, 2 * f}, dtype}});
  core::twins<SwigluTwins>(dout.device()).backward(gate_up, dout, dgate_up, stream);
}

}  // namespace rw::kernels
