// Part of Ropewalk, MIT licence.
#include "kernels/multiversion.h"
#include "kernels/parallel.h"
#include "kernels/simd_math.h"
#include "kernels/swiglu/math.h"
#include "kernels/swiglu/twins.h"

namespace rw::kernels {
namespace {

RW_CLONES void forward_row(const float* gate, const float* up, float* out, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    out[i] = swiglu_value(gate[i], up[i], fast_sigmoid(gate[i]));
  }
}

/// dgate and dup may be gate and up.
RW_CLONES void backward_row(const float* gate, const float* up, const float* dout, float* dgate,
                            float* dup, std::int64_t width) {
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    const float g = gate[i];
    const float sigma = fast_sigmoid(g);
    const float through_gate = dout[i] * up[i] * silu_slope(g, sigma);
    dup[i] = swiglu_value(g, dout[i], sigma);
    dgate[i] = through_gate;
  }
}

void forward_cpu(const Tensor& gate_up, Tensor& out, Stream& /*stream*/) {
  const std::int64_t f = out.shape()[1];
  const float* from = gate_up.data<float>();
  float* to = out.data<float>();
  for_rows(out.shape()[0], f, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const float* row = from + n * 2 * f;
      forward_row(row, row + f, to + n * f, f);
    }
  });
}

void backward_cpu(const Tensor& gate_up, const Tensor& dout, Tensor& dgate_up, Stream& /*stream*/) {
  const std::int64_t f = dout.shape()[1];
  const float* from = gate_up.data<float>();
  const float* grad = dout.data<float>();
  float* to = dgate_up.data<float>();
  for_rows(dout.shape()[0], f, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const float* row = from + n * 2 * f;
      float* drow = to + n * 2 * f;
      backward_row(row, row + f, grad + n * f, drow, drow + f, f);
    }
  });
}

}  // namespace

const SwigluTwins kSwigluCpu{forward_cpu, backward_cpu};

}  // namespace rw::kernels
